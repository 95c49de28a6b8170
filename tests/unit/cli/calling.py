"""The command line, run in this process and beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from telarchy.cli import main as entry


class Ended(NamedTuple):
    """What a run of the command line left."""

    code: int | str | None
    out: str
    err: str


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    """Run it to its end. No traceback ever reaches a person."""
    with pytest.raises(SystemExit) as end:
        entry.main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    return Ended(end.value.code, shown.out, shown.err)


def completed(words: str, told: str = "value") -> list[str]:
    """What a shell offers behind these words, or of which `type` it is."""
    environment = os.environ | {
        "_TELARCHY_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))),
    }
    shown = subprocess.run(
        [sys.executable, "-m", "telarchy"], capture_output=True, text=True, env=environment
    )
    return [line.partition(",")[2 if told == "value" else 0] for line in shown.stdout.splitlines()]


@contextmanager
def watcher(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that goes on until it is told to stop."""
    argv = [sys.executable, "-m", "telarchy", *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
