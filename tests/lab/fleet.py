"""What the `fleet` fixture promises: hosts by name, reset, with freshly made volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tests.lab.host import LabHost


class MakeFleet(Protocol):
    """Call it with names, and with volumes as where → megabytes."""

    def __call__(
        self,
        *names: str,
        volumes: Mapping[str, int] | None = None,
        packages: Sequence[str] = (),
        fresh: bool = False,
    ) -> tuple[LabHost, ...]:
        """Hosts of these names (nas, vps and laptop without any), each with one 256 MB volume at
        /srv/media unless `volumes` says otherwise."""
        ...
