"""Whether this machine can run the lab, and whether it has to."""

from __future__ import annotations

import os
import shutil

from tests.lab.command import tools

_COMMANDS = ("debootstrap", "systemd-nspawn", "ip", "nft", "ssh", "mkfs.ext4", "losetup", "nsenter", "mount")


def missing_prerequisites() -> list[str]:
    """What stands between this machine and a lab, in words; empty if nothing does."""
    missing = [] if os.geteuid() == 0 else ["it needs root"]
    absent = [name for name in _COMMANDS if shutil.which(name, path=tools()["PATH"]) is None]
    if absent:
        missing.append(f"{', '.join(absent)} not installed (tests/lab/prerequisites.sh installs them)")
    return missing


def lab_required() -> bool:
    """Whether a lab that cannot run is a failure (on CI, or where the person said so)."""
    return os.environ.get("TELARCHY_LAB") == "require" or os.environ.get("CI", "").lower() in ("true", "1")


def lab_declined() -> bool:
    """Whether the person wants no lab here."""
    return os.environ.get("TELARCHY_LAB") == "off"
