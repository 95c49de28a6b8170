"""The live view: hosts, floors, streams, transfers, events, and when the loop wakes next. One screen, no scrolling.

It asks the same `Answers` as every other verb, so it shows nothing that `get` and `plan` do not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from telarchy.cli.plantext import how_much
from telarchy.cli.table import at_path
from telarchy.core.words import format_bytes, format_span, plural
from telarchy.web.answers import Answers

if TYPE_CHECKING:
    from telarchy.runtime.standalone import Running

FRAME_SECONDS = 0.25  # between two frames while much changes
STILL_SECONDS = 0.75  # and so much longer while nothing does
MIN_ROWS = 1  # of each part, however small the terminal
STATE_STYLES = {
    "Up": "green",
    "Suspect": "yellow",
    "Down": "red",
    "Maintenance": "cyan",
    "Unknown": "dim",
}
PHASE_STYLES = {"Live": "green", "Starting": "cyan", "Failed": "red", "Ended": "dim", "Suspended": "dim"}

Resource = Mapping[str, Any]


async def show(running: Running, *, namespace: str) -> None:
    """Draw until cancelled: on change, and every second for the ages. Leaves the terminal as it was."""
    console, changed, engine = Console(), asyncio.Event(), running.engine
    engine.reconciler.on_change(changed.set)
    with Live(console=console, screen=True, auto_refresh=False, transient=True) as screen:
        while True:
            changed.clear()
            picture = draw(
                running.answers,
                source=engine.source.name,
                namespace=namespace,
                size=console.size,
                trouble=engine.trouble,
            )
            screen.update(picture, refresh=True)
            await asyncio.sleep(FRAME_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(STILL_SECONDS):
                    await changed.wait()


def draw(
    answers: Answers, *, source: str, namespace: str, size: tuple[int, int], trouble: str = ""
) -> RenderableType:
    """One frame for a terminal of `size` (columns, lines)."""
    width, height = size
    resources = answers.resources(namespace=namespace)
    plan = answers.plan() or {"steps": [], "holds": [], "wakeAt": None, "settled": False, "cutOff": False}
    hosts = [one for one in resources if one["kind"] == "Host"]
    floors = [one for one in resources if one["kind"] == "CustodyFloor"]
    running = [step for step in plan["steps"] if "running" in step]
    events = answers.events(namespace=namespace, limit=height)
    now = time.time()
    head, foot = _head(plan, source, answers.source() or {}, trouble), _foot(plan, running, now)
    streams = [one for one in resources if one["kind"] == "Stream"]
    # what to show, and how in so many lines
    parts: list[tuple[Sequence[Any], Callable[[int], RenderableType]]] = [
        (hosts, lambda rows: _hosts(hosts, plan, rows, width)),
        (floors, lambda rows: _floors(floors, rows, width)),
        (streams, lambda rows: _streams(streams, rows, width)),
        (running, lambda rows: _transfers(running, plan, rows, width)),
        (events, lambda rows: _events(events, rows, width, now)),
    ]
    # a fleet of streams needs no floors, nor one of floors streams
    parts = [part for part in parts if part[0] or not (part[0] is streams or (part[0] is floors and streams))]
    # each part has a heading line, and an empty line before it; the last line is the foot
    room = height - 2 - len(parts) * 2
    rows = share(room, [max(len(items), 1) for items, _ in parts])
    drawn = [one for (_, draws), some in zip(parts, rows, strict=True) for one in (Text(), draws(some))]
    return Group(head, *drawn, *[Text()] * (room - sum(rows)), foot)


def share(room: int, wants: Sequence[int]) -> list[int]:
    """Lines for each part: everyone gets little first, then each what it wants in turn, the last one the rest."""
    given = [min(want, MIN_ROWS) for want in wants]
    while sum(given) < room and (hungry := [i for i, want in enumerate(wants) if given[i] < want]):
        for index in hungry:
            if sum(given) < room:
                given[index] += 1
    return given


def _head(plan: Mapping[str, Any], source: str, known: Mapping[str, Any], trouble: str) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(" telarchy ", style="bold reverse")
    text.append(f" {source} ", style="bold")
    if not known.get("sound", True):
        text.append(str(known.get("message", "")), style="yellow")
    else:
        text.append(str(known.get("message", "")), style="dim")
    if plan["cutOff"]:
        text.append("  this machine is cut off", style="bold red")
    if trouble:
        text.append(f"  {trouble}", style="bold red")
    return text


def _foot(plan: Mapping[str, Any], running: Sequence[Any], now: float) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    if plan["holds"]:
        hold = plan["holds"][0]
        more = f" and {len(plan['holds']) - 1} more" if len(plan["holds"]) > 1 else ""
        text.append(
            f" held: {hold['summary']}{more} (telarchy approve {hold['hash']}) ", style="black on yellow"
        )
        text.append(" ")
    if plan["settled"]:
        text.append(f"settled: {how_much(plan)} is as declared", style="green")
    else:
        waiting = sum(step["decision"] != "Start" for step in plan["steps"]) + plan.get("beyond", {}).get(
            "count", 0
        )
        text.append(f"{len(running)} running, {waiting:,} waiting")
    if plan["wakeAt"] is not None:
        text.append(f"  ·  plans again in {format_span(plan['wakeAt'] - now)} at the latest", style="dim")
    text.append("  ·  Ctrl-C ends", style="dim")
    return text


def _grid(title: str, *columns: tuple[str, str]) -> Table:
    """A table without lines; columns as (heading, justify)."""
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", expand=True)
    grid.add_column(title, no_wrap=True, overflow="ellipsis", ratio=3)
    for heading, justify in columns:
        grid.add_column(
            heading, no_wrap=True, justify="right" if justify == "right" else "left", overflow="ellipsis"
        )
    return grid


def _left_out(grid: Table, count: int, noun: str) -> None:
    if count > 0:
        grid.add_row(Text(f"… {plural(count, 'more ' + noun)}", style="dim"))


def _fit(items: Sequence[Any], rows: int) -> tuple[Sequence[Any], int]:
    """What fits into `rows` lines, and how many are left out (their mention takes a line)."""
    if len(items) <= rows:
        return items, 0
    shown = max(rows - 1, 0)
    return items[:shown], len(items) - shown


def _hosts(hosts: Sequence[Resource], plan: Mapping[str, Any], rows: int, width: int) -> Table:
    grid = _grid(
        "HOSTS", ("STATE", ""), ("FREE", "right"), ("OF", "right"), ("IN", "right"), ("OUT", "right")
    )
    if width >= 100:
        grid.add_column("STATUS", no_wrap=True, overflow="ellipsis", ratio=5)
    running = [step for step in plan["steps"] if "running" in step]
    urgent = sorted(hosts, key=lambda one: at_path(one, ".status.state") == "Up")
    shown, left = _fit(urgent, rows)
    for one in shown:
        name, state = one["metadata"]["name"], at_path(one, ".status.state") or "Unknown"
        free, total = (at_path(one, f".status.capacity.{which}") for which in ("free", "total"))
        cells: list[RenderableType] = [
            name,
            Text(state, style=STATE_STYLES.get(state, "")),
            "" if free is None else format_bytes(free),
            "" if total is None else format_bytes(total),
            str(sum(step["host"] == name for step in running) or ""),
            str(sum(step.get("source_host") == name for step in running) or ""),
        ]
        if width >= 100:
            cells.append(_host_message(one))
        grid.add_row(*cells)
    _left_out(grid, left, "host")
    if not hosts:
        grid.add_row(Text("no host is declared", style="dim"))
    return grid


def _host_message(host: Resource) -> Text:
    """What is wrong with it first, be it only with one of its disks."""
    if at_path(host, '.status.conditions[?(@.type=="VolumesMounted")].status') == "False":
        return Text(
            at_path(host, '.status.conditions[?(@.type=="VolumesMounted")].message') or "", style="yellow"
        )
    return Text(at_path(host, '.status.conditions[?(@.type=="Ready")].message') or "", style="dim")


def _floors(floors: Sequence[Resource], rows: int, width: int) -> Table:
    grid = _grid("FLOORS", ("MET", "right"), ("", ""))
    wide = width >= 100
    if wide:
        grid.add_column("STATUS", no_wrap=True, overflow="ellipsis", ratio=5)
    shown, left = _fit(floors, rows)
    for one in shown:
        met, titles = (int(at_path(one, f".status.{which}") or 0) for which in ("met", "titles"))
        ready = at_path(one, '.status.conditions[?(@.type=="Ready")].status')
        style = "green" if ready == "True" else "yellow"
        bar = ProgressBar(total=max(titles, 1), completed=met, width=24 if wide else 20, complete_style=style)
        cells: list[RenderableType] = [one["metadata"]["name"], f"{met:,}/{titles:,}", bar]
        if wide:
            message = at_path(one, '.status.conditions[?(@.type=="Ready")].message') or ""
            cells.append(Text(message, style="dim"))
        grid.add_row(*cells)
    _left_out(grid, left, "floor")
    if not floors:
        grid.add_row(Text("no floor is declared", style="dim"))
    return grid


def _streams(streams: Sequence[Resource], rows: int, width: int) -> Table:
    grid = _grid("STREAMS", ("PHASE", ""), ("VIEWERS", "right"))
    grid.add_column("STATUS", no_wrap=True, overflow="ellipsis", ratio=5)
    playing = sorted(streams, key=lambda one: at_path(one, ".status.phase") in ("Live", "Ended"))
    shown, left = _fit(playing, rows)
    for one in shown:
        phase = at_path(one, ".status.phase") or "Pending"
        # a stream stays Live while nobody publishes
        absent = phase == "Live" and at_path(one, ".status.source") == "Absent"
        grid.add_row(
            one["metadata"]["name"],
            Text(phase, style="yellow" if absent else PHASE_STYLES.get(phase, "")),
            str(at_path(one, ".status.viewers") or ""),
            Text(at_path(one, '.status.conditions[?(@.type=="Ready")].message') or "", style="dim"),
        )
    _left_out(grid, left, "stream")
    return grid


def _transfers(running: Sequence[Mapping[str, Any]], plan: Mapping[str, Any], rows: int, width: int) -> Table:
    grid = _grid("RUNNING", ("", ""), ("DONE", "right"), ("RATE", "right"), ("LEFT", "right"))
    shown, left = _fit(running, rows)
    for step in shown:
        progress = step["running"]
        total, done = progress["total"], progress["bytes"]
        bar: RenderableType = (
            ProgressBar(total=total, completed=done, width=20 if width >= 100 else 10, complete_style="cyan")
            if total
            else progress["phase"]
        )
        grid.add_row(
            _short(step, width - (50 if width >= 100 else 40)),
            bar,
            f"{min(done * 100 // total, 100)} %" if total else "",
            f"{format_bytes(progress['rate'])}/s" if progress["rate"] else "",
            format_span(progress["eta"]) if progress["eta"] is not None else "",
        )
    _left_out(grid, left, "transfer")
    if not running:
        grid.add_row(Text("nothing", style="dim"))
    return grid


def _short(step: Mapping[str, Any], room: int) -> Text:
    """An action in `room` letters: title first, since that is what a person looks for, less its middle."""
    source, title = step.get("source_host"), step.get("title")
    if title is None:
        return Text(step["summary"])
    way = f"{source} → {step['host']}" if source else f"{step['verb'].lower()} on {step['host']}"
    over = len(title) + 2 + len(way) - max(room, len(way) + 14)
    if over > 0:
        keep = len(title) - over - 1
        title = f"{title[: keep // 2]}…{title[len(title) - (keep - keep // 2) :]}"
    return Text.assemble(title, (f"  {way}", "dim"))


def _events(events: Sequence[Mapping[str, Any]], rows: int, width: int, now: float) -> Table:
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", expand=True)
    grid.add_column("EVENTS", no_wrap=True, justify="right")
    grid.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    for one in list(events)[-rows:] if rows else []:
        style = "yellow" if one["type"] == "Warning" else ""
        times = f" (×{one['count']})" if one["count"] > 1 else ""
        what = Text.assemble((f"{one['name']} ", "bold"), one["message"] + times, style=style)
        grid.add_row(Text(format_span(now - one["last"]), style="dim"), what)
    if not events:
        grid.add_row("", Text("none yet", style="dim"))
    return grid
