"""Doing what the plan of streams decided, one function per kind of action. Each is safe to run twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from telarchy.core.action import Action
from telarchy.core.owner import Claim, Owner
from telarchy.errors import ActionFailed, TelarchyError
from telarchy.links import services
from telarchy.links.link import Link
from telarchy.links.secrets import SecretResolver
from telarchy.resources.meta import DEFAULT_NAMESPACE
from telarchy.resources.stream import Stream
from telarchy.streaming import layout
from telarchy.streaming.actions import (
    KickService,
    Prune,
    PutKeys,
    PutService,
    Retire,
    StopService,
    StreamingAction,
    TakeOver,
)
from telarchy.streaming.evidence import Deployed
from telarchy.streaming.keys import keys_digest
from telarchy.streaming.ladder import FfmpegBackend
from telarchy.streaming.playbacksecrets import PlaybackSecrets
from telarchy.streaming.remembering import Remembered
from telarchy.streaming.tokens import TOKENS_FILE, tokens_json
from telarchy.streaming.wanted import Input, Recipe, Tokens, Wanted
from telarchy.streaming.watch import prune_argv

PRUNE_TIMEOUT = 120.0


class Links(Protocol):
    """Where links come from; `links.pool.LinkPool` is one."""

    async def link(self, name: str) -> Link: ...


@dataclass
class Bench:
    """What acting needs.

    owner:     as whom hosts see us; None is nobody
    policies:  `deletionPolicy` of each endpoint as of the last plan
    wanted, streams: as of the last plan; the contents of what its actions name by digest
    """

    links: Links
    secrets: SecretResolver
    playback: PlaybackSecrets
    remembered: Remembered
    owner: Owner | None = None
    namespace: str = DEFAULT_NAMESPACE
    policies: Mapping[str, str] = field(default_factory=dict)
    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)

    def claim(self, endpoint: str) -> Claim | None:
        """What we show a host when we act on an endpoint."""
        if self.owner is None:
            return None
        return Claim(self.owner, self.namespace, endpoint, self.policies.get(endpoint, "Release"))


async def act(bench: Bench, action: Action) -> None:
    """Carry it out. Raises ActionFailed, HostUnreachable."""
    if not isinstance(action, StreamingAction):
        raise ActionFailed(
            f"streaming does not know how to {action}", reason="UnknownAction", transient=False
        )
    deployed = Deployed(action.endpoint, action.host, action.base)
    if isinstance(action, PutService | PutKeys) and deployed.key not in bench.remembered.deployed:
        bench.remembered.deploy(deployed)
    link, by = await bench.links.link(action.host), bench.claim(action.endpoint)
    match action:
        case PutService():
            await _put_service(bench, link, action)
        case PutKeys():
            content = _current(bench, action).keys
            if content is None or keys_digest(content) != action.digest:
                raise _outdated(action)
            await services.put_file(link, action.base, layout.KEYS_FILE, content, by=by)
        case TakeOver():
            if by is None or (by.owner.id, by.owner.term) != (action.owner, action.term):
                raise _outdated(action)
            if await services.claim(link, action.base, by, action.replaces):
                bench.remembered.deploy(replace(deployed, policy=action.policy))
        case StopService():
            await services.stop(link, action.base, action.service, by=by)
        case KickService():
            await services.kick(link, action.base, action.service, action.starts, by=by)
        case Prune():
            await _prune(link, action, by)
        case Retire():
            await _retire(bench, link, action, by)
            bench.remembered.retired(deployed)
        case _:
            raise ActionFailed(
                f"streaming does not know how to {action}", reason="UnknownAction", transient=False
            )


async def _retire(bench: Bench, link: Link, action: Retire, by: Claim | None) -> None:
    """Returns too when it is another controller's by now: nothing there is ours any more. What we marked ourselves
    under an earlier id is ours, and the host lets go of it only for one who names that."""
    try:
        await services.retire(link, action.base, by=by)
        return
    except ActionFailed as refused:
        if refused.reason != "ForeignOwner":
            raise
    if by is None:
        return
    for earlier in sorted(bench.remembered.former):
        try:
            await services.claim(link, action.base, by, earlier)
        except ActionFailed as refused:
            if refused.reason != "ForeignOwner":
                raise
        else:
            await services.retire(link, action.base, by=by)
            return


def _current(bench: Bench, action: StreamingAction) -> Wanted:
    wanted = bench.wanted.get(action.endpoint)
    if wanted is None:
        raise _outdated(action)
    return wanted


def _outdated(action: Action) -> ActionFailed:
    return ActionFailed(f"{action}: something else is wanted by now", reason="Outdated")


async def _put_service(bench: Bench, link: Link, action: PutService) -> None:
    wanted = _current(bench, action)
    service = wanted.services.get(action.service)
    if service is None or service.digest != action.digest:
        raise _outdated(action)
    contents: Mapping[str, bytes] = {}
    if service.secret_files:
        recipe = wanted.recipes.get(action.service)
        contents = secret_contents(bench, recipe) if recipe is not None else {}
    by = bench.claim(action.endpoint)
    await services.put(link, action.base, service, contents, action.how, by=by)


async def _prune(link: Link, action: Prune, by: Claim | None) -> None:
    argv = prune_argv(action.base, action.stream, action.generations, by)
    try:
        answer = await link.run(argv, timeout=PRUNE_TIMEOUT)
    except TimeoutError:
        raise ActionFailed(f"{action}: no end after {PRUNE_TIMEOUT:.0f} s", reason="TimedOut") from None
    if not answer.ok:
        reason = {3: "NotOurs", 6: "ForeignOwner", 7: "Fenced"}.get(answer.code, "CannotPrune")
        raise ActionFailed(f"{action}: {answer.complaint}", reason=reason, transient=answer.code != 3)


def secret_contents(bench: Bench, recipe: Recipe) -> dict[str, bytes]:
    """The secret files of a service. Raises ActionFailed (SecretMissing)."""
    try:
        match recipe:
            case Tokens(streams):
                table = {name: _playback(bench, name) for name in streams}
                return {TOKENS_FILE: tokens_json(table)}
            case Input(ladder, ref):
                secret = bench.secrets.resolve(ref.name, ref.key).reveal().decode()
                return FfmpegBackend().contents(ladder, secret)
    except UnicodeDecodeError:
        raise ActionFailed("a secret is no text", reason="SecretMissing") from None
    except TelarchyError as problem:
        raise ActionFailed(str(problem), reason="SecretMissing") from None


def _playback(bench: Bench, stream: str) -> list[str]:
    declared = bench.streams.get(stream)
    if declared is None:
        raise ActionFailed(f"no Stream is named {stream} any more", reason="Outdated")
    return [one.reveal().decode() for one in bench.playback.of(declared)]
