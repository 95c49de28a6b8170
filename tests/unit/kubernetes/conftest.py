"""The chart, rendered once by real Helm with all the values of `values_cases.yaml`."""

from __future__ import annotations

import pytest

from tests.unit.kubernetes import helm
from tests.unit.kubernetes.charts import CASES, WRONG_FOR_HELM


@pytest.fixture(scope="session")
def rendered() -> dict[str, helm.Rendered]:
    if not helm.available():
        pytest.skip(helm.WHY_SKIPPED)
    orders = {name: helm.Order(values, namespace="media") for name, values in CASES["good"].items()}
    orders |= {name: helm.Order(CASES["wrong"][name]) for name in WRONG_FOR_HELM}
    orders |= {name: helm.Order(case["values"]) for name, case in CASES["impossible"].items()}
    return dict(zip(orders, helm.render(list(orders.values())), strict=True))
