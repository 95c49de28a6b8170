"""Who the operator is to the API server: its service account in a pod, a kubeconfig elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import kopf

from telarchy.errors import ConfigError
from telarchy.runtime.kubernetes import kubeconfig as kubeconfigs

NOWHERE = (
    "no cluster is configured: inside one, mount the pod's service account; elsewhere, name a kubeconfig with "
    "--kubeconfig or $KUBECONFIG"
)


def connection(kubeconfig: Path | None = None) -> kopf.ConnectionInfo:
    """Read again on each call, since tokens are replaced every hour. Raises ConfigError."""
    if kubeconfig is not None:
        found = kubeconfigs.read([kubeconfig])
    else:
        found = _service_account() or kubeconfigs.read(kubeconfigs.paths(os.environ.get("KUBECONFIG")))
    if found is None or not found.server:
        raise ConfigError(NOWHERE)
    return found


def _service_account() -> kopf.ConnectionInfo | None:
    try:
        return kopf.login_with_service_account(settings=kopf.OperatorSettings())
    except (OSError, ValueError, kopf.LoginError) as error:
        raise ConfigError(f"the service account cannot be used: {type(error).__name__}: {error}") from None
