"""Amounts and durations: exact, in everybody's spelling, and clear about slips."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.resources.quantities import (
    DURATION_PATTERN,
    MAX_BYTES,
    QUANTITY_PATTERN,
    Duration,
    Quantity,
    format_duration,
    format_quantity,
    parse_duration,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1500", 1500),
        (1500, 1500),
        ("1k", 1000),
        ("1Ki", 1024),
        ("2.5M", 2_500_000),
        ("50Gi", 50 * 2**30),
        ("0.1Gi", 107374183),  # 107374182.4, rounded up as Kubernetes rounds
        ("1.5", 2),
        ("3e3", 3000),
        ("1E", 10**18),
        ("1E3", 1000),
        ("7.9Ei", 9108079886394091111),
        (str(MAX_BYTES), MAX_BYTES),
    ],
)
def test_quantities(text: str | int, size: int) -> None:
    assert parse_quantity(text) == size


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "written like 50Gi"),
        ("lots", "written like 50Gi"),
        ("-5Gi", "cannot be negative"),
        (-5, "cannot be negative"),
        ("500m", "did you mean 500M?"),
        ("50GB", "did you mean 50G?"),
        ("50gib", "did you mean 50Gi?"),
        ("50 Gi", "did you mean 50Gi?"),
        ("2K", "did you mean 2k?"),
        ("8Ei", "more than any disk holds"),
        ("1e99", "more than any disk holds"),
        ("9" * 40, "written like 50Gi"),
        ("٣Gi", "written like 50Gi"),
        (True, "written like 50Gi"),
        ("1Gi\n", "written like 50Gi"),
    ],
)
def test_quantities_that_are_slips(text: str | int, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", "0"),
        ("250ms", "0.25"),
        ("10s", "10"),
        ("15m", "900"),
        ("1h30m", "5400"),
        ("1.5h", "5400"),
        ("30d", "2592000"),
        ("2w", "1209600"),
        ("1m1m", "120"),
    ],
)
def test_durations(text: str, seconds: str) -> None:
    assert parse_duration(text) == Decimal(seconds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "written like"),
        ("15", "needs a unit: write 15s"),
        (15, "needs a unit: write 15s"),
        ("15 m", "written like"),
        ("-1h", "written like"),
        ("1y", "written like"),
        ("PT5S", "written like"),
        ("99999999w", "longer than a hundred years"),
    ],
)
def test_durations_that_are_slips(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_duration(text)


def test_values_compare_by_amount_and_print_as_written() -> None:
    assert Quantity("1Ki") == Quantity(1024)
    assert hash(Quantity("1Ki")) == hash(Quantity(1024))
    assert Quantity("1G") < Quantity("1Gi")
    assert str(Quantity("1024Mi")) == "1024Mi"
    assert Duration("90m") == Duration("1h30m")
    assert max(Duration("2d"), Duration("1w")) == Duration("7d")
    assert Duration("1h30m").timedelta == timedelta(minutes=90)
    assert str(Duration("90m")) == "90m"
    assert Quantity("1") != 1


@given(st.integers(0, MAX_BYTES))
def test_a_formatted_quantity_reads_back(size: int) -> None:
    text = format_quantity(size)
    assert parse_quantity(text) == size
    assert re.fullmatch(QUANTITY_PATTERN, text)


@given(st.integers(0, 10**12))
def test_a_formatted_duration_reads_back(milliseconds: int) -> None:
    text = format_duration(timedelta(milliseconds=milliseconds))
    assert parse_duration(text) * 1000 == milliseconds
    assert re.fullmatch(DURATION_PATTERN, text)


@given(st.text(alphabet="0123456789.kKMGiEemswdh- ", max_size=8))
def test_what_parses_matches_the_published_pattern(text: str) -> None:
    """The API server has only the pattern; it must not refuse what we take."""
    for parse, pattern in ((parse_quantity, QUANTITY_PATTERN), (parse_duration, DURATION_PATTERN)):
        try:
            parse(text)
        except ValueError:
            continue
        assert re.fullmatch(pattern, text)
