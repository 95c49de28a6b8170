"""What lies on a host of endpoints, declared or not, and what they run with: an argv for a link, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from telarchy.core.owner import Holding
from telarchy.links.scripts import text as link_text
from telarchy.links.services import claim_args
from telarchy.streaming.evidence import BaseSeen, Tools
from telarchy.streaming.scripts import text

MOST = 1000  # folders of one host
MOST_LETTERS = 44  # of a version, or of a module, of which a status shows five
_FIELDS = 9


@dataclass(frozen=True)
class Survey:
    """A host as it was found. `tools` is None where it was not asked for them."""

    bases: tuple[BaseSeen, ...] = ()
    tools: Tools | None = field(default=None)


def survey_argv(parents: Sequence[str], *, tools: bool = False) -> list[str]:
    """For `link.run`. `parents`: where declared endpoints have their spools, besides the default place."""
    script = "\n".join([*map(link_text, ("job-lib", "service-lib", "service-owner")), text("bases")])
    return ["/bin/sh", "-c", script, "bases", *claim_args(None), "yes" if tools else "no", *parents]


def read_survey(answer: bytes, *, tools: bool = False) -> Survey | None:
    """What was found; None when the answer is not whole."""
    lines = answer.decode("utf-8", "replace").split("\n")
    if lines[-2:] != ["end", ""]:
        return None
    found: list[BaseSeen] = []
    versions: dict[str, str] = {}
    modules: list[str] = []
    for line in lines[:-2]:
        match line.split("\t"):
            case ["base", *rest] if len(rest) >= _FIELDS and len(found) < MOST:
                found.append(_base(rest))
            case ["tool", name, version] if len(versions) < MOST:
                versions[name] = _plain(version)
            case ["module", name] if len(modules) < MOST:
                modules.append(_plain(name))
    known = Tools(
        versions.get("nginx", ""),
        versions.get("ffmpeg", ""),
        versions.get("varnish", ""),
        tuple(sorted(modules)),
    )
    return Survey(tuple(found), known if tools else None)


def _base(fields: list[str]) -> BaseSeen:
    base, owner, term, since, alive, namespace, resource, policy, *name = (one[:4096] for one in fields)
    holding = Holding(
        owner, " ".join(name), _int(term), _int(since), _int(alive), namespace, resource, policy
    )
    return BaseSeen(base.removeprefix(":"), holding, leads=not base.startswith(":"))


def _plain(word: str) -> str:
    return "".join(one for one in word if one.isprintable())[:MOST_LETTERS]


def _int(word: str) -> int:
    return int(word) if word.isascii() and word.isdigit() and len(word) < 16 else 0
