"""A rule about several fields (or about the inside of one string), written down once.

Three readers need the same rule: pydantic (`telarchy validate`, the controller), the Kubernetes API server
(CEL under `x-kubernetes-validations`, kept by kubectl users without Telarchy running), and the person who
broke it. A `Rule` holds all three forms side by side; the tests feed the same specs to the predicate and to
the CEL text, so they cannot drift apart.

CEL is kept to what every evaluator has: comparison, `has`, `size`, `all`, `exists`, `matches` (RE2). The
API server refuses a rule whose estimated cost is unbounded, so everything a rule reaches has a maximum
length. CEL sees what the person wrote, without defaults (the CRDs carry none: server-side defaulting
rewrites stored objects), hence the `has(x) ? x : default` in some texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

RULES_BROKEN = "rules_broken"  # the pydantic error type that carries broken rules, see `broken`
SHAPE_BROKEN = "shape_broken"


@dataclass(frozen=True)
class Rule:
    """`holds(model or string)` is the rule; `cel` says the same about `self`; `message` is for a person.

    `field` is where the finger points: the manifest's (camelCase) name of the field at fault, or "" for the
    whole value.
    """

    id: str
    message: str
    holds: Callable[[Any], bool]
    cel: str
    field: str = ""

    def validation(self) -> dict[str, str]:
        """This rule as one item of `x-kubernetes-validations`."""
        return {"rule": self.cel, "message": self.message}


def broken(value: Any, rules: tuple[Rule, ...]) -> None:
    """Raise one pydantic error that carries every rule `value` breaks (pydantic takes only one per model).

    The error's context is `{"rules": [(id, field, message), …]}`; the loader turns each into a problem.
    """
    found = [(rule.id, rule.field, rule.message) for rule in rules if not rule.holds(value)]
    if found:
        says = "; ".join(message for _, _, message in found)
        raise PydanticCustomError(RULES_BROKEN, "{says}", {"says": says, "rules": found})


class Checked:
    """Annotates a type with rules: `Annotated[str, Checked(RULE, …)]`."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def check(value: Any) -> Any:
            broken(value, self.rules)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "x-kubernetes-validations": [rule.validation() for rule in self.rules]}


class Shaped:
    """Annotates a string type with a pattern and the sentence that explains it.

    pydantic's own `pattern=` can only tell a person the regular expression. The pattern is RE2 (no
    look-around), anchored at both ends.
    """

    def __init__(self, pattern: str, says: str) -> None:
        self.pattern, self.says = pattern, says
        self._compiled = re.compile(pattern, re.ASCII)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def check(value: str) -> str:
            # fullmatch, since `$` alone lets a trailing newline through
            if self._compiled.fullmatch(value) is None:
                raise PydanticCustomError(SHAPE_BROKEN, "{says}", {"says": self.says})
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.pattern}
