"""Secrets: named in manifests, kept elsewhere, never printed.

A manifest says `secretRef: {name: black-login, key: password}`. Standalone, the value is the content of the
file `<secrets folder>/black-login/password`, else of the environment variable
`TELARCHY_SECRET_BLACK_LOGIN_PASSWORD`. Under Kubernetes another resolver reads the Secret of that name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from telarchy.errors import TelarchyError

SECRETS_FOLDER = "secrets"  # below the state folder
ENVIRONMENT_PREFIX = "TELARCHY_SECRET_"
MAX_SECRET_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)


class SecretMissing(TelarchyError):
    """A secret that a manifest names is not there. The message says where it was looked for."""


class Secret:
    """Bytes that no repr, log or error shows. Equal by value, so that a change is noticed."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not pickled")


class SecretResolver(Protocol):
    """Finds the value behind a `secretRef`. Raises SecretMissing."""

    def resolve(self, name: str, key: str) -> Secret: ...


class FileSecrets:
    """Secrets of a standalone controller: files `<folder>/<name>/<key>`, else environment variables.

    One trailing newline of a file is not part of the secret, since editors add it.
    """

    def __init__(self, folder: Path | None, environ: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environ = os.environ if environ is None else environ

    def resolve(self, name: str, key: str) -> Secret:
        for part in (name, key):
            if _NAME.fullmatch(part) is None or ".." in part:
                raise SecretMissing(f"{part!r} is not a name of a secret")
        variable = ENVIRONMENT_PREFIX + re.sub(r"[^A-Z0-9]", "_", f"{name}_{key}".upper())
        path = None if self._folder is None else self._folder / name / key
        if path is not None:
            try:
                with path.open("rb") as file:
                    value = file.read(MAX_SECRET_BYTES + 1)
            except FileNotFoundError:
                pass
            except OSError as problem:
                raise SecretMissing(f"secret {name}/{key}: {path}: {problem.strerror}") from None
            else:
                if len(value) > MAX_SECRET_BYTES:
                    raise SecretMissing(
                        f"secret {name}/{key}: {path} is larger than {MAX_SECRET_BYTES} bytes"
                    )
                return Secret(value.removesuffix(b"\n"))
        if variable in self._environ:
            return Secret(os.fsencode(self._environ[variable]))
        places = f"${variable}" if path is None else f"{path} or ${variable}"
        raise SecretMissing(f"secret {name}/{key} is not there: put it into {places}")
