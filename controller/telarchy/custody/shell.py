"""Running custody's scripts on a host, and what their exit codes mean.

A script is sent as one argument of `sh -c`, with the pieces it builds on in front of it; everything that a
manifest or a file name says goes in as an argument or on stdin. Nothing is installed on a host.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

from telarchy.errors import ActionFailed, SafetyRefusal, TelarchyError
from telarchy.links.link import Completed, Link

# As in scripts/fence.sh.
FENCED = 70
GONE = 71
CONFLICT = 72
NO_SPACE = 73
READ_ONLY = 74
CHANGED = 75
NO_TOOL = 76
BUSY = 77
FAILED = 78

_FAILURES = {
    GONE: "VolumeGone",
    NO_SPACE: "NoSpace",
    READ_ONLY: "ReadOnly",
    CHANGED: "Changed",
    NO_TOOL: "ToolMissing",
    BUSY: "Busy",
    FAILED: "ActionFailed",
}
_REFUSALS = {FENCED: "single-writer", CONFLICT: "never-overwrite"}


@cache
def script(*names: str) -> str:
    """The text of scripts, one after the other: `script("fence", "look")`."""
    folder = resources.files("telarchy.custody") / "scripts"
    return "\n".join((folder / f"{name}.sh").read_text("utf-8") for name in names)


@cache
def digesting() -> tuple[str, str]:
    """The two programs that digest on a host, as scripts take them: for any, and for one with Python."""
    reader = resources.files("telarchy.custody") / "reader.py"
    return script("batch"), reader.read_text("utf-8")


def argv(names: Sequence[str], args: Sequence[str]) -> list[str]:
    """The command that runs these scripts (the last one being the one that acts) with these arguments."""
    return ["sh", "-c", script(*names), f"telarchy-{names[-1]}", *args]


def failure(code: int, complaint: str, where: str) -> TelarchyError:
    """The error that an exit code of a script stands for."""
    if code in _REFUSALS:
        return SafetyRefusal(_REFUSALS[code], f"{where}: {complaint}")
    return ActionFailed(f"{where}: {complaint}", reason=_FAILURES.get(code, "ActionFailed"))


async def run(
    link: Link,
    names: Sequence[str],
    args: Sequence[str],
    *,
    stdin: bytes = b"",
    within: float | None = 60.0,
) -> Completed:
    """Run scripts to their end.

    Raises ActionFailed or SafetyRefusal as the exit code says, ActionFailed(reason="Timeout") when it takes
    longer than `within` seconds, HostUnreachable from the link.
    """
    try:
        done = await link.run(argv(names, args), stdin=stdin, timeout=within)
    except TimeoutError:
        raise ActionFailed(
            f"{link.host}: {names[-1]} took longer than {within:.0f} s", reason="Timeout"
        ) from None
    if not done.ok:
        raise failure(done.code, done.complaint, link.host)
    return done


def records(data: bytes) -> list[bytes]:
    """NUL-terminated records. What follows the last NUL was cut off, and is left out."""
    return data.split(b"\0")[:-1]


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def nul_list(names: Sequence[str]) -> bytes:
    """Names for `xargs -0` and `--from0`."""
    return raw("".join([name + "\0" for name in names]))


def nanoseconds(stamp: str) -> int:
    """`1700000000.1234567890` as ns since the epoch, whatever the number of digits."""
    seconds, _, fraction = stamp.partition(".")
    return int(seconds + fraction[:9].ljust(9, "0"))
