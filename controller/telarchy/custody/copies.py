"""Which copies to make now: the most urgent titles first, within bytes, slots, windows and back-offs. Pure."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

from telarchy.core.observation import Observation
from telarchy.core.plan import Decision
from telarchy.custody.census import Census
from telarchy.custody.choosing import Choosing, CopyPlan, FloorInput
from telarchy.custody.evidence import CustodySeen
from telarchy.custody.placement import Ledger
from telarchy.custody.terms import Terms

LOOK_AHEAD = 32  # titles looked at per step of horizon, before giving up on finding one that can start


def plan_copies(
    terms: Terms,
    seen: Observation,
    custody: CustodySeen,
    census: Census,
    ledger: Ledger,
    now: float,
    *,
    horizon: int,
    not_now: str = "",
    held: Collection[str] = (),
) -> CopyPlan:
    """`not_now`: why no copy may start at present (brake, suspension, another controller); running ones go on.
    `held`: ids of actions that wait for a person."""
    plan = CopyPlan()
    inputs: list[FloorInput] = [
        (count, dict(standings)) for count, (_, standings) in zip(census.floors, census.inputs, strict=True)
    ]
    context = Choosing(terms, seen, custody, census, ledger, inputs, now, not_now, held)
    done = context.titles_in_flight()
    for title in sorted(done):  # they keep their slots, however long the queue
        context.plan_title(plan, title)
    acting = [index for index, (count, _) in enumerate(inputs) if count.terms.acts]
    # A floor with nowhere to put its titles must not keep the others from being looked at.
    allowance = max(horizon, horizon * LOOK_AHEAD // max(1, len(acting)))
    fruitless: Counter[int] = Counter()
    counted = extra = 0
    for index, title in _most_urgent(inputs, acting, lambda index: fruitless[index] < allowance):
        if title in done:
            continue
        done.add(title)
        before = len(plan.steps)
        if counted < horizon:
            useful = context.plan_title(plan, title)
            counted += useful
            fruitless[index] += not useful
            continue
        # Enough is planned; go on a little while slots are idle, for a title that need not queue.
        extra += 1
        if not_now or extra > 2 * horizon or ledger.moving >= terms.fleet.transfers.max_parallel:
            break
        context.plan_title(plan, title)
        if not any(step.decision is Decision.START for step in plan.steps[before:]):
            plan.take_back(before)
            plan.copying -= {(floor, title) for floor in range(len(inputs))}
    return plan


def _most_urgent(
    inputs: Sequence[FloorInput], acting: Sequence[int], going_on: Callable[[int], bool]
) -> Iterator[tuple[int, int]]:
    """(floor index, title id): all floors' queues, merged by urgency. A queue ends when `going_on` says so."""

    def queue(index: int) -> Iterator[tuple[int, int, int]]:
        count = inputs[index][0]
        for key, title in zip(_in_pieces(count.keys), _in_pieces(count.order), strict=True):
            if not going_on(index):
                return
            yield key, title, index

    for _, title, index in heapq.merge(*map(queue, acting)):
        yield index, title


def _in_pieces(column: object, size: int = 1024) -> Iterator[int]:
    # A queue may be 200,000 long and is rarely read beyond its first hundred.
    length = len(column)  # type: ignore[arg-type]
    for start in range(0, length, size):
        yield from column[start : start + size].tolist()  # type: ignore[index]
