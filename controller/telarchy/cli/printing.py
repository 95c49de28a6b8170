"""What is printed, and what it means when it cannot be."""

from __future__ import annotations

import errno

import click


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
