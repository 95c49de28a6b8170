"""Userlands that lock in other ways: folders of tools to stand alone in PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def without_flock(tools: Path) -> None:
    tools.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for tool in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if tool.name != "flock" and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)


def busybox_flock(tools: Path) -> None:
    """A stand-in for that of BusyBox, which locks as the real one does and knows -s, -x, -n and -u only."""
    real = shutil.which("flock")
    without_flock(tools)
    refuses = 'echo "flock: unrecognized option: $one" >&2; exit 1'
    (tools / "flock").write_text(
        f"#!/bin/sh\nfor one; do case $one in -[sxnu] | [0-9]) ;; *) {refuses} ;; esac; done\n"
        f'exec {real} "$@"\n'
    )
    (tools / "flock").chmod(0o755)
