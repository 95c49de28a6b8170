"""Who the operator is to the API server: its service account in a pod, a kubeconfig elsewhere.

A kubeconfig that asks a program for its token (`exec:`) is not understood here; that is for people's own clusters,
and `kubectl telarchy` goes through kubectl, which does understand it.
"""

from __future__ import annotations

import os
from pathlib import Path

import kopf

from telarchy.errors import ConfigError

NOWHERE = (
    "no cluster is configured: inside one, mount the pod's service account; elsewhere, name a kubeconfig with "
    "--kubeconfig or $KUBECONFIG"
)


def connection(kubeconfig: Path | None = None) -> kopf.ConnectionInfo:
    """Read again on each call, since service account tokens are replaced every hour. Raises ConfigError."""
    settings = kopf.OperatorSettings()
    try:
        if kubeconfig is not None:
            found = _from_file(kubeconfig, settings)
        else:
            found = kopf.login_with_service_account(settings=settings)
            found = found or kopf.login_with_kubeconfig(settings=settings)
    except (OSError, ValueError, KeyError, TypeError, kopf.LoginError) as error:
        raise ConfigError(f"the kubeconfig cannot be used: {type(error).__name__}: {error}") from None
    if found is None or not found.server:
        raise ConfigError(NOWHERE)
    return found


def _from_file(kubeconfig: Path, settings: kopf.OperatorSettings) -> kopf.ConnectionInfo | None:
    """kopf takes the path from the environment alone."""
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(kubeconfig)
    try:
        return kopf.login_with_kubeconfig(settings=settings)
    finally:
        if before is None:
            del os.environ["KUBECONFIG"]
        else:
            os.environ["KUBECONFIG"] = before
