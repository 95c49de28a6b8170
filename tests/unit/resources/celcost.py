"""What the API server makes of a validation rule when a CRD is created: it checks types, and prices the worst case.

A CEL library evaluates rules and knows neither; the API server refuses the whole CRD. So this parses what our rules
use of CEL, gives every part a type from the schema around it, and adds up prices as cel-go's `checker/cost.go` and the
API server's own estimator do. Prices are rounded up; a rule that passes here has room to spare there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

RULE_LIMIT = 10_000_000  # StaticEstimatedCostLimit
CRD_LIMIT = 100_000_000  # StaticEstimatedCRDCostLimit
REQUEST_BYTES = 3 * 1024 * 1024
TRAVERSAL, PATTERN = 0.1, 0.25  # per byte of a string that is read, per character of a regular expression
RESERVED = set(
    re.findall(
        r"\w+",
        """true false null in as break const continue else for function if import let loop package namespace return
        var void while""",
    )
)
TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+)|(?P<string>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>\|\||&&|[<>=!]=|[-+*/%<>!?:.,()\[\]]))"
)

Schema = dict[str, Any]


class Fault(Exception):
    """Why the API server would refuse the rule."""


@dataclass(frozen=True)
class Part:
    """A value somewhere in a rule. `size` counts bytes or items; `path` leads there from `self`."""

    kind: str  # int, string, bool, list, map, object, dyn, duration, type, null
    cost: float = 0
    size: float = 1
    schema: Schema = field(default_factory=dict)
    path: str = ""
    item: Part | None = None


def part_of(schema: Schema, cost: float, path: str) -> Part:
    """A field as a rule sees it."""
    if schema.get("x-kubernetes-int-or-string"):
        return Part("dyn", cost, REQUEST_BYTES - 2, schema, path)  # whatever its maxLength says
    kind = schema["type"]
    if kind == "string":
        if "enum" in schema:
            size: float = max(len(one.encode()) for one in schema["enum"])
        else:
            size = 4 * schema["maxLength"] if "maxLength" in schema else REQUEST_BYTES - 2  # in bytes
        return Part("string", cost, size, schema, path)
    if kind == "array":
        return Part("list", cost, schema.get("maxItems", REQUEST_BYTES), schema, path)
    if kind == "object" and "additionalProperties" in schema:
        return Part("map", cost, schema.get("maxProperties", REQUEST_BYTES), schema, path)
    return Part({"integer": "int", "boolean": "bool"}.get(kind, kind), cost, 1, schema, path)


class Rule:
    """Parses and judges in one go: `price` is the worst case of one evaluation."""

    def __init__(self, text: str, schema: Schema) -> None:
        self._tokens = list(tokens(text))
        self._at = 0
        self._names = {"self": part_of(schema, 1, "self")}
        self._known = set(re.findall(r"has\(([\w.]+)\)", text))
        made = self._ternary()
        if self._at < len(self._tokens):
            raise Fault(f"{self._tokens[self._at][1]!r} is not understood")
        if made.kind != "bool":
            raise Fault(f"a rule is true or false, and this is {made.kind}")
        self.price = made.cost

    # --- reading -------------------------------------------------------------------------------------------------

    def _next(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, *signs: str) -> str:
        if self._at < len(self._tokens) and self._next() in signs and self._tokens[self._at][0] != "string":
            self._at += 1
            return self._tokens[self._at - 1][1]
        return ""

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise Fault(f"{sign!r} is missing before {self._next()!r}")

    def _ternary(self) -> Part:
        asked = self._either()
        if not self._take("?"):
            return asked
        one = self._either()
        self._need(":")
        other = self._ternary()
        self._want(asked, "bool")
        if one.kind != other.kind and "dyn" not in (one.kind, other.kind):
            raise Fault(f"either {one.kind} or {other.kind}")
        size, cost = max(one.size, other.size), asked.cost + max(one.cost, other.cost) + 1
        return Part(one.kind, cost, size)

    def _either(self) -> Part:
        return self._logical("||", self._both)

    def _both(self) -> Part:
        return self._logical("&&", self._relation)

    def _logical(self, sign: str, inner: Any) -> Part:
        made: Part = inner()
        while self._take(sign):
            self._want(made, "bool")
            other: Part = inner()
            self._want(other, "bool")
            made = Part("bool", made.cost + other.cost + 1)
        return made

    def _relation(self) -> Part:
        made = self._sum()
        while sign := self._take("==", "!=", "<", "<=", ">", ">=", "in"):
            made = self._compared(sign, made, self._sum())
        return made

    def _compared(self, sign: str, one: Part, other: Part) -> Part:
        cost = one.cost + other.cost + 1
        if sign == "in":
            if other.kind not in ("list", "map", "dyn"):
                raise Fault(f"`in` {other.kind}")
            return Part("bool", cost + other.size * max(1, TRAVERSAL * one.size))
        kinds = {one.kind, other.kind}
        if len(kinds - {"dyn"}) > 1:
            raise Fault(f"no overload: {one.kind} {sign} {other.kind}")
        if sign not in ("==", "!=") and not kinds <= {"int", "string", "duration", "dyn"}:
            raise Fault(f"no order: {one.kind} {sign} {other.kind}")
        return Part("bool", cost + math.ceil(TRAVERSAL * min(one.size, other.size)))

    def _sum(self) -> Part:
        made = self._unary()
        while sign := self._take("+", "-", "*", "/", "%"):
            other = self._unary()
            if not {made.kind, other.kind} <= {"int", "dyn"}:
                raise Fault(f"no overload: {made.kind} {sign} {other.kind}")
            made = Part("int", made.cost + other.cost + 1)
        return made

    def _unary(self) -> Part:
        if self._take("!"):
            inner = self._unary()
            self._want(inner, "bool")
            return Part("bool", inner.cost + 1)
        return self._member()

    def _member(self) -> Part:
        made = self._primary()
        while self._take("."):
            name = self._tokens[self._at][1]
            self._at += 1
            made = self._called(made, name) if self._take("(") else self._selected(made, name)
        return made

    def _primary(self) -> Part:
        if self._at >= len(self._tokens):
            raise Fault("it ends too soon")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return Part("int")
        if kind == "string":
            return Part("string", 0, len(text) - 2)
        if text == "(":
            inner = self._ternary()
            self._need(")")
            return inner
        if text == "[":
            items = self._list("]")
            kinds = {one.kind for one in items}
            if len(kinds) > 1:
                raise Fault("a list of one kind each")
            return Part(
                "list", 10 + sum(one.cost for one in items), len(items), item=items[0] if items else None
            )
        if text in ("true", "false"):
            return Part("bool")
        if kind == "word" and self._take("("):
            return self._function(text)
        if text in ("string", "int", "bool"):
            return Part("type", 1)
        if text not in self._names:
            raise Fault(f"undeclared: {text!r}")
        return self._names[text]

    def _list(self, end: str) -> list[Part]:
        items = []
        while not self._take(end):
            if items:
                self._need(",")
            items.append(self._ternary())
        return items

    # --- judging -------------------------------------------------------------------------------------------------

    def _selected(self, of: Part, name: str, *, asked: bool = False) -> Part:
        if name in RESERVED:
            raise Fault(f"{name!r} is reserved; it is spelled __{name}__")
        properties = of.schema.get("properties", {})
        if of.kind != "object" or name not in properties:
            raise Fault(f"undefined field {name!r} of {of.path or of.kind}")
        path = f"{of.path}.{name}"
        required = (
            name in of.schema.get("required", ()) or path == "self.metadata" or path == "self.metadata.name"
        )
        if not asked and not required and path not in self._known:
            raise Fault(f"{path} may be missing; ask has({path}) first")
        schema = properties[name]
        if path == "self.metadata.name":
            schema = {"type": "string"}  # the API server puts its own metadata here, without limits
        return part_of(schema, of.cost + 1, path)

    def _function(self, name: str) -> Part:
        if name == "has":
            of = self._primary()
            while self._take("."):
                field_name = self._tokens[self._at][1]
                self._at += 1
                of = self._selected(of, field_name, asked=True)
            self._need(")")
            return Part("bool", of.cost + 1)
        (one,) = self._list(")")
        if name == "size" and one.kind in ("string", "list", "map", "dyn"):
            return Part("int", one.cost + 1)
        if name == "type":
            return Part("type", one.cost + 1)
        if name == "duration":
            self._want(one, "string")
            return Part("duration", one.cost + 1 + TRAVERSAL * one.size)
        raise Fault(f"no function {name}({one.kind})")

    def _called(self, of: Part, name: str) -> Part:
        if name in ("all", "exists", "exists_one"):
            return self._for_each(of)
        if name not in ("matches", "contains", "startsWith", "endsWith"):
            raise Fault(f"no function {name} of {of.kind}")
        (one,) = self._list(")")
        self._want(of, "string")
        self._want(one, "string")
        factor = PATTERN if name == "matches" else TRAVERSAL
        worst = math.ceil(TRAVERSAL * (of.size + 1)) * math.ceil(factor * max(1, one.size))
        return Part("bool", of.cost + one.cost + worst)

    def _for_each(self, of: Part) -> Part:
        if of.kind != "list":
            raise Fault(f"only lists have items, and this is {of.kind}")
        name = self._tokens[self._at][1]
        self._at += 1
        self._need(",")
        before = self._names.get(name)
        self._names[name] = of.item or part_of(of.schema["items"], 1, name)
        each = self._ternary()
        self._need(")")
        if before is None:
            del self._names[name]
        else:
            self._names[name] = before
        self._want(each, "bool")
        return Part("bool", of.cost + 1 + of.size * (each.cost + 6))

    def _want(self, one: Part, kind: str) -> None:
        if one.kind not in (kind, "dyn"):
            raise Fault(f"{kind} is wanted, and this is {one.kind}")


def tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        found = TOKEN.match(text, at)
        if found is None:
            raise Fault(f"not CEL as we use it: {text[at : at + 10]!r}")
        at = found.end()
        yield str(found.lastgroup), found[str(found.lastgroup)]


def rules(schema: Schema, place: str = "", times: float = 1) -> Iterator[tuple[str, str, Schema, float]]:
    """Every rule with its place, the schema it stands on, and how often it may run in one object."""
    for one in schema.get("x-kubernetes-validations", ()):
        yield place, one["rule"], schema, times
    for name, inner in schema.get("properties", {}).items():
        yield from rules(inner, f"{place}.{name}", times)
    if "items" in schema:
        yield from rules(schema["items"], f"{place}[]", times * schema.get("maxItems", REQUEST_BYTES))
    if isinstance(values := schema.get("additionalProperties"), dict):
        yield from rules(values, f"{place}.*", times * schema.get("maxProperties", REQUEST_BYTES))


def refusals(schema: Schema) -> Iterator[str]:
    """Why the API server would not create a CRD with these rules."""
    total = 0.0
    for place, text, around, times in rules(schema):
        try:
            price = Rule(text, around).price * times
        except Fault as fault:
            yield f"{place}: {text}: {fault}"
            continue
        total += price
        if price > RULE_LIMIT:
            yield f"{place}: {text}: estimated cost {price:.0f} is {price / RULE_LIMIT:.1f} times the limit"
    if total > CRD_LIMIT:
        yield f"all rules together: {total:.0f} is {total / CRD_LIMIT:.1f} times the limit"
