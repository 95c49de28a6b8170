"""A controller that runs alone: one state folder, one source, one loop, one socket.

SIGTERM and SIGINT end it cleanly (jobs on hosts go on and are found again), SIGHUP makes it read its source and
look at its hosts again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from telarchy.core.plan import Event
from telarchy.errors import StoreError
from telarchy.links.secrets import FileSecrets
from telarchy.resources.meta import DEFAULT_NAMESPACE, Ref
from telarchy.runtime.engine import Engine, Rooms
from telarchy.runtime.lock import FILE_NAME as LOCK
from telarchy.runtime.lock import StateLock
from telarchy.runtime.revision import wanting
from telarchy.runtime.rooms import SECRETS_FOLDER
from telarchy.runtime.sources import open_source
from telarchy.runtime.terminal import has_terminal
from telarchy.runtime.web import Web, engine_door, teller
from telarchy.store import Store
from telarchy.web.answers import SNAPSHOT, Answers
from telarchy.web.control import Control
from telarchy.web.metrics import FleetFigures

HEARTBEAT_SECONDS = 15.0
STATE_SECONDS = 5.0  # between looks at whether the state folder is still there
EVIDENCE_SECONDS = 15.0  # without what was seen on the disk, while more is seen all the time
SNAPSHOT_PAUSE_SECONDS = 2.0  # the last round reaches the store at most this often
CONTROLLER = "controller"  # memory key: pid, since when, and when it was last alive


class Ended(IntEnum):
    """How a run ended, as an exit code."""

    SETTLED = 0
    FAILED = 1
    NOT_SETTLED = 3
    INTERRUPTED = 130
    # by SIGTERM, where somebody waits until all is settled; else that is how a run is meant to end
    TERMINATED = 143


@dataclass(frozen=True)
class RunOptions:
    """What `telarchy run` was asked.

    source:         a path, `git+URL#branch:path`, or "" for the embedded store
    listen:         `host:port` of the web server; "" for none
    metrics:        `host:port` where Prometheus may ask; "" for nowhere
    trusted:        reverse proxies in front of it, as addresses or networks
    until_settled:  end when everything declared is so, or after `timeout` seconds
    """

    state: Path
    source: str = ""
    namespace: str = DEFAULT_NAMESPACE
    allowed_signers: Path | None = None
    poll_seconds: float = 60.0
    until_settled: bool = False
    timeout: float = 120.0
    observe_only: bool = False
    listen: str = ""
    metrics: str = ""
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """A controller that has started, for whoever shows it."""

    engine: Engine
    answers: Answers
    store: Store
    web: Web


@asynccontextmanager
async def controller(options: RunOptions, *, rooms: Rooms | None = None) -> AsyncIterator[Running]:
    """Lock, store, engine and socket, undone in the opposite order. Raises TelarchyError."""
    with StateLock(options.state), Store.open(options.state) as store:
        source = open_source(
            options.source,
            store,
            namespace=options.namespace,
            allowed_signers=options.allowed_signers,
            poll_seconds=options.poll_seconds,
        )
        engine = Engine(
            store, source, namespace=options.namespace, observe_only=options.observe_only, rooms=rooms
        )
        for lost in filter(None, (store.lost, engine.lost)):
            ref = Ref("Store", options.namespace, "state")
            store.events.record([Event(ref, "StoreDamaged", lost, "Warning")])
        answers = Answers(store, engine)
        web = _web(engine, answers, store, options)
        control = Control(answers, options.state)
        await control.start()
        engine.reconciler.on_change(control.changed)
        since = time.time()
        keeping = asyncio.create_task(_keep(engine, since), name="keep what is known")
        try:
            await web.start()
            answers.here = web.here
            yield Running(engine, answers, store, web)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await web.stop()
            await control.stop()
            await engine.close()
            with suppress(sqlite3.OperationalError, StoreError):
                store.memory.put(SNAPSHOT, engine.snapshot())
                store.memory.put(CONTROLLER, {"pid": os.getpid(), "since": since, "seen": time.time()})
                engine.keep_evidence()


def _web(engine: Engine, answers: Answers, store: Store, options: RunOptions) -> Web:
    secrets = FileSecrets(store.folder / SECRETS_FOLDER)
    door = engine_door(engine, store, secrets, options.namespace)
    figures = FleetFigures(options.namespace, engine.reconciler, engine.status)
    return Web(
        lambda: (door,),
        listen=options.listen,
        metrics=options.metrics,
        trusted=options.trusted,
        state=options.state,
        figures=lambda: (figures,),
        health=answers.health,
        tell=teller(store, options.namespace),
    )


async def run(running: Running, options: RunOptions) -> Ended:
    """Follow the source until told to stop, or until settled. Failures of the loop itself are raised."""
    engine = running.engine
    stopped: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    following = asyncio.create_task(engine.follow_source(), name="follow the source")
    if options.until_settled:
        looping = asyncio.create_task(_until_settled(engine, options.timeout), name="settle")
    else:
        looping = asyncio.create_task(_for_ever(engine), name="loop")
    standing = asyncio.create_task(_state_stands(options.state), name="the state folder")
    with signals(stopped, engine.reconcile):
        try:
            waited: list[asyncio.Future[Any]] = [following, looping, standing, stopped]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                ended = stopped.result()
                return Ended.TERMINATED if options.until_settled and ended is Ended.SETTLED else ended
            if following.done():
                following.result()  # it ends only by an error
            if standing.done():
                standing.result()  # likewise
            return await looping
        finally:
            for task in (following, looping, standing):
                task.cancel()
            await asyncio.gather(following, looping, standing, return_exceptions=True)


async def _state_stands(folder: Path) -> None:
    """Watch that nobody takes the state folder away: without it there is nobody to ask and nothing to approve, and
    nothing is kept. Raises StoreError."""
    path = folder / LOCK
    began = await asyncio.to_thread(_which, path)
    while True:
        await asyncio.sleep(STATE_SECONDS)
        with suppress(OSError):
            if await asyncio.to_thread(_which, path) != began:
                raise StoreError(
                    f"the state folder {folder} is gone, or is another one now: this controller ends; the next one "
                    "starts from what the hosts show"
                )


def _which(path: Path) -> tuple[int, int] | None:
    """Which file stands there; None if none does."""
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return about.st_dev, about.st_ino


async def _for_ever(engine: Engine) -> Ended:
    await engine.reconciler.run()
    return Ended.SETTLED


async def _until_settled(engine: Engine, limit: float) -> Ended:
    began = time.monotonic()
    with suppress(TimeoutError):
        async with asyncio.timeout(limit):
            await engine.declared.wait()
    left = limit - (time.monotonic() - began)
    settled = await engine.reconciler.run_until_settled(left, also=lambda: engine.as_declared)
    if not settled:
        return Ended.NOT_SETTLED
    return Ended.FAILED if wanting(engine.revision) else Ended.SETTLED


async def _keep(engine: Engine, since: float) -> None:
    """Keep in the store what `get`, `plan` and `why` need when nobody runs, and how old it is."""
    store = engine.store
    kept_round, kept_evidence, beat, looked = -1, -1, 0.0, time.monotonic()
    while True:
        now = time.time()
        # a disk that takes no writes is told by the journal; here it only means to try again
        with suppress(sqlite3.OperationalError, StoreError):
            rounds = engine.reconciler.rounds
            if rounds != kept_round:
                store.memory.put(SNAPSHOT, engine.snapshot(), now)
                kept_round, beat = rounds, 0.0
            if now - beat >= HEARTBEAT_SECONDS:
                store.memory.put(CONTROLLER, {"pid": os.getpid(), "since": since, "seen": now}, now)
                beat = now
        with suppress(sqlite3.OperationalError, StoreError):
            rounds = engine.reconciler.rounds
            # the catalogue is written often enough by itself, but where it never rests
            urgent = time.monotonic() - looked > EVIDENCE_SECONDS
            if rounds != kept_evidence and engine.keep_evidence(save=urgent):
                kept_evidence, looked = rounds, time.monotonic()
        await asyncio.sleep(SNAPSHOT_PAUSE_SECONDS)


class signals:
    """SIGTERM and SIGINT settle the future, SIGHUP calls back; the former handlers come back at the end.

    A SIGHUP that comes because the terminal was closed ends the run too: nobody sees it any more, and it would
    keep the state folder locked. Not so where it was begun with SIGHUP ignored: that is what `nohup` asks for.
    """

    def __init__(self, stopped: asyncio.Future[Ended], reread: Callable[[], None]) -> None:
        self._ends = {signal.SIGTERM: Ended.SETTLED, signal.SIGINT: Ended.INTERRUPTED}
        self._stopped, self._reread = stopped, reread
        self._loop = asyncio.get_running_loop()
        self._former = {number: signal.getsignal(number) for number in (*self._ends, signal.SIGHUP)}
        self._ends_with_terminal = has_terminal() and self._former[signal.SIGHUP] is not signal.SIG_IGN

    def __enter__(self) -> None:
        # only the main thread can take signals; elsewhere (tests) whoever runs us ends us
        with suppress(ValueError, RuntimeError):
            for number, end in self._ends.items():
                self._loop.add_signal_handler(number, self._stop, end)
            self._loop.add_signal_handler(signal.SIGHUP, self._hangup)

    def _stop(self, end: Ended) -> None:
        if not self._stopped.done():
            self._stopped.set_result(end)

    def _hangup(self) -> None:
        if self._ends_with_terminal and not has_terminal():
            self._stop(Ended.SETTLED)
        else:
            self._reread()

    def __exit__(self, *_: object) -> None:
        for number, former in self._former.items():
            with suppress(ValueError, RuntimeError):
                self._loop.remove_signal_handler(number)
                signal.signal(number, former or signal.SIG_DFL)
