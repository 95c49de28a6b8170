"""The proof that a copy may go: values that cannot be made while there is any doubt (custody rule 1).

A `VerifiedCopy` is a keeper that was read within the day, looked at again just now, and whose host promised not
to give it up meanwhile. A `FloorProof` needs enough of them on other failure domains, and runs out. Moving a
copy to the trash takes a `FloorProof`; there is no other way to come by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from telarchy.custody.manifest import Manifest
from telarchy.errors import SafetyRefusal

FRESH_SECONDS = 24 * 3600.0
LEASE_SECONDS = 600  # a host's promise, by its own clock
MARGIN_SECONDS = 120.0  # what clocks may differ by over a promise, and a rename may take

LAST_COPY = "last-copy"


def _refuse(message: str) -> SafetyRefusal:
    return SafetyRefusal(LAST_COPY, message)


@dataclass(frozen=True)
class VerifiedCopy:
    """A copy that can be counted on right now. Made by `show`, which refuses what is not so.

    until: monotonic time at which its host's promise runs out
    """

    volume: str
    host: str
    domain: str
    always_on: bool
    manifest: Manifest
    until: float

    @classmethod
    def show(
        cls,
        *,
        volume: str,
        host: str,
        domain: str,
        always_on: bool,
        recorded: Manifest,
        seen_now: Manifest,
        now: float,
        asked_at: float,
    ) -> VerifiedCopy:
        """A keeper, if it is one.

        recorded:  its files with digests and the time they were read
        seen_now:  its files as its host listed them with the promise
        now:       seconds since the epoch; asked_at: monotonic time before the promise was asked for
        Raises SafetyRefusal.
        """
        if not recorded:
            raise _refuse(f"nothing is recorded of the copy on {host}")
        for one in recorded:
            if one.damaged:
                raise _refuse(f"{one.path!r} is damaged on {host}")
            if not one.sha256:
                raise _refuse(f"{one.path!r} on {host} was never read")
            if not 0 <= now - one.verified_at <= FRESH_SECONDS:
                raise _refuse(f"{one.path!r} on {host} was not read within the day")
        if [(one.path, one.size, one.mtime_ns) for one in recorded] != [
            (one.path, one.size, one.mtime_ns) for one in seen_now
        ]:
            raise _refuse(f"the copy on {host} is not as it was when it was read")
        return cls(volume, host, domain, always_on, recorded, asked_at + LEASE_SECONDS)


class FloorProof:
    """That a title keeps its floor without the copy on `victim`. Good until `expires` (monotonic time)."""

    def __init__(
        self,
        *,
        victim: str,
        victim_domain: str,
        leaving: Manifest,
        keepers: Iterable[VerifiedCopy],
        floor: int,
        always_on: int,
    ) -> None:
        """Raises SafetyRefusal when it is not so.

        leaving: the victim's files as they lie there, and were read; each must be on every keeper, the same
        """
        if floor < 1:
            raise _refuse("a floor below one copy proves nothing")
        by_domain: dict[str, VerifiedCopy] = {}
        for keeper in keepers:
            if keeper.volume == victim or keeper.domain == victim_domain:
                continue
            known = by_domain.get(keeper.domain)
            if known is None or keeper.always_on > known.always_on:
                by_domain[keeper.domain] = keeper
        self.keepers = tuple(by_domain[domain] for domain in sorted(by_domain))
        if len(self.keepers) < floor:
            raise _refuse(
                f"only {len(self.keepers)} verified copies are on other failure domains, and {floor} must remain"
            )
        awake = sum(keeper.always_on for keeper in self.keepers)
        if awake < always_on:
            raise _refuse(f"only {awake} of them are on always-on hosts, and {always_on} must be")
        contents = {
            tuple((one.path, one.size, one.sha256) for one in keeper.manifest) for keeper in self.keepers
        }
        if len(contents) != 1:
            raise _refuse("the copies that would remain are not the same")
        kept = {one.path: (one.size, one.sha256) for one in self.keepers[0].manifest}
        for one in leaving:
            if one.damaged or not one.verified_at or kept.get(one.path) != (one.size, one.sha256):
                raise _refuse(f"{one.path!r} is on no keeper as it is here")
        self.victim = victim
        self.expires = min(keeper.until for keeper in self.keepers) - MARGIN_SECONDS

    def check(self, victim: str, now: float) -> None:
        """Raise SafetyRefusal unless this is about that volume and still good at monotonic time `now`."""
        if victim != self.victim:
            raise _refuse("this proof is about another copy")
        if now >= self.expires:
            raise _refuse("the proof ran out before the copy could be moved")
