"""Asking a running controller through its socket, or the store when none runs. The answers are the same.

The socket is spoken to with the standard library alone: a question costs a process start and a round trip, and
none of the heavy imports.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import click

from telarchy.cli import address
from telarchy.core.words import format_span
from telarchy.errors import ConfigError, Problem, TelarchyError
from telarchy.web.socketpath import SOCKET_NAME, reachable

ANSWER_SECONDS = 60.0
POLL_SECONDS = 2.0


class Client(Protocol):
    """Somebody who answers. `live`: it is a running controller."""

    live: bool

    def ask(self, question: str, **arguments: Any) -> Any:
        """One answer. Raises TelarchyError."""
        ...

    def tell(self, command: str, **arguments: Any) -> Any:
        """Do something. Raises TelarchyError."""
        ...

    def follow(self, question: str, **arguments: Any) -> Iterator[Any]:
        """The answer, and again each time it changed."""
        ...


def connect(state: Path, *, quiet: bool = False) -> Client:
    """The controller of this state folder, else its store; then stderr says how old the answers are. With
    kubectl's options, or as its plugin: the cluster."""
    if address.chosen is not None:
        from telarchy.cli.cluster import ClusterClient

        return ClusterClient(address.chosen)
    path = state / SOCKET_NAME
    knock = _Connection(path)
    try:
        knock.connect()
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        client = StoreClient(state)
        if not quiet:
            click.echo(client.note(), err=True)
        return client
    except PermissionError:
        raise TelarchyError(
            f"{state} is closed to this user; a controller answers only to the user that it runs as"
        ) from None
    finally:
        knock.close()
    return SocketClient(path)


class SocketClient:
    """A running controller."""

    live = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, question: str, **arguments: Any) -> Any:
        return json.loads(self._open("GET", f"/v1/{question}?{_query(arguments)}").read())

    def tell(self, command: str, **arguments: Any) -> Any:
        return json.loads(self._open("POST", f"/v1/{command}", json.dumps(arguments)).read())

    def follow(self, question: str, **arguments: Any) -> Iterator[Any]:
        response = self._open("GET", f"/v1/watch?{_query(arguments | {'question': question})}", timeout=None)
        while line := response.readline():
            if line.strip():
                yield json.loads(line)
        raise TelarchyError("the controller ended")

    def _open(
        self, method: str, path: str, body: str | None = None, *, timeout: float | None = ANSWER_SECONDS
    ) -> http.client.HTTPResponse:
        connection = _Connection(self._path, timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
        except TimeoutError:
            raise TelarchyError(f"the controller did not answer within {ANSWER_SECONDS:.0f} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise TelarchyError(f"the controller went away: {error}") from None
        if response.status >= 400:
            _refuse(response)
        return response


class StoreClient:
    """What the store knows, when no controller runs."""

    live = False

    def __init__(self, state: Path) -> None:
        from telarchy.store import Store
        from telarchy.web.answers import Answers

        self._state = state
        self._store = Store.open(state, read_only=True)
        self._answers = Answers(self._store, explain=self._explain)

    def _explain(self, topic: str, name: str, namespace: str) -> list[str]:
        """The planner's own reasons, from the evidence that the store kept."""
        from telarchy.runtime.engine import Engine
        from telarchy.runtime.sources import EmbeddedSource, remembered

        engine = Engine(self._store, EmbeddedSource(self._store), namespace=namespace, observe_only=True)
        engine.follow(remembered(self._store))
        return engine.why(topic, name)

    def note(self) -> str:
        """How old the answers are, and why."""
        if self._store.lost:
            return f"({self._store.lost}; no controller is running)"
        seen = (self._store.memory.get("controller") or {}).get("seen")
        if not self._store.exists:
            return f"(no controller is running, and nothing is stored in {self._state})"
        age = "no controller ever looked" if seen is None else f"{format_span(time.time() - seen)} old"
        return f"(from the store, {age}; no controller is running)"

    def ask(self, question: str, **arguments: Any) -> Any:
        return getattr(self._answers, question)(**arguments)

    def tell(self, command: str, **arguments: Any) -> Any:
        from telarchy.runtime.lock import lock_holder
        from telarchy.store import Store
        from telarchy.web.answers import Answers

        if pid := lock_holder(self._state):
            raise TelarchyError(
                f"a controller (pid {pid}) holds {self._state} but does not answer yet; try again"
            )
        if command != "apply" and not self._store.exists and not self._store.lost:
            # a slip in --state; it begins no store there
            raise TelarchyError(f"nothing is stored in {self._state}: is that the folder of the controller?")
        with Store.open(self._state) as store:
            return getattr(Answers(store), command)(**arguments)

    def follow(self, question: str, **arguments: Any) -> Iterator[Any]:
        from telarchy.store import Store
        from telarchy.web.answers import Answers

        last = self.ask(question, **arguments)
        yield last
        while True:
            time.sleep(POLL_SECONDS)
            with Store.open(self._state, read_only=True) as store:
                answer = getattr(Answers(store), question)(**arguments)
            if answer != last:
                last = answer
                yield answer


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float | None = ANSWER_SECONDS) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            with reachable(self._path) as address:
                self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise


def _query(arguments: dict[str, Any]) -> str:
    """Plain words as they are, the rest (lists, numbers, names that are no UTF-8) as JSON in `arguments`."""
    plain = {key: value for key, value in arguments.items() if isinstance(value, str) and value.isascii()}
    rest = {key: value for key, value in arguments.items() if key not in plain}
    return urlencode(plain | ({"arguments": json.dumps(rest)} if rest else {}))


def _refuse(response: http.client.HTTPResponse) -> None:
    try:
        refusal = json.loads(response.read())
    except ValueError:
        raise TelarchyError(f"the controller failed with status {response.status}") from None
    if problems := refusal.get("problems"):
        raise ConfigError([Problem(**problem) for problem in problems])
    raise TelarchyError(refusal.get("error", "the controller refused"))
