"""What a real API server checks when the CRDs are created, besides the shape of their schemas: `celcost.py` judges the
rules, and the rest is here. Each check is shown the mistake that it is for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from telarchy.resources.crd import crd, structural_schema
from telarchy.resources.meta import Kind
from telarchy.resources.registry import KINDS

from . import celcost

Schema = dict[str, Any]
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.plural)

INT_OR_STRING = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
SELF: Schema = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 63},
        "count": {"type": "integer"},
        "on": {"type": "boolean"},
        "size": INT_OR_STRING,
        "class": {"type": "string", "enum": ["A", "Be"]},
        "namespace": {"type": "string", "maxLength": 63},
        "tags": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 20}},
        "any": {"type": "array", "items": {"type": "string"}},
    },
}


# --- rules --------------------------------------------------------------------------------------------------------


@every_kind
def test_its_rules_compile_and_cost_little_enough(kind: Kind) -> None:
    assert list(celcost.refusals(structural_schema(kind))) == []


@every_kind
def test_its_rules_leave_room_to_spare(kind: Kind) -> None:
    """The estimate is ours: a rule at half its limit would be refused by a server that reckons twice as much."""
    priced = [
        (celcost.Rule(text, around).price * times, place, text)
        for place, text, around, times in celcost.rules(structural_schema(kind))
    ]
    assert max(priced)[0] <= celcost.RULE_LIMIT / 5, max(priced)
    assert sum(price for price, _, _ in priced) <= celcost.CRD_LIMIT / 20


@pytest.mark.parametrize(
    "text",
    [
        "self.name != 'x' && !(has(self.on) && self.on)",
        "!has(self.size) || (type(self.size) == string ? self.size.matches('[1-9]') : self.size > 0)",
        "(has(self.count) ? self.count : 1) <= 2",
        "!has(self.tags) || self.tags.all(a, self.tags.exists_one(b, a == b))",
        "[has(self.on), has(self.count)].exists_one(one, one)",
        "!has(self.class) || self.class in ['A', 'Be']",
        "duration(has(self.name) ? self.name : '1s') >= duration('2s')",
    ],
)
def test_what_the_api_server_takes(text: str) -> None:
    assert celcost.Rule(text, SELF).price < celcost.RULE_LIMIT


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("self.nam != 'x'", "undefined field 'nam'"),
        ("self.name > 0", "no overload: string > int"),
        ("self.name == 0 || self.name == '0'", "no overload: string == int"),
        ("has(self.count) && self.count.matches('1')", "string is wanted, and this is int"),
        ("self.count > 0", "self.count may be missing"),
        ("has(self.on) ? self.on : 1", "either bool or int"),
        ("has(self.count) && self.count", "bool is wanted, and this is int"),
        ("self.name", "a rule is true or false"),
        ("has(self.namespace) && self.namespace != ''", "'namespace' is reserved"),
        ("oldSelf == self", "undeclared: 'oldSelf'"),
        ("self.name.lowerAscii() == 'x'", "no function lowerAscii"),
        ("self.name.matches('x'", "',' is missing"),
        ('self.name != "x" && ', "it ends too soon"),
    ],
)
def test_what_the_api_server_refuses_to_compile(text: str, says: str) -> None:
    with pytest.raises(celcost.Fault, match=re.escape(says)):
        celcost.Rule(text, SELF)


def test_what_is_not_bounded_costs_too_much() -> None:
    twice = "!has(self.any) || self.any.all(a, self.any.exists(b, a == b))"
    schema = SELF | {"x-kubernetes-validations": [{"rule": twice, "message": "x"}]}
    said = list(celcost.refusals(schema))
    assert len(said) == 2 and all("times the limit" in one for one in said)


def test_a_rule_on_what_repeats_costs_as_often_as_it_may_repeat() -> None:
    inner = SELF | {
        "x-kubernetes-validations": [{"rule": "has(self.size) && self.size.matches('[1-9]')", "message": "x"}]
    }
    few = {"type": "array", "maxItems": 8, "items": inner}
    many = few | {"maxItems": 64}
    assert list(celcost.refusals(few)) == []
    (said,) = celcost.refusals(many)
    assert said.startswith("[]: ") and "times the limit" in said
    # each of seven may pass, and all of them together still be too much
    assert "all rules together" in "".join(
        celcost.refusals(
            {"type": "object", "properties": {f"f{n}": few | {"maxItems": 15} for n in range(12)}}
        )
    )


# --- schemas ------------------------------------------------------------------------------------------------------


def _schemas(schema: Schema, place: str = "") -> Iterator[tuple[str, Schema]]:
    yield place, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _schemas(inner, f"{place}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(word), dict):
            yield from _schemas(inner, f"{place}[]")


def foreign_to_re2(pattern: str) -> list[str]:
    """What Python's regular expressions have and RE2 has not."""
    bare = re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "[]", pattern)  # all is plain in brackets
    found = re.findall(r"\(\?[=!<>(#P]|\\[1-9GZRXK]|[*+?}]\+|\(\?[aLu]", bare)
    return found + [one for one in re.findall(r"\{(\d+)", bare) if int(one) > 1000]


@every_kind
def test_patterns_are_re2(kind: Kind) -> None:
    schema = structural_schema(kind)
    for place, one in _schemas(schema):
        assert not foreign_to_re2(one.get("pattern", "")), place
    for place, text, _, _ in celcost.rules(schema):
        for pattern in re.findall(r"matches\('((?:[^'\\]|\\.)*)'\)", text):
            assert not foreign_to_re2(pattern.replace("\\\\", "\\")), place


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", "(?!a)b", "(?<=a)b", r"(a)\1", r"a\Z", "a++", "a{1001}", "(?P<n>a)"]
)
def test_foreign_patterns_are_seen(pattern: str) -> None:
    assert foreign_to_re2(pattern)


@every_kind
def test_defaults_are_valid_where_they_stand(kind: Kind) -> None:
    """The API server refuses a default that its own schema refuses: nothing else may be required beside it."""
    for place, one in _schemas(structural_schema(kind)):
        if "default" in one:
            assert place == ".status"
            jsonschema.Draft7Validator(one).validate(one["default"])


@every_kind
def test_formats_list_types_and_limits_are_known_ones(kind: Kind) -> None:
    for place, one in _schemas(structural_schema(kind)):
        assert one.get("format", "int64") in ("int64", "date-time"), place
        listed = one.get("x-kubernetes-list-type")
        assert listed in (None, "map", "set", "atomic"), place
        if listed == "map":
            items = one["items"]
            for key in one["x-kubernetes-list-map-keys"]:
                assert key in items["required"] and items["properties"][key]["type"] == "string", place
        if listed == "set":
            assert one["items"]["type"] in ("string", "integer"), place
        if (
            one.get("type") == "integer"
            and max(abs(one.get("maximum", 0)), abs(one.get("minimum", 0))) >= 1 << 31
        ):
            assert one.get("format") == "int64", f"{place}: more than 32 bits"


@every_kind
def test_metadata_is_narrowed_by_its_name_alone(kind: Kind) -> None:
    metadata = structural_schema(kind)["properties"]["metadata"]
    assert metadata["type"] == "object"
    assert set(metadata) == {"type", "properties"} and set(metadata["properties"]) <= {"name", "generateName"}


@every_kind
def test_names_are_labels_and_columns_are_told_apart(kind: Kind) -> None:
    """All are DNS labels (RFC 1035) to the API server; `kind` and `listKind` in lower case."""
    spec = crd(kind)["spec"]
    names = spec["names"]
    labels = [names["plural"], names["singular"], *names["shortNames"], *names["categories"]]
    for one in [*labels, names["kind"].lower(), names["listKind"].lower()]:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", one), one
    assert names["listKind"] == f"{names['kind']}List" != names["kind"]
    assert "preserveUnknownFields" not in spec, "it was for v1beta1; unknown fields are pruned"
    (version,) = spec["versions"]
    titles = [one["name"].lower() for one in version["additionalPrinterColumns"]]
    assert len(titles) == len(set(titles)) and "name" not in titles


@every_kind
def test_columns_are_paths_that_kubectl_can_follow(kind: Kind) -> None:
    """A list's item by an equal field, or plain fields; nothing else is needed, and all of it must be quoted well."""
    (version,) = crd(kind)["spec"]["versions"]
    path = re.compile(r"(\.[a-zA-Z]\w*|\[\?\(@\.\w+==\"\w+\"\)\])+")
    for column in version["additionalPrinterColumns"]:
        assert path.fullmatch(column["jsonPath"]), column
        assert column["type"] in ("integer", "number", "string", "boolean", "date")


# --- names --------------------------------------------------------------------------------------------------------

# What Kubernetes itself and what most clusters have besides: `kubectl get NAME` must go on meaning that.
TAKEN = set(
    re.findall(
        r"\w+",
        """
        all bgp bo cert certs cj cm configmap cr crd crds cs csr csinode deploy ds endpoint endpoints ep es ev event
        events externalsecret gc gtw gw hc helmrepo hpa hr httproute ing ingress issuer job jobs ks lease leases limits
        netpol no node nodes np ns ocirepo pc pdb po pod pods prom promrule psp pv pvc quota rc role rs sa sc secret
        secrets service services smon ss sts svc va vpa vs vwc
        """,
    )
)


def test_short_names_take_nothing_from_others() -> None:
    ours = {name for kind in KINDS.values() for name in (kind.plural, kind.singular, *kind.short_names)}
    assert not ours & TAKEN
    for kind in KINDS.values():
        for name in (kind.plural, kind.singular, *kind.short_names):
            assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
        assert kind.singular == kind.name.lower() and kind.plural != kind.singular
