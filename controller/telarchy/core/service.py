"""A service is a value: a process that a host keeps running, with the files it reads. Pure.

What makes two services the same is what they would do: argv, files, limits. A plan compares digests and leaves
alone what is as it should be; a change of a file that can be reloaded does not restart anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

BACK_OFF = (1, 2, 5, 10, 30, 60)  # seconds before the next start, by starts that did not last
LASTED_SECONDS = 300  # a run of this length starts the back-off anew


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process to be kept running in the folder `base` of a host.

    name:           unique within the folder: lower-case letters, digits and `-`
    argv:           the process; never seen by a shell. Its working directory is the base
    files:          what it reads, by name; laid into services/<name>/files/ (mode 0600) before it starts
    secret_files:   likewise, with contents that only the one who acts knows: name -> mark that changes when the
                    contents do, and tells nothing about them
    live_files:     names out of `files` and `secret_files` that the process reads anew by itself
    check:          argv that tests the files before they are taken (run in the base, `{files}` in an argument stands
                    for the folder that holds the new ones); a failure changes nothing
    reload:         signal (HUP) that makes the process read its files again; "" when only a restart does
    stop:           signal that ends it cleanly
    stop_seconds:   after this it is killed
    wait_for:       path below the base that must exist before the process is started (a publisher's flag); ""
    progress:       path below the base that is emptied before each start; ""
    nice:           whether it gives way to other work
    back_off:       seconds before each further start; the last one repeats
    """

    name: str
    argv: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    secret_files: Mapping[str, str] = field(default_factory=dict)
    live_files: frozenset[str] = frozenset()
    check: tuple[str, ...] = ()
    reload: str = ""
    stop: str = "TERM"
    stop_seconds: int = 6
    wait_for: str = ""
    progress: str = ""
    nice: bool = False
    back_off: tuple[int, ...] = BACK_OFF

    @cached_property
    def digest(self) -> str:
        """16 hex digits over everything."""
        return _digest([self.start_digest, self._contents(set(self.files) | set(self.secret_files))])

    @cached_property
    def start_digest(self) -> str:
        """16 hex digits over what only a restart brings into force."""
        read_again = set(self.live_files)
        if self.reload:
            read_again |= set(self.files) | set(self.secret_files)
        held = self._contents((set(self.files) | set(self.secret_files)) - read_again)
        settled = [self.argv, self.reload, self.stop, self.stop_seconds, self.wait_for, self.progress]
        return _digest([self.name, settled, self.nice, self.back_off, held])

    def _contents(self, names: set[str]) -> list[tuple[str, str]]:
        return [
            (name, self.secret_files.get(name) or hashlib.sha256(self.files[name]).hexdigest())
            for name in sorted(names)
        ]


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
