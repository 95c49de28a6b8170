"""What a person released: `telarchy.dev/approve: <hash>` on the Fleet, or on the object that the change is for.

The annotation names a held change by its hash, as `status.held` shows it; `<hash>@<time>` says when. It counts for a
week and releases exactly the actions that were held under that hash. Taking the annotation away withdraws it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telarchy.core.plan import Hold
from telarchy.resources.meta import Ref, parse_time
from telarchy.store import Store
from telarchy.store.approvals import VALID_SECONDS

FIRST_SEEN = "approvals/seen"  # memory key: when each word of an annotation was first read


class AnnotatedApprovals:
    """Turns annotations into approvals of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted: dict[str, float] = {}  # hash → when it was given, seconds since the epoch

    def read(self, annotations: Mapping[Ref, str], now: float) -> None:
        """Take in the annotations of this moment."""
        before: dict[str, float] = self._store.memory.get(FIRST_SEEN, {})
        words = {word for text in annotations.values() for word in text.replace(",", " ").split()}
        seen = {word: before.get(word, now) for word in words}
        if seen != before:
            self._store.memory.put(FIRST_SEEN, seen, now)
        wanted: dict[str, float] = {}
        for word, first in seen.items():
            plan_hash, _, stamp = word.partition("@")
            wanted[plan_hash] = max(wanted.get(plan_hash, 0.0), _moment(stamp, first))
        for plan_hash in self._wanted.keys() - wanted.keys():
            self._store.approvals.withdraw(plan_hash)
        self._wanted = wanted

    def grant(self, holds: Iterable[Hold], now: float) -> bool:
        """Release what is held under a hash that was read. True when that released anything new."""
        if not self._wanted:
            return False
        standing = {one.hash for one in self._store.approvals.standing(now)}
        new = False
        for hold in holds:
            given = self._wanted.get(hold.hash)
            if given is None or hold.hash in standing or now - given > VALID_SECONDS:
                continue
            self._store.approvals.grant(
                hold.hash,
                hold.action_ids,
                summary=hold.summary,
                who="annotation",
                now=max(given, now - VALID_SECONDS),
            )
            new = True
        return new


def _moment(stamp: str, otherwise: float) -> float:
    if not stamp:
        return otherwise
    try:
        return float(parse_time(stamp).timestamp())
    except ValueError:
        return otherwise
