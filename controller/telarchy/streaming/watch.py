"""What looks at an endpoint on its host, and what removes old generations there: argv for a link. Pure.

One process per endpoint runs over the connection that there is anyway, reports when something happened and else every
two seconds, and ends when nobody listens. `report.Reports` reads what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telarchy.core.owner import Claim
from telarchy.links.scripts import text as link_text
from telarchy.links.services import claim_args
from telarchy.streaming.scripts import text

PERIOD_SECONDS = 2
VIEWER_TARGETS = 3  # target durations within which somebody who watches fetches a playlist


@dataclass(frozen=True)
class Elsewhere:
    """A stream that the endpoint's server has from another one: it lies in no spool here."""

    stream: str
    generation: str
    renditions: tuple[str, ...]  # with "audio", where there is sound


def watch_argv(
    base: str,
    *,
    web_port: int | None = None,
    stat_port: int | None = None,
    elsewhere: Sequence[Elsewhere] = (),
    sources: Sequence[tuple[str, str]] = (),
    period: int = PERIOD_SECONDS,
    target: float = 2.0,
    once: bool = False,
    by: Claim | None = None,
) -> list[str]:
    """For `link.stream`; with `once` for `link.run`, and then nothing on the host is touched.

    web_port:   on 127.0.0.1, where the endpoint's own server shows what viewers get (`layout.health_port`); None
                where it has none, and then the spool itself is read
    stat_port:  on 127.0.0.1, of the ingest's `/stat`
    sources:    names and base URLs of endpoints from which it may fetch: whether they answer there is tried
    target:     the longest target duration of its streams, seconds
    by:         who looks: its owner leaves a sign of life there
    """
    targets = [f"{one.stream}/{one.generation}/{','.join(one.renditions)}" for one in elsewhere]
    targets += [f"@{name}={url}" for name, url in sources]
    window = str(max(1, round(VIEWER_TARGETS * target)))
    ports = ["" if port is None else str(port) for port in (web_port, stat_port)]
    return _argv("watch", base, str(period), "yes" if once else "no", *ports, window, *targets, by=by)


def prune_argv(base: str, stream: str, generations: Sequence[str], by: Claim | None = None) -> list[str]:
    """For `link.run`. Status 3: the folder is not ours, or a symlink; 6 and 7: it is another controller's."""
    return _argv("prune", base, stream, *generations, by=by)


def _argv(name: str, *args: str, by: Claim | None) -> list[str]:
    parts = ["job-lib", "service-lib", "service-owner", "service-status"]
    script = "\n".join([*map(link_text, parts), text(name)])
    return ["/bin/sh", "-c", script, name, *claim_args(by), *args]
