"""Liveness and metrics over HTTP. Nothing here tells more than ages and counts; no titles, no names of files.

Alive means: the loop of every fleet that this replica acts on ended a round lately, and the watch tells what lists
say. When the API server itself does not answer, a restart would mend nothing: that is reported, and counts as alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from aiohttp import web

from telarchy.errors import ConfigError
from telarchy.runtime.kubernetes.listing import STALE_SECONDS
from telarchy.web.metrics import FleetFigures, metrics_text
from telarchy.web.reports import ReportBook

if TYPE_CHECKING:
    from telarchy.runtime.kubernetes.fleet import ClusterFleet
    from telarchy.runtime.kubernetes.operator import Operator

ROUND_STALE_SECONDS = 180.0  # six missed heartbeats
FIRST_ROUND_SECONDS = 120.0  # a new leader may take so long until its first one


class HealthServer:
    """Serves `address` (`http://host:port/path`) and `/metrics` while inside `async with`. "" serves nothing.

    operator:  who is asked; another one when watching began anew
    """

    def __init__(self, operator: Operator, address: str) -> None:
        self.operator, self._address = operator, address
        self.players: ReportBook | None = None  # what players told, where a web server runs
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        if not self._address:
            return self
        host, port, path = parse_address(self._address)
        app = web.Application()
        app.add_routes([web.get(path, self._health), web.get("/metrics", self._metrics)])
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1.0, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"{self._address} cannot be served: {error.strerror or error}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, _: web.Request) -> web.Response:
        report = self.report()
        return web.json_response(report, status=200 if report["status"] == "ok" else 503)

    def report(self) -> dict[str, Any]:
        return health(self.operator)

    def figures(self) -> list[FleetFigures]:
        return [_figures(one) for one in self.operator.fleets.values()]

    async def _metrics(self, _: web.Request) -> web.Response:
        operator = self.operator
        figures = metrics_text(
            self.figures,
            {
                "watch_behind_seconds": operator.listings.behind,
                "list_age_seconds": operator.listings.age or 0.0,
            },
            players=self.players,
        )
        return web.Response(body=figures, headers={"Content-Type": _METRICS_TYPE})


_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def health(operator: Operator) -> dict[str, Any]:
    """Ages in seconds, depths in objects, and in `faults` why this replica should be restarted."""
    fleets = {name: _fleet(one) for name, one in sorted(operator.fleets.items())}
    faults = list(_faults(operator, fleets))
    return {
        "status": "stale" if faults else "ok",
        "faults": faults,
        "listed": operator.listings.age is not None,
        "listAge": _rounded(operator.listings.age),
        "watchBehind": round(operator.listings.behind, 1),
        "waitingFor": list(operator.waiting),
        "leftOut": dict(operator.refused),
        "unreachable": list(operator.listings.failing),
        "queueDepth": sum(one["queueDepth"] for one in fleets.values()),
        "fleets": fleets,
    }


def _fleet(fleet: ClusterFleet) -> dict[str, Any]:
    engine = fleet.engine
    report: dict[str, Any] = {
        "leading": engine is not None,
        "leader": fleet.lease.holder,
        "objects": len(fleet.objects),
        "queueDepth": fleet.statuses.depth,
        "failures": fleet.failures,
    }
    if engine is not None:
        loop = engine.reconciler
        report["rounds"] = loop.rounds
        # before the first round, the age of the tenure counts
        since = loop.last_round or fleet.leading_since
        report["roundAge"] = round(max(0.0, engine.clock.now() - since), 1)
    return report


def _faults(operator: Operator, fleets: dict[str, dict[str, Any]]) -> Iterator[str]:
    behind = operator.listings.behind
    if behind > STALE_SECONDS:
        yield f"the watch has not told of something that is there for {behind:.0f} s"
    for name, one in fleets.items():
        limit = ROUND_STALE_SECONDS if one.get("rounds") else FIRST_ROUND_SECONDS
        if one.get("roundAge", 0.0) > limit:
            yield f"the loop of {name} has not ended a round for {one['roundAge']:.0f} s"


def _figures(fleet: ClusterFleet) -> FleetFigures:
    engine = fleet.engine
    return FleetFigures(
        namespace=fleet.namespace,
        reconciler=engine.reconciler if engine is not None else None,
        status=fleet.reported,
        gauges={
            "leading": float(engine is not None),
            "fencing_epoch": float(fleet.tenure.epoch if fleet.tenure is not None else 0),
            "objects": float(len(fleet.objects)),
            "status_queue": float(fleet.statuses.depth),
            "failures": float(fleet.failures),
        },
        counters={
            "status_writes": float(fleet.statuses.written),
            "status_retries": float(fleet.statuses.retried),
            "status_refused": float(fleet.statuses.refused),
            "events_posted": float(fleet.events.posted),
            "events_dropped": float(fleet.events.dropped),
        },
    )


def parse_address(text: str) -> tuple[str, int, str]:
    """`http://0.0.0.0:8080/healthz` → host, port, path. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "http" or not parts.hostname or port is None or parts.path == "/metrics":
        raise ConfigError(f"{text!r} is no address to be probed at; write http://0.0.0.0:8080/healthz")
    return parts.hostname, port, parts.path or "/healthz"


def _rounded(age: float | None) -> float | None:
    return None if age is None else round(age, 1)
