"""A volume and one title on it, as they stand at this moment: what every action looks at before it acts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cached_property

from telarchy.custody import shell
from telarchy.custody.listing import Listing, Mounts, under
from telarchy.custody.manifest import Manifest
from telarchy.errors import ActionFailed
from telarchy.links.link import Link

LIST_TIMEOUT = 300.0


@dataclass(frozen=True)
class Place:
    """A volume as an action reaches it: the link to its host, the folder, and the sentinel id expected there."""

    link: Link
    path: str
    volume: str

    @property
    def host(self) -> str:
        return self.link.host


@dataclass(frozen=True)
class TitleNow:
    """A title on a volume.

    kind:     folder | file | none | alias (its file system lists it under another name) | other; of commit.sh also
              renamed: all of what was staged, without the files
    free:     bytes, None when df did not say
    whole:    everything in it could be read
    mounts:   file systems mounted below the root, relative to it
    answer:   what the host said of all this but the free space
    """

    kind: str
    listing: Listing
    free: int | None = None
    writable: bool = True
    whole: bool = True
    mounts: frozenset[str] = frozenset()
    answer: bytes = field(default=b"", repr=False, compare=False)

    @cached_property
    def manifest(self) -> Manifest:
        return self.listing.manifest()

    def on_another_file_system(self, title: str) -> bool:
        """Whether this title is, lies on, or holds what is mounted below the root: another host's folder maybe, or a
        folder of this machine once more. It is not its own, and nothing can be renamed into or out of it."""
        return under(title, self.mounts)


def parse_title(data: bytes, where: str) -> TitleNow:
    """The records of survey.sh, commit.sh and lease.sh. Raises ActionFailed when the answer was cut off."""
    rows = shell.records(data)
    if not rows or not rows[-1].startswith(b"end "):
        raise ActionFailed(f"{where}: the answer was cut off", reason="SurveyFailed")
    kind, free, writable = "none", None, True
    listing, mounts = Listing(), Mounts()
    listing.add_files([row for row in rows if row.startswith(b"f ")])
    for row in rows[:-1]:
        if row.startswith(b"f ") or mounts.add(row):
            continue
        word, _, value = row.partition(b" ")
        match word:
            case b"kind":
                kind = shell.text(value)
            case b"space":
                free = int(value) * 1024 if value.isdigit() else None
            case b"state":
                writable = value == b"writable"
            case _:
                listing.add(row)
    whole = rows[-1] == b"end 0" and not listing.blind
    return TitleNow(kind, listing, free, writable, whole, mounts.below, _but_space(data))


def _but_space(data: bytes) -> bytes:
    return data.partition(b"\0")[2] if data.startswith(b"space ") else data


async def survey(place: Place, title: str, before: TitleNow | None = None) -> TitleNow:
    """Look at a title where it should be. Raises ActionFailed(VolumeGone), SafetyRefusal (a link in the way).

    before: an earlier look, which is given back when the host says the same of the title as it did then
    """
    done = await shell.run(
        place.link,
        ("fence", "list", "survey"),
        [shell.script("batch"), place.path, place.volume, title],
        within=LIST_TIMEOUT,
    )
    if before is not None and _but_space(done.stdout) == before.answer:
        return before
    return await asyncio.to_thread(parse_title, done.stdout, place.host)
