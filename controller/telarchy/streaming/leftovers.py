"""What lies on hosts of endpoints that are not declared there, and what becomes of it. Pure.

The memory of what was put where is the controller's; the hosts' own markers tell the same when it was lost. What a
marker calls ours is undone like anything that was deployed. What is somebody else's, or nobody's, is shown only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from telarchy.core.owner import Standing
from telarchy.core.words import rfc3339
from telarchy.resources.meta import Ref
from telarchy.streaming.evidence import BaseSeen, Deployed
from telarchy.streaming.ownership import SILENT_SECONDS
from telarchy.streaming.terms import Terms


@dataclass(frozen=True)
class Leftover:
    """Something that stays on a host for now, and why. `key` tells it from others."""

    key: str
    ref: Ref
    words: str


def rediscovered(terms: Terms) -> Iterator[Deployed]:
    """What is ours by its marker, belongs to nothing that is declared there, and is not remembered."""
    for host, bases in sorted(terms.seen.bases.items()):
        for one in bases:
            held = one.holding
            found = Deployed(held.resource, host, one.base, held.policy or "Release")
            if _ours(terms, one) and not _declared(terms, host, one) and found.key not in terms.seen.deployed:
                yield found


def leftovers(terms: Terms, retiring: Iterable[Deployed], now: float) -> Iterator[Leftover]:
    """What a person may want to know of. `retiring`: what is to be removed (`steps.to_retire`)."""
    for one in retiring:
        ref = Ref("MediaEndpoint", terms.world.namespace, one.endpoint)
        host = terms.hosts.get(one.host)
        if host is None:
            words = (
                f"{one.base} on {one.host}, which is not declared any more: declare {one.host} again to have it "
                "stopped and removed, or do so there"
            )
        elif host.spec.suspend:
            words = f"{one.base} on {one.host}: removed once {one.host} is not suspended"
        elif one.host in terms.away:
            words = f"{one.base} on {one.host}, which is not reached: removed when it returns"
        else:
            continue
        yield Leftover(one.key, ref, words)
    for name, bases in sorted(terms.seen.bases.items()):
        for base in bases:
            held = base.holding
            if _ours(terms, base) or _declared(terms, name, base):
                continue
            if held.namespace not in ("", terms.world.namespace):
                continue
            if held.id and held.alive and now - held.alive <= SILENT_SECONDS:
                continue  # somebody looks after it
            if any(base.base == one.base and name == one.host for one in terms.seen.deployed.values()):
                continue
            whose = f"of controller {held.name} ({held.id})" if held.id else "of no known controller"
            if held.id and held.alive:
                whose += f", silent since {rfc3339(held.alive)}"
            ref = Ref("Host", terms.world.namespace, name)
            words = f"{base.base} on {name}, {whose}: left as it is; remove it there when nobody needs it"
            yield Leftover(f"{name}:{base.base}", ref, words)


def _ours(terms: Terms, one: BaseSeen) -> bool:
    me, held = terms.seen.owner, one.holding
    if me is None or not one.leads or held.namespace != terms.world.namespace or not held.resource:
        return False
    return held.id in terms.seen.former or held.standing(me) in (Standing.OURS, Standing.OUTDATED)


def _declared(terms: Terms, host: str, one: BaseSeen) -> bool:
    """Whether it is, or may be, the folder of a declared endpoint: two Hosts can be one machine, and two paths one
    folder, so that only what was seen to be another one counts as such."""
    if any((place.host_name, place.base) == (host, one.base) for place in terms.places.values()):
        return True
    other = terms.places.get(one.holding.resource)
    if other is None or other.external:
        return False
    there = other.seen
    if other.unknown or there is None or (there.present and there.holding is None):
        return True
    return there.holding is not None and there.holding.since == one.holding.since
