"""`telarchy run`: the controller, with a live view on a terminal and plain lines elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from telarchy.cli import exits, options
from telarchy.cli.bugs import run_quietly
from telarchy.cli.printing import is_dumb, say
from telarchy.core.words import format_bytes, format_span, plural

if TYPE_CHECKING:
    from telarchy.runtime.standalone import Ended, Running, RunOptions

PROGRESS_SECONDS = 10.0  # between two lines about running transfers, where there is no live view
PAUSE_SECONDS = 0.25  # changes within this time are told together
LEAST_POLL_SECONDS = 0.1


def _with_pauses(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if value < LEAST_POLL_SECONDS:
        raise click.BadParameter("a repository is not asked without a pause; write 30s", ctx, param)
    return value


@click.command(short_help="Keep the fleet as declared.")
@options.source
@options.verify_signatures
@click.option(
    "--poll",
    type=options.SPAN,
    default="60s",
    show_default=True,
    callback=_with_pauses,
    help="How often a repository is asked.",
)
@click.option("--until-settled", is_flag=True, help="End when everything declared is so.")
@click.option(
    "--timeout", type=options.SPAN, default="2m", show_default=True, help="With --until-settled: give up."
)
@click.option("--observe-only", is_flag=True, help="Look, plan and report, but do nothing.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="",
    envvar="TELARCHY_LISTEN",
    show_envvar=True,
    help="Serve the page and the playback API there. Without it: not at all.",
)
@click.option(
    "--metrics-listen",
    "metrics",
    metavar="HOST:PORT",
    default="",
    envvar="TELARCHY_METRICS_LISTEN",
    show_envvar=True,
    help="Serve /metrics there, to whoever asks: 127.0.0.1:9090. Without it: not at all.",
)
@click.option(
    "--trusted-proxy",
    "trusted",
    metavar="ADDRESS|CIDR",
    multiple=True,
    envvar="TELARCHY_TRUSTED_PROXY",
    show_envvar=True,
    help="A reverse proxy in front of --listen: its X-Forwarded-For tells who asks. May be given several times.",
)
@click.option("--plain", is_flag=True, help="Lines instead of the live view.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@options.namespace
@options.state
def run(
    source: str,
    allowed_signers: Path | None,
    poll: float,
    until_settled: bool,
    timeout: float,
    observe_only: bool,
    listen: str,
    metrics: str,
    trusted: tuple[str, ...],
    plain: bool,
    quiet: bool,
    namespace: str,
    state: Path,
) -> int:
    """Keep the fleet as declared, until told to stop.

    Ctrl-C or SIGTERM ends it cleanly; transfers under way go on by themselves and are found again by the next
    run. SIGHUP reads the source and looks at every host again.

    With --until-settled it ends with 0 when everything declared is so, and with 3 when the timeout passes first.
    """
    from telarchy.runtime.standalone import RunOptions

    asked = RunOptions(
        state=state,
        source=source,
        namespace=namespace,
        allowed_signers=allowed_signers,
        poll_seconds=poll,
        until_settled=until_settled,
        timeout=timeout,
        observe_only=observe_only,
        listen=listen,
        metrics=metrics,
        trusted=trusted,
    )
    live = sys.stdout.isatty() and not plain and not quiet and not is_dumb()
    return run_quietly(_run(asked, live=live, quiet=quiet), state)


async def _run(asked: RunOptions, *, live: bool, quiet: bool) -> int:
    from telarchy.runtime.garbage import spare_what_stays
    from telarchy.runtime.standalone import controller
    from telarchy.runtime.standalone import run as run_controller

    async with controller(asked) as running:
        spare_what_stays()
        if not quiet:
            say(_greeting(running, asked), err=live)
        for lost in filter(None, (running.store.lost, running.engine.lost)):
            click.echo(f"telarchy: warning: {lost}", err=True)
        showing = asyncio.create_task(_show(running, asked, live=live, quiet=quiet), name="show")
        try:
            ended = await run_controller(running, asked)
        finally:
            await asyncio.sleep(0)
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
        if not quiet:
            for line in _farewell(running, asked, ended):
                say(line, err=ended not in (exits.OK, exits.INTERRUPTED))
        return int(ended)


def _greeting(running: Running, asked: RunOptions) -> str:
    doing = "watching (observe only)" if asked.observe_only else "keeping"
    told = f"{doing} the fleet {asked.namespace} as {running.engine.source.name} declares; state in {asked.state}"
    if running.web.server is None:
        return told
    return f"{told}; streams at {running.web.server.address}/watch"


def _farewell(running: Running, asked: RunOptions, ended: Ended) -> list[str]:
    from telarchy.cli.plantext import failed_lines, floors_told, how_much, summary, trouble_lines
    from telarchy.runtime.revision import wanting

    shown = running.engine.snapshot()
    if ended == exits.TERMINATED:
        return [
            "told to stop before everything was as declared; transfers under way on hosts go on",
            summary(shown),
        ]
    if ended == exits.NOT_SETTLED:
        held = [
            f"held: {one['summary']} ({one['reason']}); release it with: telarchy approve {one['hash']}"
            for one in shown["holds"]
        ]
        return [
            f"not settled within {format_span(asked.timeout)}",
            *trouble_lines(shown),
            *failed_lines(shown),
            *held,
            summary(shown),
        ]
    if ended == exits.ERROR:
        return [f"telarchy: {wanting(running.engine.revision)}"]
    if asked.until_settled and ended == exits.OK:
        floors = "; ".join(floors_told(shown["floors"]))
        ending = f" ({floors})" if floors else ""
        return [*trouble_lines(shown), f"settled: {how_much(shown)} is as declared{ending}"]
    return ["stopped; transfers under way on hosts go on"]


async def _show(running: Running, asked: RunOptions, *, live: bool, quiet: bool) -> None:
    if quiet:
        await asyncio.Event().wait()
    elif live:
        from telarchy.cli.live import show

        await show(running, namespace=asked.namespace)
    else:
        await Lines(running, asked.namespace).show()


class Lines:
    """Plain progress: each new event as a line, and now and then how far transfers are."""

    def __init__(self, running: Running, namespace: str) -> None:
        self._running, self._namespace = running, namespace
        self._told: dict[int, int] = {
            one["id"]: one["count"] for one in running.answers.events(namespace=namespace)
        }
        self._revision = self._trouble = ""
        self._next_progress = time.monotonic() + PROGRESS_SECONDS

    async def show(self) -> None:
        changed = asyncio.Event()
        self._running.engine.reconciler.on_change(changed.set)
        while True:
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PROGRESS_SECONDS):
                        await changed.wait()
                changed.clear()
                await asyncio.sleep(PAUSE_SECONDS)
            finally:
                # once more at the end, so that the last word is not lost
                self._tell()

    def _tell(self) -> None:
        revision = self._running.engine.revision
        if revision.message and (key := f"{revision.revision} {revision.message}") != self._revision:
            self._revision = key
            name = f"{self._running.engine.source.name}: "
            told = revision.message  # what is wrong with the source names it by itself
            mark = "" if revision.healthy else "warning: "
            self._line(mark + (told if told.startswith(name[:-2]) else name + told))
            for problem in revision.problems:
                self._line(str(problem))
        for one in self._running.answers.events(namespace=self._namespace):
            if self._told.get(one["id"]) != one["count"] and one["kind"] != "Source":  # that was just told
                self._told[one["id"]] = one["count"]
                mark = "warning: " if one["type"] == "Warning" else ""
                self._line(f"{one['kind'].lower()}/{one['name']} {one['reason']}: {mark}{one['message']}")
        if (trouble := self._running.engine.trouble) != self._trouble:
            self._trouble = trouble
            self._line(f"warning: {trouble}" if trouble else "records can be kept again")
        if (now := time.monotonic()) >= self._next_progress:
            self._next_progress = now + PROGRESS_SECONDS
            if text := self._progress():
                self._line(text)

    def _progress(self) -> str:
        running = self._running.engine.reconciler.executor.running.values()
        moving = [one.progress for one in running if one.action.verb == "Copy" and one.progress.total]
        if not moving:
            return ""
        rate = sum(one.rate or 0 for one in moving)
        done, total = sum(one.bytes for one in moving), sum(one.total for one in moving)
        left = f", {format_span((total - done) / rate)} left" if rate else ""
        moved = f"{format_bytes(done)} of {format_bytes(total)}"
        return f"{plural(len(moving), 'transfer')}: {moved}, {format_bytes(rate)}/s{left}"

    def _line(self, text: str) -> None:
        try:
            say(f"{time.strftime('%H:%M:%S')} {text}")
        except BrokenPipeError:
            # whoever read the lines is gone; the fleet is kept all the same
            self._line = lambda text: None  # type: ignore[method-assign]
