"""The first login at a machine that is to become a host: its key is shown and pinned, failures have a reason.

Synchronous, over fabric: this is done once, with a person watching, before there is a manifest to make a link from.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabric
import paramiko  # type: ignore[import-untyped, unused-ignore]

from telarchy.errors import ConfigError, HostUnreachable
from telarchy.links.quoting import shell_command
from telarchy.links.secrets import Secret
from telarchy.resources.host import Endpoint

# It logs tracebacks of what it raises as well; what is raised is told in a sentence here.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

CONNECT_TIMEOUT = 10
COMMAND_TIMEOUT = 600  # installing packages takes its time


@dataclass(frozen=True)
class Answer:
    """What a command said. `code` is its exit status."""

    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def complaint(self) -> str:
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1] if lines else f"exit status {self.code}"


class Login:
    """An open login. A context manager. `host_key` is the public key that the machine showed."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        identity: Path | Secret | None,
        password: Secret | None,
        pinned: str,
        say: Callable[[str], None],
    ) -> None:
        self.endpoint = endpoint
        self.host_key = pinned
        self._say = say
        self._connection = self._open(identity, password, pinned)

    def run(self, argv: Sequence[str]) -> Answer:
        """Run to the end. Raises HostUnreachable when the connection goes."""
        command = shell_command(["env", "LC_ALL=C", *argv]).decode("utf-8", "surrogateescape")
        try:
            done = self._connection.run(
                command, hide=True, warn=True, in_stream=False, timeout=COMMAND_TIMEOUT
            )
        except (paramiko.SSHException, OSError, EOFError) as problem:
            raise self._unreachable(problem) from None
        return Answer(done.return_code, done.stdout, done.stderr)

    @property
    def address(self) -> str:
        """The IP address that was reached."""
        return str(self._connection.transport.getpeername()[0])

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Login:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self, identity: Path | Secret | None, password: Secret | None, pinned: str) -> Any:
        options: dict[str, Any] = {"banner_timeout": CONNECT_TIMEOUT}
        options["auth_timeout"] = CONNECT_TIMEOUT
        if isinstance(identity, Secret):
            options |= {"pkey": private_key(identity), "allow_agent": False, "look_for_keys": False}
        elif identity is not None:
            options |= {"key_filename": str(identity), "allow_agent": False, "look_for_keys": False}
        if password is not None:
            options |= {"password": password.reveal().decode(), "allow_agent": False, "look_for_keys": False}
        config = fabric.Config(lazy=True, overrides={"load_ssh_configs": False})
        connection = fabric.Connection(
            self.endpoint.host,
            user=self.endpoint.user,
            port=self.endpoint.port,
            config=config,
            connect_timeout=CONNECT_TIMEOUT,
            connect_kwargs=options,
        )
        name = (
            self.endpoint.host if self.endpoint.port == 22 else f"[{self.endpoint.host}]:{self.endpoint.port}"
        )
        connection.client.set_missing_host_key_policy(_Accept(self))
        if pinned:
            algorithm, blob, *_ = pinned.split()
            key = paramiko.PKey.from_type_string(algorithm, base64.b64decode(blob))
            connection.client.get_host_keys().add(name, algorithm, key)
        try:
            connection.open()
        except (paramiko.SSHException, OSError, EOFError, ValueError) as problem:
            connection.close()
            raise self._unreachable(problem) from None
        if pinned:
            self._say(f"host key as pinned: {fingerprint(pinned)}")
        return connection

    def _unreachable(self, problem: Exception) -> HostUnreachable:
        name, where = self.endpoint.host, str(self.endpoint)
        if isinstance(problem, paramiko.BadHostKeyException):
            shown = f"{problem.key.get_name()} {problem.key.get_base64()}"
            return HostUnreachable(
                name,
                "HostKeyChanged",
                f"{where} shows another host key ({fingerprint(shown)}) than the one pinned before "
                f"({fingerprint(self.host_key)}). If the machine was reinstalled, remove the old pin; "
                "if not, something else answers in its place",
            )
        if isinstance(problem, paramiko.AuthenticationException):
            return HostUnreachable(
                name,
                "AuthenticationFailed",
                f"{where} refuses the login: wrong password, or a key it does not know",
            )
        if isinstance(problem, paramiko.PasswordRequiredException):
            return HostUnreachable(
                name, "AuthenticationFailed", "the private key is protected by a passphrase"
            )
        if isinstance(problem, socket.gaierror):
            return HostUnreachable(name, "NameNotResolved", f"the name {name} is not known")
        if isinstance(problem, TimeoutError):
            return HostUnreachable(name, "TimedOut", f"{where} does not answer")
        if isinstance(problem, OSError) and "Unable to connect" in str(problem):
            return HostUnreachable(
                name, "ConnectionRefused", f"{where} refuses the connection: no sshd listens there"
            )
        return HostUnreachable(name, "ConnectionLost", f"{where}: {problem}")


class _Accept(paramiko.MissingHostKeyPolicy):  # type: ignore[misc, unused-ignore]
    """Shows the key of a machine that was not met before, and takes note of it."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        self._login.host_key = f"{key.get_name()} {key.get_base64()}"
        self._login._say(f"new host key, pinned from now on: {fingerprint(self._login.host_key)}")


def private_key(text: Secret) -> paramiko.PKey:
    """The key that a secret holds. Raises ConfigError where it holds none that can be used."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text.reveal().decode("ascii")))
        except (paramiko.SSHException, ValueError):
            continue  # of another kind; what it says may quote the key
    raise ConfigError("the secret with the login's key holds no private key, or one with a passphrase")


def fingerprint(public_key: str) -> str:
    """`ssh-ed25519 SHA256:…`, as ssh-keygen -l shows it."""
    algorithm, blob, *_ = public_key.split()
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return f"{algorithm} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
