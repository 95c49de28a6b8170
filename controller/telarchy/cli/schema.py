"""`telarchy schema`: CRDs for Kubernetes and JSON Schemas for editors, generated from the models."""

from __future__ import annotations

from pathlib import Path

import click

from telarchy.cli import exits
from telarchy.core.words import plural
from telarchy.errors import TelarchyError

out = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write; without it, print."
)
check = click.option("--check", is_flag=True, help="Write nothing; end with 1 when the files are stale.")


@click.group(short_help="Write CRDs and JSON Schemas.")
def schema() -> None:
    """Write what other programs need to know of the kinds."""


@schema.command()
@out
@check
def crds(out: Path | None, check: bool) -> int:
    """CustomResourceDefinitions, one file per kind."""
    from telarchy.resources.crd import crd_documents

    return _deliver(crd_documents(), out, check, separator="---\n")


@schema.command("json")
@out
@check
def json_(out: Path | None, check: bool) -> int:
    """JSON Schemas for editors, one file per kind and one for all."""
    from telarchy.resources.jsonschema import json_schema_documents

    return _deliver(json_schema_documents(), out, check, separator="\n")


def _deliver(documents: dict[str, str], out: Path | None, check: bool, *, separator: str) -> int:
    if out is None:
        if check:
            raise click.UsageError("--check needs --out, the folder to compare with")
        click.echo(
            separator.join(documents[name].rstrip("\n") + "\n" for name in sorted(documents)), nl=False
        )
        return exits.OK
    try:
        stale = [name for name, text in sorted(documents.items()) if _read(out / name) != text]
        kept = {Path(name).suffix for name in documents}
        left_over = sorted(
            file.name
            for file in (out.iterdir() if out.is_dir() else ())
            if file.suffix in kept and file.name not in documents
        )
        if check:
            for name in stale:
                click.echo(f"{out / name} is stale")
            for name in left_over:
                click.echo(f"{out / name} belongs to no kind")
            return exits.ERROR if stale or left_over else exits.OK
        out.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (out / name).write_text(documents[name], encoding="utf-8")
    except OSError as error:
        raise TelarchyError(f"{out} cannot be written: {(error.strerror or str(error)).lower()}") from error
    click.echo(f"{plural(len(stale), 'file')} written, {len(documents) - len(stale)} unchanged", err=True)
    return exits.OK


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
