"""Figures about the loops themselves for Prometheus: rounds, what became of actions, brakes, what is left to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from telarchy.core.tally import ROUND_BOUNDS, Tally
from telarchy.resources.meta import Ref


@dataclass(frozen=True)
class LoopFigures:
    """One fleet's loop at this moment. `departing`: how many deleted resources are still on hosts, or may be."""

    namespace: str
    tally: Tally
    statuses: Iterable[tuple[Ref, Mapping[str, Any]]]
    departing: int


def loops(found: Iterable[LoopFigures]) -> Iterator[Metric]:
    took = HistogramMetricFamily(
        "telarchy_round_seconds", "How long rounds took, from thinking to telling.", labels=("namespace",)
    )
    ended = CounterMetricFamily(
        "telarchy_actions", "Actions that ended, by how.", labels=("namespace", "verb", "outcome")
    )
    brake = GaugeMetricFamily(
        "telarchy_brake_engaged", "Whether the fleet brake is on.", labels=("namespace",)
    )
    left = GaugeMetricFamily(
        "telarchy_bytes_to_move", "Bytes that are lacking under a floor.", labels=("namespace", "floor")
    )
    departing = GaugeMetricFamily(
        "telarchy_departing", "Deleted objects that are still undone on hosts.", labels=("namespace",)
    )
    for one in found:
        bounds = [str(bound) for bound in ROUND_BOUNDS] + ["+Inf"]
        counts = [float(count) for count in accumulate(one.tally.rounds)]
        took.add_metric([one.namespace], list(zip(bounds, counts, strict=True)), sum_value=one.tally.seconds)
        for (verb, outcome), count in sorted(one.tally.outcomes.items()):
            ended.add_metric([one.namespace, verb, outcome], count)
        for ref, status in one.statuses:
            if ref.kind == "Fleet":
                state = status.get("brake") or {}
                brake.add_metric([one.namespace], float(bool(state.get("engaged"))))
            if isinstance(size := status.get("bytesToMove"), int):
                left.add_metric([one.namespace, ref.name], size)
        departing.add_metric([one.namespace], one.departing)
    yield from (took, ended, brake, left, departing)
