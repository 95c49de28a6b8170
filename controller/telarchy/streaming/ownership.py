"""Whose an endpoint's folder is: what the host says of it, against who we are. Pure.

Two controllers that declare the same endpoint would start and stop the same services for ever. The folder has one
owner, the host refuses everybody else, and a controller that is not the owner plans nothing for it and says so. It
never takes it by itself, however long the owner was silent: what is live goes on without any controller, so nothing
is lost by waiting for a person. The owner's other replicas and later tenures are the same owner.
"""

from __future__ import annotations

from telarchy.core.owner import Owner, Standing
from telarchy.core.words import rfc3339
from telarchy.streaming.evidence import EndpointSeen

SILENT_SECONDS = 120.0  # the owner leaves a sign of life every 30 s (`watch.sh`)


def standing_of(seen: EndpointSeen | None, me: Owner | None) -> Standing:
    """How we stand to the folder of an endpoint, by its last report. Where nobody is anybody, all is ours."""
    if me is None:
        return Standing.OURS
    if seen is None or (seen.present and seen.holding is None) or seen.trouble:
        return Standing.UNKNOWN
    return Standing.UNCLAIMED if seen.holding is None else seen.holding.standing(me)


def others(seen: EndpointSeen | None, me: Owner | None, host: str, now: float) -> str:
    """Whose it is, in a sentence; "" when we may act on it."""
    standing = standing_of(seen, me)
    holding = seen.holding if seen is not None else None
    if holding is None or me is None or standing not in (Standing.FOREIGN, Standing.FENCED):
        return ""
    since = f" since {rfc3339(holding.since)}" if holding.since else ""
    if standing is Standing.FENCED:
        return (
            f"{holding.name} acts on this fleet{since} (term {holding.term}); this one is of term {me.term}, "
            "and over"
        )
    said = f"its folder on {host} is of controller {holding.name} ({holding.id}){since}"
    if holding.alive and now - holding.alive > SILENT_SECONDS:
        return f"{said}, silent since {rfc3339(holding.alive)}"
    return f"{said}, which is at work there" if holding.alive else said


def falls_silent(seen: EndpointSeen | None, now: float) -> float | None:
    """When the sentence of `others` changes by time alone."""
    if seen is None or seen.holding is None or not seen.holding.alive:
        return None
    at = seen.holding.alive + SILENT_SECONDS
    return at if at > now else None
