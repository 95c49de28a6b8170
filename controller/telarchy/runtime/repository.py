"""A branch of a git repository, read from a bare mirror with the real git: no work tree, no hooks, no prompts.

    git+https://example.org/fleet.git#main:home      branch `main`, folder `home`
    git+ssh://git@example.org/fleet.git#main         the whole tree
    git+file:///srv/fleet.git                        the branch that HEAD names

A commit is followed as a whole or not at all. With an allowed-signers file (ssh-keygen(1)), only commits with
a good ssh signature of someone in it are followed; signatures of other kinds do not count.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from telarchy.errors import ConfigError, Problem, TelarchyError
from telarchy.resources.loader import SUFFIXES, Loaded, load_text
from telarchy.resources.yamltext import MAX_FILE_BYTES
from telarchy.runtime.manifests import usable
from telarchy.runtime.revision import Look

PREFIX = "git+"
POLL_SECONDS = 60.0
NETWORK_SECONDS = 120.0
LOCAL_SECONDS = 30.0

_ADDRESS = re.compile(
    r"(https?|ssh|git|file)://[^\s\x00-\x1f]+|[\w.-]+@[\w.-]+:[^\s\x00-\x1f-][^\s\x00-\x1f]*"
)
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_CREDENTIALS = re.compile(r"(://)[^/@\s]*:[^/@\s]*@")
_MIRROR_REF = "refs/telarchy/head"

# Everything a hostile repository or a stray configuration could make git run, or wait for, is off.
_QUIET = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("protocol.ext.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("fetch.recurseSubmodules", "false"),
)


@dataclass(frozen=True)
class GitAddress:
    """`git+URL#branch:path` in its parts. Empty branch: what HEAD names. Empty path: the whole tree."""

    url: str
    branch: str = ""
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> GitAddress:
        """Raises ConfigError."""
        url, _, fragment = text.removeprefix(PREFIX).partition("#")
        branch, _, path = fragment.partition(":")
        if _ADDRESS.fullmatch(url) is None:
            raise ConfigError(
                f"{text}: a repository is written like git+https://example.org/fleet.git#main:folder"
            )
        if branch and (_BRANCH.fullmatch(branch) is None or ".." in branch):
            raise ConfigError(f"{text}: `{branch}` is not a branch name")
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts or "\0" in path:
            raise ConfigError(f"{text}: `{path}` is not a folder inside the repository")
        return cls(url, branch, "/".join(part for part in parts if part != "."))


class _GitFailed(TelarchyError):
    """git ended with an error; the message is its own, without credentials."""


class _GitSilent(_GitFailed):
    """git did not come to its end in time: the line or the disk is slow, and the mirror no worse for it."""


class _MirrorDamaged(_GitFailed):
    """The repository answers, and its mirror here is of no use: a power cut or a killed git left it so."""


class Repository:
    """A branch, mirrored under `mirrors` (None: in a temporary folder that goes with this object).

    `allowed_signers` is the path of an allowed-signers file.
    """

    def __init__(
        self,
        address: str,
        mirrors: Path | None,
        *,
        allowed_signers: Path | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self.name = _CREDENTIALS.sub(r"\1", address)
        self._address = GitAddress.parse(address)
        if mirrors is None:
            self._temporary = TemporaryDirectory(prefix="telarchy-mirror-")
            mirrors = Path(self._temporary.name)
        self._mirror = mirrors.absolute() / hashlib.sha256(self._address.url.encode()).hexdigest()[:16]
        self._signers = allowed_signers.absolute() if allowed_signers else None
        if self._signers is not None and not self._signers.is_file():
            raise ConfigError(f"{allowed_signers}: there is no such file of allowed signers")
        self._poll_seconds = poll_seconds
        self._read: Look | None = None

    async def look(self) -> Look:
        try:
            return await self._look()
        except _MirrorDamaged:
            pass
        try:
            # a copy of what is elsewhere: nothing is lost with it
            await asyncio.to_thread(_remove, self._mirror)
            return await self._look()
        except (_MirrorDamaged, OSError) as error:
            return Look("", failure=f"{self.name} cannot be read: {error}", failure_reason="FetchFailed")

    async def _look(self) -> Look:
        """Raises _MirrorDamaged."""
        try:
            commit = await self._fetch()
        except _MirrorDamaged:
            raise
        except _GitFailed as error:
            return Look("", failure=f"{self.name} cannot be fetched: {error}", failure_reason="FetchFailed")
        if self._read is not None and self._read.revision == commit[:12] and not self._read.failure:
            return self._read
        try:
            await self._check_signature(commit)
        except _GitFailed as error:
            return Look(
                commit[:12],
                failure=f"revision {commit[:12]} is not followed: {error}",
                failure_reason="SignatureRefused",
            )
        try:
            texts, loaded = await self._texts(commit)
        except _MirrorDamaged:
            raise
        except _GitFailed as error:
            return Look(commit[:12], failure=f"{self.name}: {error}", failure_reason="RevisionRefused")
        self._read = await asyncio.to_thread(_look_at, commit, texts, loaded)
        return self._read

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await asyncio.sleep(self._poll_seconds)
            yield

    async def _fetch(self) -> str:
        """The commit that the branch is at. Raises _GitFailed, _MirrorDamaged."""
        if self._mirror.is_file() or not (self._mirror / "HEAD").exists():
            try:
                await asyncio.to_thread(_remove, self._mirror)
                self._mirror.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                raise _GitFailed(f"its mirror {self._mirror} cannot be made: {why}") from None
            await self._git("init", "--quiet", "--bare", "--template=", str(self._mirror), inside=False)
        try:
            await self._git(
                "fetch",
                "--quiet",
                "--no-tags",
                "--depth=1",
                "--force",
                "--no-write-fetch-head",
                "--",
                self._address.url,
                f"+{self._branch}:{_MIRROR_REF}",
                within=NETWORK_SECONDS,
            )
            return (await self._git("rev-parse", "--verify", f"{_MIRROR_REF}^{{commit}}")).decode().strip()
        except _GitSilent:
            raise
        except _GitFailed as error:
            if await self._answers():
                raise _MirrorDamaged(str(error)) from None
            raise

    @property
    def _branch(self) -> str:
        return self._address.branch or "HEAD"

    async def _answers(self) -> bool:
        """Whether the repository itself tells where the branch is."""
        try:
            asking = ("ls-remote", "--quiet", "--exit-code", "--", self._address.url, self._branch)
            await self._git(*asking, inside=False, within=LOCAL_SECONDS)
        except _GitFailed:
            return False
        return True

    async def _check_signature(self, commit: str) -> None:
        if self._signers is None:
            return
        try:
            await self._git(
                "verify-commit",
                commit,
                settings=(
                    ("gpg.ssh.allowedSignersFile", str(self._signers)),
                    ("gpg.minTrustLevel", "fully"),
                    ("gpg.program", "/bin/false"),
                    ("gpg.x509.program", "/bin/false"),
                ),
            )
        except _GitFailed as error:
            why = _nobody_in(self._signers) or _untrusted(str(error), self._signers)
            raise _GitFailed(f"no good signature of an allowed signer ({why})") from None

    async def _texts(self, commit: str) -> tuple[dict[str, bytes], Loaded]:
        """The manifest files of a commit, and what is wrong with those that cannot be one.

        Raises _GitFailed, _MirrorDamaged.
        """
        start = self._address.path
        wholly = ("ls-tree", "-r", "-z", "--full-tree", "--long", commit)
        try:
            listing = await self._git(*wholly, *(["--", f"{start}/"] if start else []))
        except _GitSilent:
            raise
        except _GitFailed as error:
            raise _MirrorDamaged(str(error)) from None
        wanted: list[tuple[str, str]] = []
        loaded = Loaded()
        for entry in listing.split(b"\0"):
            if not entry:
                continue
            about, _, raw = entry.partition(b"\t")
            mode, kind, digest, size = about.decode().split()
            path = raw.decode("utf-8", "replace")
            inside = PurePosixPath(path).relative_to(start) if start else PurePosixPath(path)
            if kind != "blob" or mode == "120000" or any(part.startswith(".") for part in inside.parts):
                continue
            if inside.suffix.lower() not in SUFFIXES:
                continue
            if not size.isdigit():
                raise _MirrorDamaged(f"{path} is missing in its mirror here")
            if int(size) > MAX_FILE_BYTES:
                problem = Problem(f"larger than {MAX_FILE_BYTES} bytes", path, rule="too-large")
                loaded.problems.append(problem)
                continue
            wanted.append((path, digest))
        if start and not listing:
            raise _GitFailed(f"there is no folder {start} in revision {commit[:12]}")
        try:
            output = await self._git(
                "cat-file", "--batch", stdin="".join(f"{digest}\n" for _, digest in wanted).encode()
            )
            return dict(zip((path for path, _ in wanted), _blobs(output), strict=True)), loaded
        except _GitSilent:
            raise
        except (_GitFailed, ValueError):
            raise _MirrorDamaged("files of it are missing in its mirror here") from None

    async def _git(
        self,
        *arguments: str,
        inside: bool = True,
        stdin: bytes = b"",
        within: float | None = None,
        settings: tuple[tuple[str, str], ...] = (),
    ) -> bytes:
        """Run git to its end, within `LOCAL_SECONDS` unless told otherwise. Raises _GitFailed with its complaint, and
        _GitSilent."""
        within = LOCAL_SECONDS if within is None else within
        options = [part for key, value in (*_QUIET, *settings) for part in ("-c", f"{key}={value}")]
        where = ["--git-dir", str(self._mirror)] if inside else []
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *options,
                *where,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(os.environ),
                start_new_session=True,
            )
        except FileNotFoundError:
            raise _GitFailed("git is not installed here") from None
        except OSError as error:
            raise _GitFailed(f"git cannot be run: {(error.strerror or str(error)).lower()}") from None
        try:
            async with asyncio.timeout(within):
                output, complaint = await process.communicate(stdin)
        except TimeoutError:
            raise _GitSilent(f"no answer within {within:.0f} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                await process.wait()
        if process.returncode:
            raise _GitFailed(_complaint(complaint))
        return output


def _remove(mirror: Path) -> None:
    """Raises OSError."""
    if mirror.is_dir():
        shutil.rmtree(mirror)
    else:
        mirror.unlink(missing_ok=True)


def _environment(base: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what points git elsewhere, and with every way to ask a person closed."""
    kept = {
        key: value
        for key, value in base.items()
        if not key.startswith("GIT_") or key in ("GIT_SSH_COMMAND", "GIT_SSH", "GIT_CONFIG_GLOBAL")
    }
    kept.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=15")
    return kept | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
        "LC_ALL": "C.UTF-8",
    }


def _complaint(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    text = re.sub(r"^(fatal|error): ", "", telling[0]) if telling else ""
    return _CREDENTIALS.sub(r"\1", text)


def _nobody_in(signers: Path) -> str:
    """Why a file of allowed signers allows nobody at all; "" when it names somebody."""
    try:
        lines = [line.strip() for line in signers.read_text("utf-8", "replace").splitlines()]
    except OSError as error:
        return f"{signers} cannot be read: {(error.strerror or str(error)).lower()}"
    return "" if any(line and not line.startswith("#") for line in lines) else f"{signers} names nobody"


def _untrusted(complaint: str, signers: Path) -> str:
    """What `git verify-commit` complained of, in words: it calls a stranger's signature good."""
    if stranger := re.fullmatch(r'Good "git" signature with (.+ key \S+)', complaint):
        return f"{stranger[1]} is nobody's in {signers}, or no longer"
    return complaint or "it has no ssh signature"


def _blobs(output: bytes) -> list[bytes]:
    """The contents in the output of `git cat-file --batch`: a header line with the size, then so many bytes."""
    found, position = [], 0
    while position < len(output):
        end = output.index(b"\n", position)
        size = int(output[position:end].rsplit(b" ", 1)[1])
        found.append(output[end + 1 : end + 1 + size])
        position = end + 1 + size + 1
    return found


def _look_at(commit: str, texts: dict[str, bytes], loaded: Loaded) -> Look:
    for path in sorted(texts):
        loaded.add(load_text(texts[path], path, named=False))
    found = usable(loaded, lambda file: texts.get(file, b"").decode("utf-8", "replace"))
    return Look(commit[:12], found, whole=True)
