"""Who may write: one controller at a time, by a lease file with a fencing epoch on every volume (custody rule 8).

A controller that finds nobody else's lease renewed lately takes the next epoch and writes it on each volume. One
that sees a higher epoch of another stops at once; hosts refuse its scripts from then on anyway. Ages are by the
clock of the host that holds the file, so no two clocks are ever compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from telarchy.custody.looking import Lease

LEASE_SECONDS = 90.0
RENEW_SECONDS = 20.0  # four renewals may get lost before somebody else takes over


@dataclass(frozen=True)
class Controller:
    """Which controller this is: an id that lives in its state folder, and a name for people. Neither has spaces
    or control characters."""

    id: str
    name: str

    def __post_init__(self) -> None:
        if not self.id or any(character.isspace() for character in self.id):
            raise ValueError(f"{self.id!r} cannot be a controller's id")
        plain = "".join(c if c.isprintable() else "?" for c in self.name)
        object.__setattr__(self, "name", plain.strip() or self.id)  # as the hosts' shells read it back


@dataclass(frozen=True)
class Writer:
    """The right to write, as it is handed to scripts."""

    epoch: int
    controller: Controller

    @property
    def args(self) -> tuple[str, str, str]:
        return (str(self.epoch), self.controller.id, self.controller.name)


class WriterLease:
    """What this controller knows about the lease.

    epoch:   the one it writes with, 0 while it may not
    fenced:  why it may not, "" when it may
    """

    def __init__(
        self,
        controller: Controller,
        *,
        remembered: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.controller = controller
        self._monotonic = monotonic
        self._renewed: dict[Lease, float] = {}  # of rivals (age 0): when we know it was, by our own clock
        self.epoch = 0
        self.fenced = "checking first that no other controller writes to these volumes"
        self._highest = remembered
        self._held = 0  # the highest that this very process wrote with

    @property
    def writer(self) -> Writer | None:
        return Writer(self.epoch, self.controller) if self.epoch else None

    def consider(self, leases: Iterable[Lease]) -> None:
        """Take in the leases that the volumes showed at the last look, and take, keep or lose our own."""
        seen = list(leases)
        self._highest = max([self._highest, self.epoch, *(one.epoch for one in seen)])
        others = [one for one in seen if self._is_rival(one)]
        # A higher epoch of our own that we find is an earlier process of the same state folder: it is gone, or it
        # will stop.
        if self._highest > self.epoch or any(one.epoch == self.epoch for one in others):
            self.epoch = 0
        if self.epoch:
            return
        self.fenced = self._in_the_way(others)
        if not self.fenced:
            self._highest += 1
            self.epoch = self._held = self._highest

    def _is_rival(self, lease: Lease) -> bool:
        """Whether it is not ours: another controller's, or that of a later process with our id, which there is
        when the state folder was copied. To outbid that one would go on in turns for ever."""
        if lease.controller != self.controller.id:
            return True
        mark, ours = (lease.epoch, lease.name), (self._held, self.controller.name)
        return self._held > 0 and lease.epoch >= self._held and mark != ours

    def unquestioned(self, leases: Iterable[Lease | None]) -> bool:
        """Whether we may write, and none of these says otherwise."""
        return self.epoch > 0 and all(
            one is None or (one.epoch <= self.epoch and not self._is_rival(one)) for one in leases
        )

    def peek(self, leases: Iterable[Lease]) -> None:
        """Say who is in the way, without taking anything: for a controller that only looks once."""
        self.fenced = self._in_the_way([one for one in leases if one.controller != self.controller.id])

    def _in_the_way(self, others: list[Lease]) -> str:
        alive = [one for one in others if self._is_alive(one)]
        if not alive:
            return ""
        holder = max(alive, key=lambda one: (one.epoch, -one.age))
        who = f"controller {holder.name} ({holder.controller})"
        if holder.controller == self.controller.id:
            who = f"controller {holder.name}, with the same id as this one (is its state folder a copy?),"
        return (
            f"{who} is at work here (epoch {holder.epoch}); this one only "
            f"looks, and takes over when that one has been silent for {LEASE_SECONDS:.0f} s"
        )

    def _is_alive(self, lease: Lease) -> bool:
        """Renewed lately by its host's clock, or as we saw it ourselves: a host's clock that jumps ends no lease."""
        now, whose = self._monotonic(), replace(lease, age=0.0)
        # An age far below zero is a clock that was set back, not a lease of tomorrow.
        if abs(lease.age) < LEASE_SECONDS:
            renewed = now - max(0.0, lease.age)
            self._renewed[whose] = max(renewed, self._renewed.get(whose, renewed))
        return now - self._renewed.get(whose, -LEASE_SECONDS + now) < LEASE_SECONDS

    def lost(self, complaint: str) -> None:
        """A host refused our epoch: stop until the next look says who has it."""
        self.epoch = 0
        self.fenced = complaint
