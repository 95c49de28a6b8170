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
without one. The marker says whose the base is (`core.owner`), and the host refuses everybody else at the moment of
acting. Where systemd is (a lingering user's, or the system's for root) each service is an enabled unit; elsewhere
its supervisor runs detached, and starts again only when it is put again.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence

from telarchy.core.owner import Claim
from telarchy.core.service import LASTED_SECONDS, Service, ServiceSeen, seen_service, without_credentials
from telarchy.errors import ActionFailed
from telarchy.links.link import Completed, Link
from telarchy.links.quoting import quote, shell_command, to_bytes
from telarchy.links.scripts import text

MARKER = ".telarchy-streaming"
NOBODY = ("", "0", "", "")  # who may change only what nobody owns
LOG_BYTES = 1024 * 1024  # of a log before it becomes log.1
PUT_TIMEOUT = 90.0
STOP_TIMEOUT = 120.0
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)
_REASONS = {
    3: "NotOurs",
    4: "CheckFailed",
    5: "RestartNeeded",
    6: "ForeignOwner",
    7: "Fenced",
    8: "NotReloaded",
}
_VERDICT = re.compile(r"(test failed|compilation failed|failed, exited with \d+)$")  # says that, but not what
_SERIOUS = re.compile(r"\[(emerg|alert|crit|error)\]|\berror\b", re.IGNORECASE)
_SECRET_LENGTH = 8  # shorter lines of a secret file (a brace) say nothing


async def put(
    link: Link,
    base: str,
    service: Service,
    secrets: Mapping[str, bytes],
    how: str = "start",
    *,
    by: Claim | None = None,
) -> str:
    """Bring a service into force: "started", "restarted", "reloaded" or "unchanged". Safe to run twice.

    `base` is absolute or starts with `~/`; `secrets` holds the contents of `service.secret_files` by name. The host
    decides by the digests that are in force there; `how="reload"` only promises that nothing is restarted. Raises
    ActionFailed: CheckFailed (the files do not pass `service.check`; nothing changed), RestartNeeded (nothing
    changed), NotOurs (the base holds other things), ForeignOwner (it is another controller's), Fenced (it is held by
    a later tenure of the same), NotReloaded (the process goes on with the files it had), SecretMissing, CannotPut. All
    that changes a base takes `by`: as whom; None is nobody.
    """
    if missing := sorted(set(service.secret_files) - set(secrets)):
        raise ActionFailed(
            f"{link.host}: {service.name} lacks its secret {', '.join(missing)}", reason="SecretMissing"
        )
    folder = _folder(service.name)
    check = [one.replace("{files}", f"{folder}/next/files") for one in service.check]
    identity = (service.name, service_id(base, service.name))
    digests = (service.digest, service.start_digest)
    argv = _script("put", _checked(base), *identity, *digests, how, *check, by=by)
    answer = await _run(
        link, argv, f"put {service.name}", stdin=_archive(service, secrets), timeout=PUT_TIMEOUT
    )
    if not answer.ok:
        held = [secrets[name] for name in service.secret_files]
        said = what_matters(answer.stderr, held) or answer.complaint
        reason = _REASONS.get(answer.code, "CannotPut")
        doing = "the new files do not pass" if reason == "CheckFailed" else "cannot be put"
        raise ActionFailed(
            f"{link.host}: {service.name}: {doing}: {said}", reason=reason, transient=reason != "NotOurs"
        )
    return answer.stdout.decode().strip()


async def put_file(
    link: Link, base: str, path: str, content: bytes, mode: int = 0o600, *, by: Claim | None = None
) -> None:
    """Write one file below the base in one go, with the folders it needs. Raises ActionFailed (NotOurs, ForeignOwner,
    Fenced, CannotPut)."""
    if not all(_FILE.fullmatch(part) for part in path.split("/")):
        raise ValueError(f"{path!r} is not a path below a base")
    argv = _script("put-file", _checked(base), path, f"{mode:o}", by=by)
    _demand(link, await _run(link, argv, f"write {path}", stdin=content), path, "CannotPut")


async def stop(link: Link, base: str, name: str, *, by: Claim | None = None) -> None:
    """Stop a service, wait until nothing of it runs, and remove it. One that is not there is stopped.
    Raises ActionFailed (NotStopped, NotOurs, ForeignOwner, Fenced)."""
    _folder(name)
    argv = _script("stop", _checked(base), name, service_id(base, name), by=by)
    _demand(link, await _run(link, argv, f"stop {name}", timeout=STOP_TIMEOUT), name, "NotStopped")


async def kick(link: Link, base: str, name: str, starts: int, *, by: Claim | None = None) -> bool:
    """End the process of a service if it still is the one of that start; its supervisor starts it again.
    Returns whether it was. Raises ActionFailed (NotStopped, ForeignOwner, Fenced)."""
    _folder(name)
    argv = _script("kick", _checked(base), name, str(starts), by=by)
    answer = await _run(link, argv, f"kick {name}", timeout=STOP_TIMEOUT)
    _demand(link, answer, name, "NotStopped")
    return answer.stdout.strip() == b"kicked"


async def retire(link: Link, base: str, *, by: Claim | None = None) -> None:
    """Stop every service of a base and remove the folder with all that lies in it. One that is not there is retired.

    Raises ActionFailed: NotOurs when the folder carries no marker of ours (or is a symlink), ForeignOwner, Fenced,
    CannotRetire.
    """
    argv = _script("retire", _checked(base), _prefix(base), by=by)
    _demand(link, await _run(link, argv, "retire", timeout=STOP_TIMEOUT), base, "CannotRetire")


async def claim(link: Link, base: str, by: Claim, replaces: str = "") -> bool:
    """Mark a base as one's own: where it is nobody's, of an earlier tenure, or of the owner with the id `replaces`.
    False where there is no such folder. Raises ActionFailed (NotOurs, ForeignOwner, Fenced, CannotClaim)."""
    answer = await _run(link, _script("claim", _checked(base), replaces, by=by), "claim")
    _demand(link, answer, base, "CannotClaim")
    return answer.stdout.strip() == b"claimed"


def claim_args(by: Claim | None) -> tuple[str, str, str, str]:
    """As whom a script acts: what `service-owner.sh` takes before its other arguments."""
    if by is None:
        return NOBODY
    about = f"{by.namespace} {by.resource} {by.policy}"
    return by.owner.id, str(by.owner.term), by.owner.name, about


async def status(link: Link, base: str) -> list[ServiceSeen]:
    """How every service of a base stands, in one round trip. A folder that is not there has none."""
    parts = ["job-lib", "service-lib", "service-status"]
    script = "\n".join([*map(text, parts), 'enter_base "$1" && service_lines'])
    answer = await _run(link, ["/bin/sh", "-c", script, "service-status", _checked(base)], "ask")
    lines = answer.stdout.decode("utf-8", "replace").split("\n")
    return [seen for line in lines if (seen := seen_service(line)) is not None]


def service_id(base: str, name: str) -> str:
    """What the unit of a service is called (`<id>.service`)."""
    return f"{_prefix(base)}-{name}"


def what_matters(stderr: bytes, secrets: Iterable[bytes] = ()) -> str:
    """The line of a failed check that says what is wrong, without what the secrets hold; "" when there is none."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line and not _VERDICT.search(line)]
    for at, line in enumerate(lines):
        if line.startswith("Message from "):  # varnishd: what, and where
            lines = [" ".join(lines[at + 1 : at + 3])]
            break
    serious = [line for line in lines if _SERIOUS.search(line)] or lines
    said = serious[-1] if serious else ""
    for content in secrets:
        for secret in content.decode("utf-8", "replace").split("\n"):
            if len(secret.strip()) >= _SECRET_LENGTH:
                said = said.replace(secret.strip(), "…")
    return without_credentials(said)


def _prefix(base: str) -> str:
    return f"telarchy-{hashlib.sha256(to_bytes(base)).hexdigest()[:8]}"


def _folder(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a service")
    return f"services/{name}"


def _checked(base: str) -> str:
    """A base that can be removed without regret: absolute or below home, no way up in it, and not a root."""
    parts = base.removeprefix("~").split("/")
    deep = [part for part in parts if part]
    if not base.startswith(("/", "~/")) or not deep or {".", ".."} & set(deep) or not base.isprintable():
        raise ValueError(f"{base!r} is not the base of services")
    return base.rstrip("/")


def _script(name: str, *args: str, by: Claim | None = None) -> list[str]:
    parts = ["job-lib", "service-lib", "service-owner", f"service-{name}"]
    return ["/bin/sh", "-c", "\n".join(map(text, parts)), f"service-{name}", *claim_args(by), *args]


async def _run(
    link: Link, argv: Sequence[str], doing: str, *, stdin: bytes = b"", timeout: float = 60.0
) -> Completed:
    try:
        return await link.run(argv, stdin=stdin, timeout=timeout)
    except TimeoutError:
        raise ActionFailed(f"{link.host}: {doing}: no end after {timeout:.0f} s", reason="TimedOut") from None


def _demand(link: Link, answer: Completed, what: str, reason: str) -> None:
    if answer.ok:
        return
    reason = _REASONS.get(answer.code, reason)
    complaint = without_credentials(answer.complaint)
    raise ActionFailed(f"{link.host}: {what}: {complaint}", reason=reason, transient=reason != "NotOurs")


def _archive(service: Service, secrets: Mapping[str, bytes]) -> bytes:
    """A new set of a service as a tar archive."""
    files = dict(service.files) | {name: secrets[name] for name in service.secret_files}
    argv = [one.replace("{files}", f"{_folder(service.name)}/files") for one in service.argv]
    content = {
        "lib.sh": text("job-lib").encode(),
        "run.sh": text("service-run").encode(),
        "args.sh": shell_command(["set", "--", *argv]) + b"\n",
        "settings.sh": _settings(service),
        "digest": f"{service.digest} {service.start_digest}\n".encode(),
        **{f"files/{name}": data for name, data in files.items()},
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        folder = tarfile.TarInfo("files")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(folder)
        for name, data in content.items():
            if not _FILE.fullmatch(name.removeprefix("files/")):
                raise ValueError(f"{name!r} is not the name of a service's file")
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _settings(service: Service) -> bytes:
    """What the supervisor goes by, as assignments in sh."""
    settings = {
        "stop": service.stop,
        "stop_seconds": str(service.stop_seconds),
        "reload": service.reload,
        "reload_error": service.reload_error,
        "wait_for": service.wait_for,
        "progress": service.progress,
        "nice": "yes" if service.nice else "no",
        "delays": " ".join(str(round(1000 * seconds)) for seconds in service.back_off),
        "lasted": str(LASTED_SECONDS),
        "log_bytes": str(LOG_BYTES),
        "secret_files": " ".join(sorted(service.secret_files)),
    }
    return b"".join(f"{key}=".encode() + quote(to_bytes(value)) + b"\n" for key, value in settings.items())
