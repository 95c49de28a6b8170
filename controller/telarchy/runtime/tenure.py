"""The right to act on a fleet, when somebody above the hosts grants it: the holder of a Kubernetes Lease.

A controller that runs alone has none; it finds out on the hosts themselves whether another one is at work.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tenure:
    """One holder's time in office.

    id:     of the office, not of its holder: every replica that may follow shows the same id to the hosts, so
            that the next one need not wait until the lease files of the last one have grown old
    name:   of the holder, for people
    epoch:  the least fencing epoch to write with; each tenure has a higher one than the one before it
    """

    id: str
    name: str
    epoch: int
