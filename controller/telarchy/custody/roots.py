"""What the controller keeps in mind about each declared root between looks, and what of it outlives the process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from telarchy.custody import shell
from telarchy.custody.evidence import JobSeen, TrashSeen, VolumeSeen, VolumeState
from telarchy.custody.lease import Writer
from telarchy.custody.looking import RootLook, parse_look
from telarchy.custody.scan import ScanMemo
from telarchy.custody.volumes import Standing
from telarchy.links import jobs
from telarchy.links.jobs import JobState, JobStatus
from telarchy.links.link import Link
from telarchy.links.rsync import parse_progress

DAY = 24 * 3600.0
MOST_TOUCHED = 20  # titles asked for one by one after a scan; with more, the scan is a full one
SCANNABLE = (VolumeState.NEW, VolumeState.MOUNTED, VolumeState.READ_ONLY)


class Memory(Protocol):
    """Small JSON facts by key; `store.memory.Memory` is one."""

    def get(self, key: str, default: Any = None) -> Any: ...
    def put(self, key: str, value: Any, now: float | None = None) -> bool: ...
    def forget(self, key: str) -> None: ...
    def under(self, prefix: str) -> dict[str, Any]: ...


@dataclass
class RootState:
    """One declared root.

    known:       the id that belongs here, "" while there is none
    look:        the last answer, None when the host did not give one
    trouble:     why nobody could look, when the host itself answers
    borrowed:    see VolumeSeen; as the last answer had it
    hidden:      see VolumeSeen; as the last scan had it
    touched:     titles that the catalogue got from actions since the last scan
    due:         monotonic time of the next scan
    looked_at:   monotonic time of the last answer
    away:        something else stood there, or nothing, when it was looked at last
    returns:     see VolumeSeen
    """

    host: str
    root: str
    path: str
    known: str = ""
    look: RootLook | None = None
    trouble: str = ""
    jobs: tuple[JobSeen, ...] = ()
    trash: tuple[TrashSeen, ...] = ()
    standing: Standing = field(default_factory=lambda: Standing(VolumeState.UNKNOWN))
    memo: ScanMemo = field(default_factory=ScanMemo)
    scanned: float | None = None
    scanned_now: bool = False  # by this process
    remark: str = ""  # of the last scan
    due: float = 0.0
    looked_at: float | None = None
    missing_for: float = 0.0
    away: bool = False
    returns: int = 0
    borrowed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    touched: set[str] = field(default_factory=set)
    scanning: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def key(self) -> tuple[str, str]:
        return (self.host, self.root)

    @property
    def provisional(self) -> str:
        return f"{self.host}/{self.root}"

    def seen(self) -> VolumeSeen:
        """As it goes into the evidence."""
        look, standing = self.look, self.standing
        readable = standing.state in SCANNABLE
        aside = look.quarantine if look is not None else ()
        return VolumeSeen(
            host=self.host,
            root=self.root,
            path=self.path,
            id=standing.id,
            found=standing.found,
            state=standing.state,
            message="; ".join(
                part for part in (standing.message or self.trouble, self.remark if readable else "") if part
            ),
            free=look.free if look is not None else None,
            total=look.total if look is not None else None,
            # Until this process has looked through a volume that it can look through, it knows of the past only.
            scanned=self.scanned if self.scanned_now or not readable else None,
            jobs=self.jobs,
            trash=self.trash,
            removed=sum(one.age < DAY for one in self.trash),
            quarantined=frozenset(title for one in aside for title in one.titles),
            set_aside=len({title for one in aside if one.age < DAY for title in one.titles}),
            missing_for=self.missing_for,
            returns=self.returns,
            adoptable=look is None or look.writable,
            mounts=self.mounts(),
            borrowed=self.borrowed,
            hidden=self.hidden,
        )

    def mounts(self) -> tuple[str, ...]:
        """Folders where something is mounted, or was when the last scan compared."""
        now = {one.path for one in self.look.mounts} if self.look is not None else set()
        return tuple(sorted(now.union(self.memo.mounts)))

    def count_missing(self, now: float) -> None:
        """Add the time since the last answer to how long the volume is missing; `now` is monotonic."""
        if self.standing.state is VolumeState.MISSING:
            if self.looked_at is not None:
                self.missing_for += now - self.looked_at
        elif self.standing.state is not VolumeState.UNKNOWN:
            self.missing_for = 0.0
        self.looked_at = now if self.look is not None else None

    def count_returns(self) -> bool:
        """Note whether the volume is away, or came back. True when that is news."""
        away = self.standing.state in (VolumeState.MISSING, VolumeState.WRONG_ID)
        if away == self.away or not (away or self.standing.state in SCANNABLE):
            return False
        self.away = away
        self.returns += not away
        return True

    def comparable(self, touched: Collection[str], *, again: bool) -> ScanMemo:
        """What the next scan compares with. Nothing, when a difference might not tell the whole truth: the first
        time in this process (the last one may have died between an action and its scan), after many actions, and
        where the volume was not scanned here the last time (`again`): a disk and its clone have one id and one
        record, and each a listing of its own."""
        if self.scanned_now and again and len(touched) <= MOST_TOUCHED:
            return self.memo
        return ScanMemo(mounts=self.memo.mounts)

    # --- what outlives the process ---------------------------------------------------------------------------

    def recall(self, memory: Memory) -> None:
        self.known = str(memory.get(f"custody/root/{self.host}/{self.root}", ""))
        kept = memory.get(f"custody/returns/{self.host}/{self.root}")
        if isinstance(kept, dict):
            self.away, self.returns = bool(kept.get("away")), int(kept.get("times", 0))
        self.recall_scan(memory)

    def recall_scan(self, memory: Memory) -> None:
        stored = memory.get(f"custody/scan/{self.known}") if self.known else None
        self.memo = ScanMemo.from_json(stored)
        if isinstance(stored, Mapping):
            self.scanned = stored.get("at")
        elif not self.scanned_now:  # a root that just got its sentinel has been scanned under its old key
            self.scanned = None

    def remember_id(self, memory: Memory) -> None:
        memory.put(f"custody/root/{self.host}/{self.root}", self.known)

    def remember_returns(self, memory: Memory) -> None:
        memory.put(f"custody/returns/{self.host}/{self.root}", {"away": self.away, "times": self.returns})

    def remember_scan(self, memory: Memory) -> None:
        """Only after the catalogue was saved: the next scan brings only what changed since this one."""
        if self.known:
            memory.put(f"custody/scan/{self.known}", self.memo.to_json() | {"at": self.scanned})


async def ask(
    link: Link, states: Sequence[RootState], writer: Writer | None, *, lease: float, within: float
) -> list[RootLook]:
    """Look at roots of one host in one exec. With a writer its lease is renewed on the way, else no trace is left."""
    head = ["write", *writer.args] if writer is not None else ["read", "0", "-", "-"]
    roots = [word for state in states for word in (state.path, state.known)]
    done = await shell.run(link, ("fence", "look"), [*head, str(int(lease)), *roots], within=within)
    return parse_look(done.stdout)


async def jobs_on(link: Link, state: RootState, look: RootLook) -> tuple[JobSeen, ...]:
    """The jobs on a volume, asked for only where the look saw some."""
    if not look.jobs or not look.id:
        return ()
    return tuple(job_seen(one) for one in await jobs.status(link, f"{state.path}/{jobs.JOBS_FOLDER}"))


def face_of(state: RootState) -> tuple[object, ...]:
    """What of a root's last look bears on which volume stands where."""
    look = state.look
    return (state.known, look and (look.exists, look.readable, look.writable, look.id, look.mounts))


def job_seen(status: JobStatus) -> JobSeen:
    """A job folder as evidence."""
    match status.state:
        case JobState.RUNNING:
            state = "Running"
        case JobState.ENDED:
            state = "Staged" if status.code == 0 else "Failed"
        case _:
            state = "Lost"
    total = status.spec.get("total", 0)
    total = total if isinstance(total, int) else 0
    return JobSeen(
        action=status.id,
        verb=str(status.spec.get("verb", "")),
        title=str(status.spec.get("title", "")),
        state=state,
        bytes=total if state == "Staged" else bytes_moved(status.progress),
        total=total,
    )


def bytes_moved(line: bytes) -> int:
    """Bytes that the last line of a job's progress tells of."""
    progress = parse_progress(line)
    return progress.bytes if progress is not None else 0


def shape_of(seen: VolumeSeen) -> tuple[object, ...]:
    """What of a volume is worth another plan when it changes; space only in steps of half a percent."""
    step = max(1, (seen.total or 0) // 200)
    return (
        seen.key,
        seen.found,
        seen.state,
        seen.message,
        (seen.free or 0) // step,
        seen.scanned is None,
        tuple((job.action, job.state) for job in seen.jobs),
        tuple(one.entry for one in seen.trash),
        seen.quarantined,
        seen.set_aside,
        seen.mounts,
        seen.borrowed,
        seen.hidden,
    )
