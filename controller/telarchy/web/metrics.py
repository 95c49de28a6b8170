"""Figures for Prometheus, of one fleet or of many. Read when somebody asks; nothing is counted twice in between.

Both runtimes use this: a loop that runs alone has one fleet, an operator has one per namespace. What only one of them
has (a Lease, a queue of statuses) comes as further figures of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from telarchy.core.loop import Reconciler
from telarchy.resources.meta import Ref
from telarchy.web import loopfigures, streamfigures
from telarchy.web.loopfigures import LoopFigures
from telarchy.web.reports import ReportBook
from telarchy.web.streamfigures import StreamingFigures

CONTENT_TYPE = CONTENT_TYPE_LATEST
_TITLES = ("met", "lacking", "copying", "badlyPlaced", "unrecoverable", "unknown")


class StatusOf(Protocol):
    """What was last reported about a resource."""

    def __call__(self, ref: Ref) -> Mapping[str, object] | None: ...


@dataclass(frozen=True)
class FleetFigures:
    """One fleet at this moment.

    reconciler:  its loop, None while another replica acts on it
    status:      what was last reported about a resource
    gauges:      further figures by name without prefix, like `status_queue`
    counters:    likewise, only ever growing
    """

    namespace: str
    reconciler: Reconciler | None
    status: StatusOf
    gauges: Mapping[str, float] = field(default_factory=dict)
    counters: Mapping[str, float] = field(default_factory=dict)


Figures = Callable[[], Iterable[FleetFigures]]

_HELP = {
    "leading": "Whether this replica acts on the fleet.",
    "fencing_epoch": "Epoch that this replica writes with; 0 while another one acts.",
    "status_queue": "Objects whose status is not written yet.",
    "status_writes": "Statuses written to the API server.",
    "status_retries": "Status writes that were refused for now, and tried again.",
    "status_refused": "Status writes that the API server will never take.",
    "events_posted": "Kubernetes events posted.",
    "events_dropped": "Kubernetes events lost.",
    "failures": "Times in a row that acting on this fleet failed.",
    "watch_behind_seconds": "For how long the watch has not told of something that a list has.",
    "list_age_seconds": "Seconds since watch and list last agreed.",
    "objects": "Objects that the watch told of.",
}


def metrics_text(
    figures: Figures,
    operator: Mapping[str, float] | None = None,
    *,
    players: ReportBook | None = None,
) -> bytes:
    """All metrics in Prometheus' text format, those of the process too.

    operator:  gauges without a namespace
    players:   what players told
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(_Fleets(figures, operator or {}, players))
    return generate_latest(registry)


class _Fleets(Collector):
    """Makes metric families of the fleets' figures."""

    def __init__(self, figures: Figures, operator: Mapping[str, float], players: ReportBook | None) -> None:
        self._figures, self._operator, self._players = figures, operator, players

    def describe(self) -> Iterable[Metric]:
        return ()  # so that registering asks for nothing yet

    def collect(self) -> Iterator[Metric]:
        fleets = list(self._figures())
        for name, value in self._operator.items():
            yield GaugeMetricFamily(f"telarchy_{name}", _HELP.get(name, name), value=value)
        yield from _further(fleets)
        acting = [(one, one.reconciler) for one in fleets if one.reconciler is not None]
        yield from _rounds(acting)
        yield from _work(acting)
        yield from _declared(acting)
        yield from loopfigures.loops(_loops(acting))
        yield from streamfigures.streaming(_streaming(acting))
        if self._players is not None:
            yield from streamfigures.players(self._players)


Acting = list[tuple[FleetFigures, Reconciler]]


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"telarchy_{name}", text, labels=("namespace", *labels))


def _further(fleets: list[FleetFigures]) -> Iterator[Metric]:
    for name in sorted({name for one in fleets for name in one.gauges}):
        gauge = _gauge(name, _HELP.get(name, name))
        for one in fleets:
            if name in one.gauges:
                gauge.add_metric([one.namespace], one.gauges[name])
        yield gauge
    for name in sorted({name for one in fleets for name in one.counters}):
        counter = CounterMetricFamily(f"telarchy_{name}", _HELP.get(name, name), labels=("namespace",))
        for one in fleets:
            if name in one.counters:
                counter.add_metric([one.namespace], one.counters[name])
        yield counter


def _rounds(acting: Acting) -> Iterator[Metric]:
    rounds = CounterMetricFamily("telarchy_rounds", "Rounds of the loop.", labels=("namespace",))
    age = _gauge("round_age_seconds", "Seconds since the last round ended.")
    settled = _gauge("settled", "Whether everything is as declared.")
    complete = _gauge("complete", "Whether every kind has been read; nothing is removed before.")
    cut_off = _gauge("cut_off", "Whether the controller itself reaches nothing.")
    for one, loop in acting:
        rounds.add_metric([one.namespace], loop.rounds)
        age.add_metric([one.namespace], max(0.0, loop.clock.now() - loop.last_round) if loop.rounds else 0.0)
        settled.add_metric([one.namespace], float(loop.settled))
        complete.add_metric([one.namespace], float(loop.world.complete))
        cut_off.add_metric([one.namespace], float(loop.observation().cut_off))
    yield from (rounds, age, settled, complete, cut_off)


def _work(acting: Acting) -> Iterator[Metric]:
    steps = _gauge("plan_steps", "Steps of the current plan.", "verb", "decision")
    size = _gauge("plan_bytes", "Bytes that the steps of the current plan move.", "verb", "decision")
    running = _gauge("running_actions", "Actions under way.", "verb")
    failing = _gauge("failing_actions", "Actions that failed, and wait for their next try.")
    held = _gauge("held_changes", "Changes that wait for a person.")
    for one, loop in acting:
        counts: Counter[tuple[str, str]] = Counter()
        volumes: Counter[tuple[str, str]] = Counter()
        for step in loop.plan.steps:
            key = (step.action.verb, str(step.decision))
            counts[key] += 1
            volumes[key] += step.action.bytes
        for key, count in counts.items():
            steps.add_metric([one.namespace, *key], count)
            size.add_metric([one.namespace, *key], volumes[key])
        for verb, count in Counter(job.action.verb for job in loop.executor.running.values()).items():
            running.add_metric([one.namespace, verb], count)
        failing.add_metric([one.namespace], len(loop.executor.attempts))
        held.add_metric([one.namespace], len(loop.plan.holds))
    yield from (steps, size, running, failing, held)


def _declared(acting: Acting) -> Iterator[Metric]:
    resources = _gauge("resources", "Resources by their Ready condition.", "kind", "ready")
    suspended = _gauge("suspended", "Resources that are suspended.", "kind")
    stalled = _gauge("stalled", "Resources that cannot be used as written.", "kind")
    hosts = _gauge("host_up", "Whether a host answers; -1 while that is not known.", "host")
    titles = _gauge("titles", "Titles under a floor by how they stand.", "floor", "state")
    for one, loop in acting:
        ready: Counter[tuple[str, str]] = Counter()
        asleep: Counter[str] = Counter()
        for ref, resource in loop.world.resources.items():
            status = one.status(ref) or {}
            ready[ref.kind, _ready(status)] += 1
            asleep[ref.kind] += resource.spec.suspend
            for state in _TITLES:
                if isinstance(count := status.get(state), int):
                    titles.add_metric([one.namespace, ref.name, state], count)
        for (kind, word), count in ready.items():
            resources.add_metric([one.namespace, kind, word], count)
        for kind, count in asleep.items():
            suspended.add_metric([one.namespace, kind], count)
        for kind, count in Counter(ref.kind for ref in loop.world.stalled).items():
            stalled.add_metric([one.namespace, kind], count)
        for name, evidence in loop.observation().hosts.items():
            up = -1.0 if evidence.reached is None else float(evidence.reached)
            hosts.add_metric([one.namespace, name], up)
    yield from (resources, suspended, stalled, hosts, titles)


def _streaming(acting: Acting) -> Iterator[StreamingFigures]:
    for one, loop in acting:
        statuses = [(ref, one.status(ref) or {}) for ref in loop.world.resources]
        section = loop.observation().sections.get("streaming")
        found = streamfigures.figures_of(one.namespace, section, loop.clock.now(), statuses)
        if found is not None:
            yield found


def _loops(acting: Acting) -> Iterator[LoopFigures]:
    for one, loop in acting:
        statuses = [(ref, one.status(ref) or {}) for ref in loop.world.resources]
        yield LoopFigures(one.namespace, loop.tally, statuses, len(loop.world.departing))


def _ready(status: Mapping[str, object]) -> str:
    conditions = status.get("conditions")
    for one in conditions if isinstance(conditions, list) else ():
        if one.get("type") == "Ready":
            return str(one.get("status"))
    return "Unknown"


def metrics_application(text: Callable[[], tuple[bytes, str]]) -> web.Application:
    """Answers GET /metrics with what `text` gives (body, content type), and nothing else."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body, kind = text()
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: kind, hdrs.CACHE_CONTROL: "no-store"})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    return app
