"""Whether a host that is being drained can go as far as copies are concerned: no floor needs what is on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from telarchy.core.words import listing, plural, printable
from telarchy.custody.catalogue import DAMAGED
from telarchy.custody.evidence import VolumeState
from telarchy.custody.status import explain_title
from telarchy.custody.weighing import TitleState

if TYPE_CHECKING:
    from telarchy.custody.plan import Deliberation

_SEEN = frozenset({VolumeState.MOUNTED, VolumeState.READ_ONLY})
_UNSELECTED = "what no floor selects is on it alone"


def drained(done: Deliberation, host: str) -> tuple[bool | None, str, str]:
    """Status, reason and message of its condition. What is on it cannot be told (None) while it is not looked at.

    Copies on it count towards no floor while it is drained, so where all floors are met for all that lies there, the
    others have what is asked for.
    """
    if done.not_now:
        return None, "Observing", done.not_now
    volumes = {key: one for key, one in done.custody.volumes.items() if one.host == host}
    dark = [one.path for one in volumes.values() if one.state not in _SEEN or one.hidden]
    looked_at = {one.root for one in volumes.values()}
    dark += [one.path for (of, root), one in done.terms.roots.items() if of == host and root not in looked_at]
    if dark or not done.terms.hosts[host].up:
        what = listing(sorted(dark)) if dark else "what is on it"
        return None, "NotSeen", f"{what} cannot be looked at now, so whether it can go cannot be told"
    here = np.flatnonzero(_titles_on(done, volumes))
    selected, lacking = np.zeros(len(here), bool), np.zeros(len(here), bool)
    for count in done.census.floors:
        member = count.member[here]
        selected |= member
        lacking |= member & (count.state[here] != TitleState.MET)
    titles = plural(int(selected.sum()), "title")
    names = done.census.catalogue.names
    if not lacking.any():
        unread = here[selected & ~_read_elsewhere(done, host)[here]]
        if len(unread):
            message = (
                f"of {plural(len(unread), 'title')} no other copy that can be seen now was ever read: "
                f"{printable(names.name(int(unread[0])))}; set `verify` in their floor"
            )
            return None, "Unread", message
        message = f"no floor needs it: of its {titles} the others have what is asked; {_UNSELECTED}"
        return True, "Drained", message
    first = int(here[lacking][0])
    name = names.name(first)
    index = next(
        at
        for at, one in enumerate(done.census.floors)
        if one.member[first] and one.state[first] != TitleState.MET
    )
    step = next((one for one in done.steps if getattr(one.action, "title", "") == name), None)
    why = explain_title(done, index, first, step)[1]
    message = f"of its {titles} {int(lacking.sum()):,} are not yet elsewhere as floors ask: {printable(name)}: {why}"
    return False, "Draining", message


def _titles_on(done: Deliberation, volumes: Iterable[str], *, read: bool = False) -> npt.NDArray[np.bool_]:
    """By title id, whether it is on one of these volumes; with `read`, whether a good copy that was read is. Ids are
    marked and not sorted: with a million titles that takes a hundredth of the time."""
    found = np.zeros(len(done.census.size), bool)
    for key in volumes:
        held = done.census.catalogue.holdings.get(key)
        if held is not None:
            good = (held.verified > 0) & ((held.flags & DAMAGED) == 0) if read else slice(None)
            found[held.title[good]] = True
    return found


def _read_elsewhere(done: Deliberation, host: str) -> npt.NDArray[np.bool_]:
    """By title id, whether a good copy that was read lies on another host that is up and not to go."""
    hosts = {name for name, one in done.terms.hosts.items() if one.up and not one.draining and name != host}
    seen = (key for key, one in done.custody.volumes.items() if one.host in hosts and one.state in _SEEN)
    return _titles_on(done, seen, read=True)
