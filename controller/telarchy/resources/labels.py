"""Selecting by labels, as Kubernetes does (metav1.LabelSelector)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from telarchy.resources.meta import LabelKey, Labels, LabelValue, Model
from telarchy.resources.rules import Rule

SelectorOperator = Literal["In", "NotIn", "Exists", "DoesNotExist"]


class LabelRequirement(Model):
    """One requirement on a label, as in Kubernetes' label selectors."""

    key: LabelKey = Field(description="The label.")
    operator: SelectorOperator = Field(description="How `values` are compared.")
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = Field(
        default=(), description="For In and NotIn."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "selector-values-missing",
            "`In` and `NotIn` need at least one value",
            lambda one: one.operator not in ("In", "NotIn") or len(one.values) > 0,
            "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
            "values",
        ),
        Rule(
            "selector-values-unwanted",
            "`Exists` and `DoesNotExist` take no values",
            lambda one: one.operator not in ("Exists", "DoesNotExist") or not one.values,
            "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0",
            "values",
        ),
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Kubernetes' semantics: NotIn also holds where the label is missing."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None


class LabelSelector(Model):
    """Selects by labels; every given requirement must hold. An empty selector matches everything."""

    match_labels: Labels = Field(default_factory=dict, description="Labels that must have these values.")
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=32)] = Field(
        default=(), description="Further requirements."
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )
