"""How often in a row a process was started without a run that lasted: the sign of a crash loop. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from telarchy.core.service import LASTED_SECONDS, ServiceSeen, ServiceState

NO_INPUT = 66  # how `scripts/ladder.sh` ends where the source had nothing to give; EX_NOINPUT of sysexits.h


class ShortRuns:
    """Of the services of one endpoint, as far as they were watched.

    A run that lasted ends a row. So does a publisher that left, since his encoder is to end with him, a source that
    had nothing to give, and another service of the same name.
    """

    def __init__(self) -> None:
        self._begun: dict[
            str, tuple[str, int]
        ] = {}  # start_digest, and how often it was started before the row

    def note(self, services: Mapping[str, ServiceSeen], now: float) -> dict[str, int]:
        """Starts in the present row, by service; of those that have any."""
        for gone in self._begun.keys() - services.keys():
            del self._begun[gone]
        found = {}
        for name, service in services.items():
            ran = service.state is ServiceState.RUNNING and now - service.since >= LASTED_SECONDS
            known, first = self._begun.get(name, ("", 0))
            fresh = known != service.start_digest or service.starts < first
            idle = service.state is ServiceState.WAITING or service.code == NO_INPUT
            if fresh or ran or idle:
                known, first = self._begun[name] = service.start_digest, service.starts
            if service.starts > first:
                found[name] = service.starts - first
        return found
