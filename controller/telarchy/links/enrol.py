"""Make a machine a host: look what it has, add what it lacks, and write its manifest. Run again, it changes nothing.

Every change is one `Step`; with `dry_run` they are all named and none is made.
"""

from __future__ import annotations

import ipaddress
import json
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from telarchy.core.words import rfc3339
from telarchy.errors import ConfigError, TelarchyError
from telarchy.links.enrol_login import Login
from telarchy.links.scripts import script
from telarchy.links.secrets import SECRETS_FOLDER, Secret
from telarchy.resources.host import Endpoint, Host, parse_endpoint

Outcome = Literal["done", "would-do", "already", "by-hand"]

_INSTALL = {
    "apt-get": [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
    ],
    "dnf": ["dnf", "install", "-y"],
    "apk": ["apk", "add"],
    "pacman": ["pacman", "-S", "--noconfirm", "--needed"],
    "zypper": ["zypper", "--non-interactive", "install"],
    "pkg": ["pkg", "install", "-y"],
    "brew": ["brew", "install"],
}
# tool → package, where it is not called the same
_PACKAGES = {"rrsync": "rsync", "ssh-keygen": "openssh-client", "sha256sum": "coreutils"}
_POSIX_SHELLS = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "")


class EnrolmentFailed(TelarchyError):
    """A machine cannot become a host as it is; the message says why and what to do."""


@dataclass(frozen=True)
class Step:
    """One thing that a host needs, and what became of it. `by-hand`: a person has to do it."""

    description: str
    outcome: Outcome


@dataclass(frozen=True)
class Enrolment:
    """The manifest of the host and how it came to be."""

    manifest: dict[str, Any]
    steps: tuple[Step, ...]

    @property
    def yaml(self) -> str:
        return yaml.safe_dump(self.manifest, sort_keys=False, allow_unicode=True, width=200)


@dataclass
class _Facts:
    """What enrol-facts.sh says."""

    values: dict[str, str] = field(default_factory=dict)
    has: set[str] = field(default_factory=set)
    roots: list[str] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        """Tools that a host needs and this one lacks. rrsync comes with rsync."""
        tools = [tool for tool in ("rsync", "python3", "ssh-keygen", "tar") if tool not in self.has]
        if "rrsync" not in self.has and "rsync" in self.has:
            tools.append("rrsync")
        if not {"sha256sum", "shasum"} & self.has:
            tools.append("sha256sum")
        return tools

    @classmethod
    def read(cls, text: str) -> _Facts:
        facts = cls()
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name == "has":
                facts.has.add(value)
            elif name == "root":
                facts.roots.append(value)
            else:
                facts.values[name] = value.strip()
        return facts


def enrol(
    target: str,
    *,
    name: str = "",
    roots: Sequence[str] = (),
    fleet: str = "home",
    identity: Path | Secret | None = None,
    secret: tuple[str, str] | None = None,
    password: Secret | None = None,
    public_key: str = "",
    host_class: str = "",
    pinned: str = "",
    dry_run: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Enrolment:
    """Enrol `target` (`user@host[:port]`).

    name:        of the Host; by default the machine's own name
    roots:       absolute paths of media roots that exist there
    identity:    private key to log in with; without it and a password the user's own keys and agent serve
    secret:      name and key of the secret in which the identity lies already, as declared
    public_key:  the controller's, to be let in from now on; by default the first of ~/.ssh/id_*.pub, and
                 added only when a password was used
    pinned:      host key from an earlier run ("" at the first): another one is refused

    Raises HostUnreachable, EnrolmentFailed, ConfigError (a target or a manifest that cannot be).
    """
    try:
        endpoint = parse_endpoint(target)
    except ValueError as problem:
        raise ConfigError(str(problem)) from None
    with Login(endpoint, identity=identity, password=password, pinned=pinned, say=say) as login:
        answer = login.run(script("enrol-facts", *roots))
        if not answer.ok:
            raise EnrolmentFailed(f"{target}: no POSIX shell answers there: {answer.complaint}")
        facts = _Facts.read(answer.stdout)
        _check(target, facts, roots)
        work = _Work(login, facts, dry_run, say)
        work.install()
        work.make_folder()
        work.give_sentinels(roots, fleet)
        work.keep_jobs()
        if password is not None or public_key:
            work.let_in(public_key or _own_public_key())
        manifest = _manifest(
            name or _as_name(facts.values.get("hostname", "")), endpoint, login, facts, roots, host_class
        )
        if identity is not None or secret is not None:
            named, key = secret or (f"{manifest['metadata']['name']}-login", "key")
            manifest["spec"]["connection"]["ssh"]["identity"] = {"secretRef": {"name": named, "key": key}}
            if isinstance(identity, Path):
                work.note(
                    f"put the private key {identity} into the state folder as {SECRETS_FOLDER}/{named}/{key} "
                    f"(on a cluster: into the Secret {named} as {key})",
                    "by-hand",
                )
        return Enrolment(manifest, tuple(work.steps))


class _Work:
    """The steps, in order."""

    def __init__(self, login: Login, facts: _Facts, dry_run: bool, say: Callable[[str], None]) -> None:
        self._login, self._facts, self._dry_run, self._say = login, facts, dry_run, say
        self.steps: list[Step] = []

    def note(self, description: str, outcome: Outcome) -> None:
        self.steps.append(Step(description, outcome))
        self._say(f"{outcome}: {description}")

    def install(self) -> None:
        """rsync, rrsync with its Python, ssh-keygen, a digest tool."""
        facts = self._facts
        missing = facts.missing
        if not missing:
            self.note("rsync, python3, ssh-keygen and a digest tool are installed", "already")
            return
        manager = facts.values.get("packages", "")
        packages = list(dict.fromkeys(_PACKAGES.get(tool, tool) for tool in missing))
        names = ", ".join(packages)
        root = facts.values.get("privileges") != "none"
        if not manager or (not root and manager != "brew"):
            self.note(f"install {names} (needs an administrator)", "by-hand")
            return
        if self._dry_run:
            self.note(f"install {names} with {manager}", "would-do")
            return
        sudo = ["sudo", "-n"] if facts.values.get("privileges") == "sudo" and manager != "brew" else []
        self._say(f"installing {names}…")
        if manager == "apt-get":
            self._login.run([*sudo, "apt-get", "update", "-q"])
        answer = self._login.run([*sudo, *_INSTALL[manager], *packages])
        if not answer.ok:
            raise EnrolmentFailed(f"{manager} cannot install {names}: {answer.complaint}")
        still = _Facts.read(self._login.run(script("enrol-facts")).stdout).missing
        if still:
            raise EnrolmentFailed(
                f"{manager} says it installed {names}, but there is no {', '.join(still)} yet"
            )
        self.note(f"install {names} with {manager}", "done")

    def make_folder(self) -> None:
        """Where the keys lie that other hosts' roots are read with."""
        text = 'umask 077; mkdir -p -- "$HOME/.telarchy/keys"'
        self._step(
            "make the folder for keys, ~/.telarchy/keys", "keys" in self._facts.has, ["sh", "-c", text]
        )

    def give_sentinels(self, roots: Sequence[str], fleet: str) -> None:
        for root, state in zip(roots, self._facts.roots, strict=True):
            created = rfc3339(datetime.now(UTC).timestamp())
            line = json.dumps({"id": uuid.uuid4().hex, "created": created, "fleet": fleet})
            self._step(f"mark {root} as a volume", state == "known", script("enrol-sentinel", root, line))

    def keep_jobs(self) -> None:
        """Without linger a user's jobs end when the last login ends."""
        facts = self._facts
        if "systemd" not in facts.has or facts.values.get("uid") == "0":
            return
        user = facts.values["user"]
        sudo = ["sudo", "-n"] if facts.values.get("privileges") == "sudo" else []
        description = f"let jobs of {user} go on after logout (loginctl enable-linger)"
        if "linger" in facts.has or self._dry_run:
            self.note(description, "already" if "linger" in facts.has else "would-do")
            return
        answer = self._login.run([*sudo, "loginctl", "enable-linger", user])
        self.note(
            description if answer.ok else f"{description}; as root there", "done" if answer.ok else "by-hand"
        )

    def let_in(self, public_key: str) -> None:
        if not public_key:
            self.note("make a key for the controller (ssh-keygen -t ed25519) and enrol again", "by-hand")
            return
        known = self._login.run(
            ["sh", "-c", 'grep -qF -e "$1" ~/.ssh/authorized_keys', "sh", public_key.split()[1]]
        )
        self._step("let the controller's key in", known.ok, script("enrol-authorise", public_key.strip()))

    def _step(self, description: str, already: bool, argv: Sequence[str]) -> None:
        if already or self._dry_run:
            self.note(description, "already" if already else "would-do")
            return
        answer = self._login.run(argv)
        if not answer.ok:
            raise EnrolmentFailed(f"cannot {description}: {answer.complaint}")
        self.note(description, "already" if answer.stdout.strip() == "already" else "done")


def _check(target: str, facts: _Facts, roots: Sequence[str]) -> None:
    says = {
        "missing": "there is no such folder",
        "notafolder": "it is not a folder",
        "unwritable": f"{facts.values.get('user')} may not write there",
    }
    problems = [
        f"{root}: {says[state]}" for root, state in zip(roots, facts.roots, strict=True) if state in says
    ]
    if problems:
        raise EnrolmentFailed(f"{target}: {'; '.join(problems)}")
    shell = facts.values.get("shell", "")
    if shell not in _POSIX_SHELLS:
        raise EnrolmentFailed(
            f"{target}: the login shell is {shell}, and commands are sent in the words of a POSIX shell: "
            f"use another user, or `chsh -s /bin/sh {facts.values.get('user')}`"
        )


def _manifest(
    name: str, endpoint: Endpoint, login: Login, facts: _Facts, roots: Sequence[str], host_class: str
) -> dict[str, Any]:
    roams = "battery" in facts.has
    chosen = host_class or ("Roamer" if roams else "Server")
    address = ipaddress.ip_address(login.address.partition("%")[0])
    at_home = address.is_private or address.is_link_local
    manifest = {
        "apiVersion": "telarchy.dev/v1alpha1",
        "kind": "Host",
        "metadata": {"name": name},
        "spec": {
            "class": chosen,
            "alwaysOn": not roams and chosen not in ("Roamer", "Consumer"),
            "onHomeIP": at_home,
            "reachable": "HomeLAN" if at_home else "PublicIP",
            "connection": {"ssh": {"endpoints": [str(endpoint)], "hostKey": login.host_key}},
            "mediaRoots": [
                {"name": label, "path": root} for label, root in zip(_root_names(roots), roots, strict=True)
            ],
        },
    }
    try:
        Host.model_validate(manifest)
    except ValueError as problem:
        raise ConfigError(f"the manifest of {name!r} would not be valid: {problem}") from None
    return manifest


def _root_names(roots: Sequence[str]) -> list[str]:
    """`main` for an only root, else the last part of each path, told apart by number."""
    if len(roots) == 1:
        return ["main"]
    names: list[str] = []
    for root in roots:
        name = wanted = _as_name(root.rsplit("/", 1)[-1]) or "root"
        number = 2
        while name in names:
            name, number = f"{wanted}-{number}", number + 1
        names.append(name)
    return names


def _as_name(text: str) -> str:
    """`text` as a name that a resource can have."""
    return re.sub(r"[^a-z0-9]+", "-", text.partition(".")[0].lower()).strip("-")[:63]


def _own_public_key() -> str:
    for name in ("id_ed25519", "id_ecdsa", "id_rsa"):
        path = Path("~/.ssh").expanduser() / f"{name}.pub"
        if path.exists():
            return path.read_text(encoding="utf-8").strip()
    return ""
