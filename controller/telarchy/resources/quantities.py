"""Amounts, rates and spans of time as people write them: `50Gi`, `2500k`, `15m`, `30d`.

Both types keep the spelling (a manifest that goes in comes out the same) and compare by value, so
`1Ki` equals `1024` and `90m` equals `1h30m`. Arithmetic is exact (Decimal): a reserve of `0.1Gi` is the
same number of bytes on every machine.

The grammar of quantities is Kubernetes' own (apimachinery `resource.Quantity`), less two things that are
slips when one means bytes: negative amounts, and the suffixes below one (`m`, `u`, `n`), since `500m` is
half a byte there. Durations are Go's, plus `d` (24 h) and `w` (7 d), which Go lacks and people need. Bit rates
are written as encoders take them: `2500k`, `2.5M`, by thousands.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from functools import total_ordering
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

MAX_BYTES = 2**63 - 1  # Kubernetes' int64, and what status fields can hold
MAX_BIT_RATE = 10**13  # ten terabits per second: more is a slip
MAX_TEXT = 32  # characters; bounds the cost of validation rules on the API server
MAX_SECONDS = Decimal(100 * 366 * 86400)  # a hundred years: longer is a slip, and timedelta stays exact

QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?([kMGTPE]|[KMGTPE]i|[eE][0-9]{1,2})?$"
BIT_RATE_PATTERN = r"^[0-9]+(\.[0-9]+)?[kMG]?$"
BIT_RATE_ABOVE_ZERO_PATTERN = r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)[kMG]?$"
DURATION_PATTERN = r"^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+)$"

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kMGTPE]|[KMGTPE]i|[eE][0-9]{1,2})?", re.ASCII)
_BIT_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kMG]?)", re.ASCII)
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)", re.ASCII)
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)

_SCALES = {letter: Decimal(1000**power) for power, letter in enumerate(("", "k", "M", "G", "T", "P", "E"))}
_SCALES |= {f"{letter}i": Decimal(1024**power) for power, letter in enumerate("KMGTPE", start=1)}

_UNIT_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "w": Decimal(7 * 86400),
}


def parse_quantity(text: str | int) -> int:
    """Bytes in `text`, rounded up as Kubernetes rounds. Raises ValueError with a sentence for a person."""
    if isinstance(text, bool) or not isinstance(text, (str, int)):
        raise ValueError("an amount is written like 50Gi, 2.5M or 1500")
    spelling = str(text)
    match = _QUANTITY.fullmatch(spelling) if len(spelling) <= MAX_TEXT else None
    if match is None:
        raise ValueError(_quantity_complaint(spelling))
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix and suffix[0] in "eE" and len(suffix) > 1 and suffix[1].isdigit():
        value = number * Decimal(10) ** int(suffix[1:])
    else:
        value = number * _SCALES[suffix]
    value = value.to_integral_value(rounding=ROUND_CEILING)
    if value > MAX_BYTES:
        raise ValueError(f"{spelling} is more than any disk holds (the limit is 8Ei - 1)")
    return int(value)


def format_quantity(size: int) -> str:
    """The shortest exact spelling of `size` bytes: binary suffix, else decimal suffix, else the number."""
    if size:
        for suffixes in (("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"), ("E", "P", "T", "G", "M", "k")):
            for suffix in suffixes:
                count, rest = divmod(size, int(_SCALES[suffix]))
                if count and not rest:
                    return f"{count}{suffix}"
    return str(size)


def parse_bit_rate(text: str | int) -> int:
    """Bits per second in `text`, rounded up. Raises ValueError with a sentence for a person."""
    if isinstance(text, bool) or not isinstance(text, (str, int)):
        raise ValueError("a bit rate is written like 2500k, 2.5M or 128000, in bits per second")
    spelling = str(text)
    match = _BIT_RATE.fullmatch(spelling) if len(spelling) <= MAX_TEXT else None
    if match is None:
        raise ValueError(_bit_rate_complaint(spelling))
    value = (Decimal(match[1]) * _SCALES[match[2]]).to_integral_value(rounding=ROUND_CEILING)
    if value > MAX_BIT_RATE:
        raise ValueError(f"{spelling} is more than any line carries")
    return int(value)


def format_bit_rate(bits: int) -> str:
    """A spelling of three or four digits for a person: 2480000 → `2.48M`. Rounded, so not for manifests."""
    for suffix in ("G", "M", "k"):
        if bits >= (scale := int(_SCALES[suffix])):
            return f"{bits / scale:.2f}".rstrip("0").rstrip(".") + suffix
    return str(bits)


def parse_duration(text: str) -> Decimal:
    """Seconds in `text`, exact. Raises ValueError with a sentence for a person."""
    if not isinstance(text, str):
        raise ValueError(f"a duration needs a unit: write {text}s, {text}m, {text}h or {text}d")
    if len(text) > MAX_TEXT or _DURATION.fullmatch(text) is None:
        if text.isascii() and text.isdigit() and len(text) <= MAX_TEXT:
            raise ValueError(f"a duration needs a unit: write {text}s, {text}m, {text}h or {text}d")
        raise ValueError("a duration is written like 10s, 15m, 1h30m, 30d or 2w")
    seconds = sum((Decimal(n) * _UNIT_SECONDS[unit] for n, unit in _DURATION_PART.findall(text)), Decimal(0))
    if seconds > MAX_SECONDS:
        raise ValueError(f"{text} is longer than a hundred years")
    return seconds


def format_duration(seconds: float | Decimal | timedelta) -> str:
    """A spelling that parses back to the same span, to the millisecond: `90` → `1m30s`."""
    if isinstance(seconds, timedelta):
        seconds = Decimal(seconds // timedelta(milliseconds=1)) / 1000
    rest = round(Decimal(seconds) * 1000)
    if rest < 0:
        raise ValueError("a duration cannot be negative")
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, int(_UNIT_SECONDS[unit] * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _quantity_complaint(text: str) -> str:
    if text.startswith("-"):
        return "an amount cannot be negative"
    if re.fullmatch(r"[0-9.]+m", text):
        return f"{text} is a fraction of one byte; did you mean {text[:-1]}M?"
    if match := re.fullmatch(r"([0-9.]+)\s*([kKmMgGtTpPeE])([iI]?)[bB]?", text):
        letter = match[2].upper() if match[3] or match[2] not in "kK" else "k"
        meant = f"{match[1]}{letter}{'i' if match[3] else ''}"
        return f"did you mean {meant}? An amount is written like 50Gi or 2.5M"
    return "an amount is written like 50Gi, 2.5M or 1500"


def _bit_rate_complaint(text: str) -> str:
    if match := re.fullmatch(r"([0-9.]+)\s*([kKmMgG])i?([bB](it)?(ps|/s)?)?", text):
        letter = match[2].lower() if match[2] in "kK" else match[2].upper()
        return (
            f"did you mean {match[1]}{letter}? A bit rate is written like 2500k or 2.5M, in bits per second"
        )
    return "a bit rate is written like 2500k, 2.5M or 128000, in bits per second"


@total_ordering
class Measure:
    """A value that prints as it was written, and is equal and ordered by what it amounts to. Immutable.

    `amount` is exact; subclasses parse it and say how the API server is to check the spelling.
    """

    __slots__ = ("_text", "amount")

    kind: ClassVar[str]  # of the error that pydantic reports
    schema: ClassVar[dict[str, Any]]

    def __init__(self, text: str, amount: int | Decimal) -> None:
        self._text, self.amount = text, amount

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    def __hash__(self) -> int:
        return hash(self.amount)

    def __eq__(self, other: object) -> bool:
        return self.amount == other.amount if isinstance(other, type(self)) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.amount < other.amount if isinstance(other, type(self)) else NotImplemented

    @classmethod
    def read(cls, value: Any) -> Self:
        """From what a person wrote. Raises ValueError with a sentence."""
        raise NotImplementedError

    @classmethod
    def _accept(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        try:
            return cls.read(value)
        except ValueError as problem:
            raise PydanticCustomError(cls.kind, "{says}", {"says": str(problem)}) from None

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._accept, serialization=core_schema.to_string_ser_schema(when_used="always")
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(cls.schema)


class Quantity(Measure):
    """An amount of bytes (or bytes per second): `.bytes`."""

    __slots__ = ("bytes",)

    kind = "quantity"
    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": QUANTITY_PATTERN,
        "maxLength": MAX_TEXT,
    }

    def __init__(self, text: str | int) -> None:
        self.bytes: int = parse_quantity(text)
        super().__init__(str(text), self.bytes)

    @classmethod
    def read(cls, value: Any) -> Self:
        return cls(value)


class BitRate(Measure):
    """Bits per second: `.bits`."""

    __slots__ = ("bits",)

    kind = "bit-rate"
    schema: ClassVar[dict[str, Any]] = {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": BIT_RATE_PATTERN,
        "maxLength": MAX_TEXT,
    }

    def __init__(self, text: str | int) -> None:
        self.bits: int = parse_bit_rate(text)
        super().__init__(str(text), self.bits)

    @classmethod
    def read(cls, value: Any) -> Self:
        return cls(value)


class AboveZero:
    """Annotates a `BitRate` whose text may not say zero, for schemas; a rule says it to people."""

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": BIT_RATE_ABOVE_ZERO_PATTERN}


class Duration(Measure):
    """A span of time: `.seconds` is a float, `.timedelta` exact to the millisecond."""

    __slots__ = ()

    kind = "duration"
    schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": DURATION_PATTERN, "maxLength": MAX_TEXT}

    def __init__(self, text: str) -> None:
        super().__init__(text, parse_duration(text))

    @property
    def seconds(self) -> float:
        return float(self.amount)

    @property
    def timedelta(self) -> timedelta:
        return timedelta(milliseconds=float(self.amount * 1000))

    @classmethod
    def read(cls, value: Any) -> Self:
        return cls(value)
