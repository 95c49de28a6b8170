"""What lies on a host of endpoints, declared or not: an argv for a link, and what its answer says. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from telarchy.core.owner import Holding
from telarchy.links.scripts import text as link_text
from telarchy.links.services import claim_args
from telarchy.streaming.evidence import BaseSeen
from telarchy.streaming.scripts import text

MOST = 1000  # folders of one host
_FIELDS = 10


def survey_argv(parents: Sequence[str]) -> list[str]:
    """For `link.run`. `parents`: where declared endpoints have their spools, besides the default place."""
    script = "\n".join([*map(link_text, ("job-lib", "service-lib", "service-owner")), text("bases")])
    return ["/bin/sh", "-c", script, "bases", *claim_args(None), *parents]


def read_survey(answer: bytes) -> tuple[BaseSeen, ...] | None:
    """What was found; None when the answer is not whole."""
    lines = answer.decode("utf-8", "replace").split("\n")
    if lines[-2:] != ["end", ""]:
        return None
    found = []
    for line in lines[-2 - MOST : -2]:
        kind, *rest = line.split("\t")
        if kind != "base" or len(rest) < _FIELDS - 1:
            continue
        base, owner, term, since, alive, namespace, resource, policy, *name = (one[:4096] for one in rest)
        holding = Holding(
            owner, " ".join(name), _int(term), _int(since), _int(alive), namespace, resource, policy
        )
        found.append(BaseSeen(base.removeprefix(":"), holding, leads=not base.startswith(":")))
    return tuple(found)


def _int(word: str) -> int:
    return int(word) if word.isascii() and word.isdigit() and len(word) < 16 else 0
