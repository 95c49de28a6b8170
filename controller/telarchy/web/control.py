"""The socket on which a running controller answers: `<state>/control.sock`, for its own user only.

    GET  /v1/<question>?name=value       one of `QUESTIONS`
    GET  /v1/watch?question=<question>…  the answer again whenever it changed, one JSON document per line
    POST /v1/<command>                   one of `COMMANDS`, arguments as a JSON object
    GET  /healthz

A refusal is `{"error": sentence}` with status 404 (not there), 409 (not in this state) or 422 (bad manifest).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from telarchy.errors import ConfigError, StoreError, TelarchyError
from telarchy.store.memory import to_json
from telarchy.web.answers import Answers, NotFound
from telarchy.web.socketpath import SOCKET_NAME, reachable

QUESTIONS = (
    "resources",
    "events",
    "plan",
    "holds",
    "why",
    "source",
    "settled",
    "history",
    "health",
    "playback",
)
COMMANDS = ("apply", "delete", "approve", "reconcile")
WATCH_PAUSE_SECONDS = 0.2  # changes within this time make one answer
BODY_BYTES = 64 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """The server. `changed()` tells watchers that answers may be new."""

    def __init__(self, answers: Answers, folder: Path) -> None:
        self._answers = answers
        self._path = folder / SOCKET_NAME
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. A socket left by a controller that is gone is replaced; the caller holds the state lock."""
        app = web.Application(middlewares=[_refusals], client_max_size=BODY_BYTES)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/v1/watch", self._watch)
        app.router.add_get("/v1/{question}", self._ask)
        app.router.add_post("/v1/{command}", self._command)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            listener = self._listening_socket()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise StoreError(f"the state folder {self._path.parent} cannot be used: {why}") from error
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        if self._runner is not None:
            self._path.unlink(missing_ok=True)
            await self._runner.cleanup()

    def changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _listening_socket(self) -> socket.socket:
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        # Bound under another name and renamed when its mode is right: nobody else can connect in between.
        staged = self._path.with_suffix(".new")
        staged.unlink(missing_ok=True)
        with reachable(staged) as address:
            listener.bind(address)
        staged.chmod(0o600)
        listener.listen(64)
        staged.rename(self._path)
        return listener

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=to_json(self._answers.health()), content_type="application/json")

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        question = request.match_info["question"]
        if question not in QUESTIONS:
            raise NotFound(f"this controller does not know the question `{question}`; is it another version?")
        return _json(getattr(self._answers, question)(**_arguments(request)))

    async def _command(self, request: web.Request) -> web.StreamResponse:
        command = request.match_info["command"]
        if command not in COMMANDS:
            raise NotFound(f"this controller does not know the command `{command}`; is it another version?")
        body = await request.json()
        result = getattr(self._answers, command)(**body)
        self.changed()
        return _json(result)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        arguments = _arguments(request)
        question = str(arguments.pop("question", ""))
        if question not in QUESTIONS:
            raise NotFound(f"this controller cannot watch `{question}`")
        # the event is taken before the answer is made: a change during either is not missed
        changed = self._changed
        last = to_json(getattr(self._answers, question)(**arguments))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        with suppress(ConnectionError):
            await response.write(last.encode() + b"\n")
            while True:
                # a slow heartbeat finds watchers that went away
                with suppress(TimeoutError):
                    async with asyncio.timeout(30):
                        await changed.wait()
                await asyncio.sleep(WATCH_PAUSE_SECONDS)
                changed = self._changed
                answer = to_json(getattr(self._answers, question)(**arguments))
                await response.write(b"\n" if answer == last else answer.encode() + b"\n")
                last = answer
        return response


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except NotFound as error:
        return _json({"error": str(error)}, 404)
    except ConfigError as error:
        problems = [vars(problem) for problem in error.problems]
        return _json({"error": str(error), "problems": problems}, 422)
    except TelarchyError as error:
        return _json({"error": str(error)}, 409)
    except (TypeError, ValueError) as error:
        return _json({"error": f"the question was not understood: {error}"}, 400)
    except Exception as bug:  # noqa: BLE001 - told to the asker and kept; the controller goes on
        asyncio.get_running_loop().call_exception_handler({"message": str(bug), "exception": bug})
        return _json({"error": f"the controller has a bug ({type(bug).__name__}: {bug})"}, 500)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(text=to_json(value), status=status, content_type="application/json")


def _arguments(request: web.Request) -> dict[str, Any]:
    """Query parameters. One called `arguments` carries JSON, for what is not a string."""
    found: dict[str, Any] = dict(request.query)
    if "arguments" in found:
        found |= json.loads(found.pop("arguments"))
    return found
