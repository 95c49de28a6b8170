"""What lies in a staging folder once a transfer has run, held against its source.

Of many files the disk takes the last ones a good while after the line has brought them. Where the job tells that it
has read them all, what it read is fetched and compared meanwhile, and the folder is looked at; then nothing is left
to do afterwards but the rename. Nothing is committed before the job has ended well.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from telarchy.core.clock import SteadyClock
from telarchy.custody.actions import Copy
from telarchy.custody.digests import in_title, read_otherwise
from telarchy.custody.manifest import FileSeen, Manifest
from telarchy.custody.survey import Place, TitleNow, survey
from telarchy.custody.transfer import Transfer
from telarchy.custody.working import give_up
from telarchy.errors import ActionFailed, HostUnreachable

SETTLING = b"settling"  # what a job tells once it has read all, in reader.py


@dataclass(frozen=True)
class Arrived:
    """good:    path -> SHA-256, as the source has them
    wrong:   paths that did not arrive so
    staged:  the title's files as they lie in the staging folder, to be recorded; None where that was not looked at, or
             holds anything else
    """

    good: dict[str, str]
    wrong: list[str]
    staged: Manifest | None = None


class Arrival:
    """One transfer's. `reading` comes to the digests of the source's files."""

    def __init__(
        self,
        action: Copy,
        transfer: Transfer,
        target: Place,
        missing: Manifest,
        reading: asyncio.Task[dict[str, str]],
        clock: SteadyClock,
    ) -> None:
        self._action, self._transfer, self._target = action, transfer, target
        self._missing, self._reading, self._clock = missing, reading, clock
        self._early: asyncio.Task[Arrived] | None = None

    def told(self, line: bytes) -> None:
        """A line of the job's progress; b"" when the job begins anew, and what was read of it says nothing."""
        if not line:
            self.let_go()
        elif line.startswith(SETTLING) and self._early is None:
            self._early = asyncio.create_task(self._compare(look=True))

    async def arrived(self) -> Arrived:
        """What came of it, once the transfer has run. Raises ActionFailed, SafetyRefusal, HostUnreachable."""
        if self._early is not None:
            # That was for haste alone: what it could not find out, or did not find good, is found out in peace.
            with suppress(ActionFailed, HostUnreachable, TimeoutError):
                early = await self._early
                if not early.wrong:
                    return early
        return await self._compare(look=False)

    def let_go(self) -> None:
        """End what is under way."""
        if self._early is not None:
            give_up(self._early)
            self._early = None

    async def _compare(self, *, look: bool) -> Arrived:
        title = self._action.title
        seen = asyncio.create_task(self._look()) if look else None
        try:
            readings = await self._transfer.arrived()
            good = await asyncio.shield(self._reading)  # others wait for it, whatever becomes of this
            expected = {in_title(title, one.path): (one.size, good[one.path]) for one in self._missing}
            otherwise = set(read_otherwise(readings, expected))
            wrong = [one.path for one in self._missing if in_title(title, one.path) in otherwise]
            staged = self._staged(await seen, good) if seen is not None and not wrong else None
            return Arrived(good, wrong, staged)
        finally:
            if seen is not None:
                give_up(seen)

    async def _look(self) -> TitleNow:
        return await survey(self._target, f".telarchy/staging/{self._action.id}/{self._action.title}")

    def _staged(self, now: TitleNow, good: dict[str, str]) -> Manifest | None:
        files = now.listing.files
        expected = {one.path: one.size for one in self._missing}
        if not now.whole or {path: size for path, (size, _) in files.items()} != expected:
            return None
        read_at = self._clock.now()
        return tuple(
            [
                FileSeen(path, size, mtime_ns, good[path], read_at)
                for path, (size, mtime_ns) in sorted(files.items())
            ]
        )
