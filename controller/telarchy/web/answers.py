"""Every question that a person can ask, answered from the store and, where one runs, from the engine.

The control socket of a running controller and the command line without one use this same class, so the two
give the same answers; only the age differs. All answers are JSON-ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from telarchy.errors import ConfigError, TelarchyError
from telarchy.links.secrets import SECRETS_FOLDER, FileSecrets, SecretResolver
from telarchy.resources import references
from telarchy.resources.loader import load_text
from telarchy.resources.meta import ALL_NAMESPACES, API_VERSION, DEFAULT_NAMESPACE, Ref
from telarchy.resources.registry import KINDS, resolve_kind
from telarchy.store import Store
from telarchy.store.events import EventRecord
from telarchy.store.objects import APPLIED, Change
from telarchy.store.store import SOURCE_STATE
from telarchy.streaming.playbacksecrets import PlaybackSecrets

SNAPSHOT = "snapshot"  # memory key: the last round, for when nobody runs
EVENTS_SHOWN = 500
HASH_DIGITS_AT_LEAST = 4


class NotFound(TelarchyError):
    """A person asked for something that is not there."""


class Engine(Protocol):
    """What the answers need of a running controller."""

    @property
    def settled(self) -> bool:
        """Whether everything followed is so, and nothing is being looked at anew."""
        ...

    def snapshot(self) -> Mapping[str, Any]:
        """The last round, as `runtime.snapshot` shapes it."""
        ...

    def why(self, topic: str, name: str) -> list[str]:
        """Lines that explain a title, a host, a floor, a stream or an endpoint."""
        ...

    def nudge(self) -> None:
        """Something was applied or approved: act on it."""
        ...

    def reconcile(self) -> None:
        """Read the source again and look at the hosts again, now."""
        ...


class Answers:
    """The questions, by name. `engine` is None when no controller runs; then `explain` answers `why`.

    secrets:  where `secretRef`s lead; None: to files below the state folder and environment variables
    here:     the URL of the controller's own web server, without a path; "" when there is none
    """

    def __init__(
        self,
        store: Store,
        engine: Engine | None = None,
        *,
        explain: Callable[[str, str, str], list[str]] | None = None,
        clock: Callable[[], float] = time.time,
        secrets: SecretResolver | None = None,
    ) -> None:
        self._store, self._engine, self._clock = store, engine, clock
        self._explain = explain or _nothing_known
        self._playback = PlaybackSecrets(
            secrets or FileSecrets(store.folder / SECRETS_FOLDER), store.memory, read_only=store.read_only
        )
        self.here = ""

    def resources(
        self, *, kinds: Iterable[str] = (), namespace: str = DEFAULT_NAMESPACE
    ) -> list[dict[str, Any]]:
        """Declared resources with their statuses, kinds in the order of the registry. No `kinds`: all. A `namespace` is
        one, or ALL_NAMESPACES."""
        wanted = {self._kind(text) for text in kinds} or set(KINDS)
        statuses = self._store.statuses.all()
        found = self._store.manifests()
        for ref in found.keys() & statuses.keys():
            found[ref]["status"] = statuses[ref]
        for ref, problems in self._stalled().items():
            found[ref] = _stalled(ref, found.get(ref), statuses.get(ref), problems)
        order = list(KINDS)
        refs = [ref for ref in found if ref.kind in wanted and namespace in (ref.namespace, ALL_NAMESPACES)]
        refs.sort(key=lambda ref: (order.index(ref.kind), ref.namespace, ref.name))
        return [found[ref] for ref in refs]

    def events(
        self, *, namespace: str = DEFAULT_NAMESPACE, kind: str = "", name: str = "", limit: int = EVENTS_SHOWN
    ) -> list[dict[str, Any]]:
        """Events, oldest first; of one resource when `kind` and `name` are given."""
        ref = Ref(self._kind(kind), namespace, name) if kind else None
        records = self._store.events.recent(limit, ref=ref)
        return [_event(record) for record in records if namespace in (record.ref.namespace, ALL_NAMESPACES)]

    def plan(self) -> dict[str, Any] | None:
        """The last round; None when there never was one."""
        if self._engine is not None:
            return dict(self._engine.snapshot())
        known: dict[str, Any] | None = self._store.memory.get(SNAPSHOT)
        return known

    def holds(self) -> dict[str, Any]:
        """Changes that wait for a person, and approvals that stand."""
        waiting = (self.plan() or {}).get("holds", [])
        standing = [
            {"hash": one.hash, "summary": one.summary, "who": one.who, "at": one.at, "expires": one.expires}
            for one in self._store.approvals.standing(self._clock())
        ]
        return {"waiting": waiting, "approved": standing}

    def why(self, *, topic: str, name: str, namespace: str = DEFAULT_NAMESPACE) -> list[str]:
        """Lines that explain a title, a host, a floor, a stream or an endpoint."""
        if self._engine is None:
            return self._explain(topic, name, namespace)
        return self._engine.why(topic, name)

    def playback(
        self, *, stream: str, seconds: float, here: str = "", namespace: str = DEFAULT_NAMESPACE
    ) -> dict[str, Any]:
        """Where a stream plays, or why not, as `web.playback` tells it; signed for so long if it is Private.

        `here`: the URL of the controller's own server, where that is known better than here. Raises NotFound.
        """
        from telarchy.web.signing import signed_playback

        found = self.resources(kinds=("Stream", "MediaEndpoint", "Host"), namespace=namespace)
        until = int(self._clock() + seconds)
        return signed_playback(found, stream, until, here or self.here, self._playback.of)

    def source(self) -> dict[str, Any] | None:
        """What is known of the source of desired state."""
        known: dict[str, Any] | None = self._store.memory.get(SOURCE_STATE)
        return known

    def settled(self, *, since: float) -> bool:
        """Whether desired state was read since then, and what is followed of it is so."""
        read = (self.source() or {}).get("at", 0.0) >= since
        return read and self._engine is not None and self._engine.settled

    def history(self, *, limit: int = 100, host: str = "") -> list[dict[str, Any]]:
        """Finished actions, oldest first."""
        return [vars(deed) for deed in self._store.history.recent(limit, host=host)]

    def health(self) -> dict[str, Any]:
        """Whether the controller answers, and how fresh it is."""
        at = (self.plan() or {}).get("at")
        return {"status": "ok", "running": self._engine is not None, "planned": at, "lost": self._store.lost}

    def apply(self, *, text: str, file: str = "", namespace: str = DEFAULT_NAMESPACE) -> list[dict[str, str]]:
        """Add or change resources of the embedded store. All or nothing. Raises ConfigError."""
        self._require_embedded("apply")
        loaded = load_text(text, file or "-")
        problems = loaded.errors + [one for one in references.check(loaded) if one.rule == "declared-twice"]
        if problems:
            raise ConfigError(problems)
        if not loaded.resources:
            raise ConfigError(f"{file or 'the input'} declares nothing")
        changes = self._store.objects.apply([one.resource for one in loaded.resources], self._clock())
        self._leave_source()
        return self._changed(changes)

    def delete(self, *, refs: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
        """Take resources out of the embedded store. Raises NotFound if one of them is not there."""
        self._require_embedded("delete")
        wanted = [Ref(self._kind(ref["kind"]), ref["namespace"], ref["name"]) for ref in refs]
        known = {one.ref for one in self._store.objects.all(APPLIED)}
        missing = [str(ref) for ref in wanted if ref not in known]
        if missing:
            why = f"there is no {', no '.join(missing)}"
            source = (self.source() or {}).get("name")
            if source and {str(ref) for ref in self._store.manifests()} & set(missing):
                why = f"{', '.join(missing)}: declared in {source}; take it out there"
            raise NotFound(f"{why}; nothing was deleted")
        changes = self._store.objects.delete(wanted)
        self._leave_source()
        self._store.forget([change.ref for change in changes], "deleted", self._clock())
        return self._changed(changes)

    def approve(self, *, prefix: str, who: str = "") -> dict[str, Any]:
        """Release one held change by the beginning of its hash. Raises NotFound."""
        waiting = self.holds()["waiting"]
        found = [hold for hold in waiting if hold["hash"].startswith(prefix)]
        if len(prefix) < HASH_DIGITS_AT_LEAST or len(found) != 1:
            raise NotFound(_which_hold(prefix, found, waiting))
        hold: dict[str, Any] = found[0]
        approval = self._store.approvals.grant(
            hold["hash"], hold["actions"], summary=hold["summary"], who=who, now=self._clock()
        )
        self._wake()
        return {**hold, "expires": approval.expires, "running": self._engine is not None}

    def reconcile(self) -> dict[str, Any]:
        """Ask a running controller to read its source and look at its hosts again, now."""
        if self._engine is None:
            raise TelarchyError("no controller is running: start one with `telarchy run`")
        self._engine.reconcile()
        return {"status": "asked"}

    def _wake(self) -> None:
        if self._engine is not None:
            self._engine.nudge()

    def _changed(self, changes: list[Change]) -> list[dict[str, str]]:
        if any(change.verb != "unchanged" for change in changes):
            self._wake()
        return [{"ref": str(change.ref), "verb": change.verb} for change in changes]

    def _require_embedded(self, verb: str) -> None:
        source = (self.source() or {}).get("name")
        if source and self._engine is not None:
            raise TelarchyError(
                f"desired state comes from {source}: change it there (`telarchy {verb}` is for a controller "
                "that runs without --source)"
            )

    def _leave_source(self) -> None:
        """The source that ran before is no longer the truth once a person has changed the store itself."""
        if self._engine is None and (self.source() or {}).get("name"):
            self._store.memory.forget(SOURCE_STATE)

    def _kind(self, text: str) -> str:
        kind = resolve_kind(text)
        if kind is None:
            raise NotFound(
                f"there is no kind `{text}`; known are {', '.join(one.plural for one in KINDS.values())}"
            )
        return kind.name

    def _stalled(self) -> dict[Ref, list[str]]:
        known = (self.source() or {}).get("stalled", {})
        return {Ref(*key.split("/", 2)): problems for key, problems in known.items()}


def _nothing_known(topic: str, name: str, namespace: str) -> list[str]:
    raise NotFound(f"nothing is known of {topic} {name} in {namespace}")


def _stalled(
    ref: Ref, known: dict[str, Any] | None, status: Mapping[str, Any] | None, problems: list[str]
) -> dict[str, Any]:
    """A resource whose manifest is unusable now, beside its last good version if there is one."""
    shown = known or {
        "apiVersion": API_VERSION,
        "kind": ref.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": {},
    }
    reported = dict(status or {})
    conditions = reported.get("conditions", [])
    if not any(one["type"] == "Stalled" and one["status"] == "True" for one in conditions):
        message = problems[0] if problems else "the manifest is not valid"
        facts = {"reason": "InvalidManifest", "message": message}
        mine = [{"type": "Ready", "status": "False"} | facts, {"type": "Stalled", "status": "True"} | facts]
        conditions = mine + [one for one in conditions if one["type"] not in ("Ready", "Stalled")]
    return shown | {"status": reported | {"conditions": conditions}}


def _event(record: EventRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "kind": record.ref.kind,
        "namespace": record.ref.namespace,
        "name": record.ref.name,
        "type": record.type,
        "reason": record.reason,
        "message": record.message,
        "first": record.first,
        "last": record.last,
        "count": record.count,
    }


def _which_hold(prefix: str, found: list[dict[str, Any]], waiting: list[dict[str, Any]]) -> str:
    if not waiting:
        return "nothing waits for approval"
    if len(found) > 1 or len(prefix) < HASH_DIGITS_AT_LEAST:
        return f"`{prefix}` is too short to name one change; write more of its hash (see `telarchy approve --list`)"
    return f"no held change begins with {prefix}; waiting are {', '.join(hold['hash'] for hold in waiting)}"
