"""`telarchy plan`: what `run` would do. Looks at hosts, and leaves no trace on them nor in the store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from telarchy.cli import address, exits, options
from telarchy.cli.bugs import run_quietly
from telarchy.resources.meta import ALL_NAMESPACES


@click.command(short_help="Show what `run` would do, and touch nothing.")
@options.source
@options.verify_signatures
@options.output("text", "json", "yaml")
@click.option("--live", is_flag=True, help="With kubectl: asked of the operator's pod, every step of it.")
@click.option("--timings", is_flag=True, help="Say on stderr how long each stage took.")
@options.namespace
@options.state
def plan(
    source: str,
    allowed_signers: Path | None,
    output: str,
    live: bool,
    timings: bool,
    namespace: str,
    state: Path,
) -> int:
    """Show the very actions that `run` would take, in their order, and the reasons for those it would not.

    Without --source: the plan of the running controller or, when none runs, one for what was last declared.

    Ends with 0 when nothing is to be done, 2 when there are changes, 1 when manifests or hosts are in error.
    """
    stages: dict[str, float] = {}
    if allowed_signers is not None and not source:
        raise click.UsageError("--verify-signatures is about the commits of a git --source")
    shown, faults = _current(state, live) if not source else (None, [])
    if shown is None:
        shown, faults = run_quietly(_think(source, allowed_signers, namespace, state, stages), state)
    for fault in faults:
        click.echo(fault, err=True)
    if output == "text" and shown.pop("unknown", False):
        click.echo("No plan: nothing is known of what is declared.", err=True)
    elif output == "text":
        from telarchy.cli.plantext import plan_lines

        for line in plan_lines(shown):
            click.echo(line)
    else:
        from telarchy.cli.outputs import document

        click.echo(document({"apiVersion": "telarchy.dev/v1alpha1", "kind": "Plan", **shown}, output))
    if timings:
        for stage, seconds in stages.items():
            click.echo(f"{stage:<8} {seconds * 1000:9.1f} ms", err=True)
    if faults:
        return exits.ERROR
    return exits.OK if shown["settled"] and not shown["holds"] else exits.CHANGES


def _current(state: Path, live: bool) -> tuple[dict[str, Any] | None, list[str]]:
    """The plan of a running controller, None if none runs."""
    from telarchy.cli.client import connect

    client = connect(state, quiet=True)
    if not client.live:
        return None, []
    known = client.ask("source") or {}
    faults = list(known.get("problems", [])) if not known.get("sound", True) else []
    if not known.get("healthy", True):
        faults.append(f"telarchy: {known['message']}")
    shown = client.ask("plan", **({"live": True} if live and address.chosen is not None else {}))
    bare = address.chosen is None and shown is not None and not shown["hosts"] and not shown["floors"]
    if shown is not None and bare and not client.ask("resources", namespace=ALL_NAMESPACES):
        from telarchy.runtime.revision import NOTHING_APPLIED, NOTHING_DECLARED

        shown["unknown"] = True
        faults = faults or [f"telarchy: {NOTHING_DECLARED if known.get('name') else NOTHING_APPLIED}"]
    return shown, faults


async def _think(
    source: str, allowed_signers: Path | None, namespace: str, state: Path, stages: dict[str, float]
) -> tuple[dict[str, Any], list[str]]:
    """Read, look, think: once, on a store whose changes are thrown away. Returns the plan, and what is wrong."""
    from telarchy.runtime.engine import Engine
    from telarchy.runtime.revision import NOTHING_APPLIED, NOTHING_DECLARED
    from telarchy.runtime.sources import open_source, remembered
    from telarchy.store import Store

    with _stage(stages, "open"):
        store = Store.open(state, read_only=True)
    with store:
        place = open_source(
            source, store, namespace=namespace, allowed_signers=allowed_signers, patient=False
        )
        with _stage(stages, "read"):
            revision = await place.read() if source else remembered(store)
        engine = Engine(store, place, namespace=namespace, observe_only=True)
        try:
            engine.follow(revision)
            with _stage(stages, "look"):
                await engine.reconciler.observe(read_only=True)
            with _stage(stages, "think"):
                engine.think()
            shown = engine.snapshot(steps=None)
            nothing = not revision.resources and not revision.stalled
            shown["unknown"] = nothing or (not revision.healthy and not revision.resources)
        finally:
            await engine.close()
    faults = [str(problem) for problem in revision.problems if problem.severity == "error"]
    if not revision.healthy:
        faults.append(f"telarchy: {revision.message}")
    elif nothing and not faults:
        faults.append(f"telarchy: {store.lost or (NOTHING_DECLARED if source else NOTHING_APPLIED)}")
    return shown, faults


@contextmanager
def _stage(stages: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        stages[name] = time.perf_counter() - began
