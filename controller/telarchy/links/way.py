"""How one host is reached, with secrets resolved: what a connection is made from, as a value to compare."""

from __future__ import annotations

from dataclasses import dataclass

import asyncssh

from telarchy.errors import HostUnreachable
from telarchy.links.secrets import Secret, SecretMissing, SecretResolver
from telarchy.resources.host import Endpoint, Host, parse_endpoint


@dataclass(frozen=True)
class Way:
    """An ssh way to a host.

    endpoints:  in the order in which they are preferred
    host_key:   the pinned public key in OpenSSH form, "" when the manifest has none
    key:        private key to log in with; with neither key nor password, the user's own keys and agent serve
    """

    host: str
    endpoints: tuple[Endpoint, ...]
    host_key: str = ""
    key: Secret | None = None
    password: Secret | None = None


def way_to(host: Host, secrets: SecretResolver) -> Way | None:
    """The way that a manifest declares; None for a local host. Raises HostUnreachable (SecretMissing)."""
    ssh = host.spec.connection.ssh
    if ssh is None:
        return None
    try:
        found = [
            None if source is None else secrets.resolve(source.secret_ref.name, source.secret_ref.key)
            for source in (ssh.identity, ssh.password)
        ]
    except SecretMissing as problem:
        raise HostUnreachable(host.metadata.name, "SecretMissing", str(problem)) from None
    endpoints = tuple(parse_endpoint(text) for text in ssh.endpoints)
    return Way(host.metadata.name, endpoints, ssh.host_key or "", found[0], found[1])


def pinned_key(way: Way) -> asyncssh.SSHKey:
    """The public key that the host must show. Raises HostUnreachable (HostKeyUnknown)."""
    if not way.host_key:
        raise HostUnreachable(
            way.host,
            "HostKeyUnknown",
            f"its manifest pins no hostKey: run `telarchy enroll {way.endpoints[0]} --name {way.host}` "
            "and put the key it shows into the manifest",
        )
    try:
        return asyncssh.import_public_key(way.host_key)
    except asyncssh.KeyImportError as problem:
        raise HostUnreachable(way.host, "HostKeyUnknown", f"its hostKey cannot be read: {problem}") from None


def login(way: Way) -> dict[str, object]:
    """The options of asyncssh that say who logs in. Raises HostUnreachable (AuthenticationFailed) for a bad key."""
    if way.key is None and way.password is None:
        return {}  # asyncssh's own default: ~/.ssh/id_* and the agent
    options: dict[str, object] = {"client_keys": None, "agent_path": None}
    if way.key is not None:
        try:
            options["client_keys"] = [asyncssh.import_private_key(way.key.reveal())]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as problem:
            message = f"the private key that its identity names cannot be used: {problem}"
            raise HostUnreachable(way.host, "AuthenticationFailed", message) from None
    if way.password is not None:
        options["password"] = way.password.reveal().decode("utf-8", "replace")
    return options
