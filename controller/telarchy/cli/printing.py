"""What is printed, and what it means when it cannot be."""

from __future__ import annotations

import errno
import os
import select
import sys
import threading
from contextlib import suppress

import click

from telarchy.cli import exits


def say(text: str, *, err: bool = False) -> None:
    """Print a line, or do without: a disk that is full under the log is no reason to keep the fleet no more."""
    try:
        click.echo(text, err=err)
    except OSError as error:
        if not no_room(error):
            raise


def no_room(error: OSError) -> bool:
    """Whether the disk is full under a file that we were given open: what is printed goes there."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and error.filename is None


def reader_gone(error: OSError) -> bool:
    """Whether a pipe has no reader any more, or the terminal was closed."""
    return isinstance(error, BrokenPipeError) or (error.errno == errno.EIO and error.filename is None)


def is_dumb() -> bool:
    """Whether the terminal knows no escape sequences."""
    return os.environ.get("TERM") in ("dumb", "unknown")


def end_with_reader() -> None:
    """From now on this process ends as soon as whoever reads its output is gone: who waits for news would learn it only
    when there are some, and `get -w | grep -m1 True` would hang until then."""
    poll = select.poll()
    # a stdout that is no file (a test's) has no reader that goes away
    with suppress(OSError, ValueError):
        poll.register(sys.stdout.fileno(), 0)
        threading.Thread(target=_end_with, args=(poll,), name="the reader", daemon=True).start()


def _end_with(poll: select.poll) -> None:
    poll.poll()
    os._exit(exits.READER_GONE)
