"""What runs for long belongs to the host: a supervisor there keeps a process up, across reboots and without us.

A service lies in the folder `services/<name>/` of a base folder on the host:

    current -> set-…     what is in force, switched in one go: files/, settings.sh, args.sh, the supervisor itself
    files -> current/files
    applied              digest and start_digest of what the running process goes by
    unit                 manager and name of its systemd unit, when it runs as one
    supervisor, pid      process id, start time, boot id: a recycled id or a reboot is told from a running process
    state                `<state> <starts> <since> <code>`
    complaint            the last line that the process wrote
    log, log.1           all that it wrote, 1 MiB each

The base is the working directory of every service. It carries a marker file, and nothing is removed from a folder
without one. Where systemd is (a lingering user's, or the system's for root) each service is an enabled unit; elsewhere
its supervisor runs detached, and starts again only when it is put again.
"""

from __future__ import annotations

from collections.abc import Mapping

from telarchy.core.service import Service, ServiceSeen
from telarchy.links.link import Link

MARKER = ".telarchy-streaming"


async def put(
    link: Link, base: str, service: Service, secrets: Mapping[str, bytes], how: str = "start"
) -> str:
    """Bring a service into force: "started", "restarted", "reloaded" or "unchanged". Safe to run twice.

    `base` is absolute or starts with `~/`; `secrets` holds the contents of `service.secret_files` by name. The host
    decides by the digests that are in force there; `how="reload"` only promises that nothing is restarted. Raises
    ActionFailed: CheckFailed (the files do not pass `service.check`; nothing changed), RestartNeeded (nothing
    changed), NotOurs (the base holds other things), SecretMissing, CannotPut.
    """
    raise NotImplementedError


async def put_file(link: Link, base: str, path: str, content: bytes, mode: int = 0o600) -> None:
    """Write one file below the base in one go, with the folders it needs. Raises ActionFailed."""
    raise NotImplementedError


async def stop(link: Link, base: str, name: str) -> None:
    """Stop a service, wait until nothing of it runs, and remove it. One that is not there is stopped.
    Raises ActionFailed (NotStopped)."""
    raise NotImplementedError


async def kick(link: Link, base: str, name: str, starts: int) -> bool:
    """End the process of a service if it still is the one of that start; its supervisor starts it again.
    Returns whether it was."""
    raise NotImplementedError


async def retire(link: Link, base: str) -> None:
    """Stop every service of a base and remove the folder with all that lies in it.

    Raises ActionFailed: NotOurs when the folder carries no marker of ours (or is a symlink), NotStopped, CannotRemove.
    """
    raise NotImplementedError


async def status(link: Link, base: str) -> list[ServiceSeen]:
    """How every service of a base stands, in one round trip. A folder that is not there has none."""
    raise NotImplementedError
