"""A fleet in memory that carries plans out: real bytes on disks on one side, what a controller knows on the other.

Time is virtual and moves only by `pass_time`. Actions take several steps, may be cut at each of them by a host
that dies or a controller that restarts, and check at the moment of acting what real ones check.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from telarchy.core.executor import retry_delay
from telarchy.core.observation import Attempt, HostEvidence, Observation, Progress, Running
from telarchy.core.plan import Decision, Plan
from telarchy.core.world import World
from telarchy.custody.actions import (
    AdoptVolume,
    CancelJob,
    Copy,
    ExpireTrash,
    Forget,
    Quarantine,
    Trim,
    Verify,
)
from telarchy.custody.catalogue import Catalogue
from telarchy.custody.evidence import CustodySeen, JobSeen, TrashSeen, VolumeSeen, VolumeState
from telarchy.custody.invariants import Change, Ground, violations
from telarchy.custody.manifest import FileSeen, Manifest, fingerprint
from telarchy.custody.terms import patterns_of
from telarchy.resources.host import Host
from telarchy.resources.meta import Resource
from tests.world import NOW

DAY = 86400.0


@dataclass(frozen=True)
class Blob:
    """A file's bytes: what they should be (`content`), and whether the disk has spoilt them."""

    content: str
    size: int
    mtime: int
    rotten: bool = False

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.content}/{self.size}/{self.rotten}".encode()).hexdigest()


@dataclass
class Job:
    """A job folder on a disk. `staged`: files that arrived, by path."""

    verb: str
    title: str
    state: str
    total: int
    action: Copy | Verify
    staged: dict[str, Blob] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(one.size for one in self.staged.values())


@dataclass
class Disk:
    """A volume. `titles`: title -> path -> bytes; `trash`: (when, title, files)."""

    id: str
    size: int
    titles: dict[str, dict[str, Blob]] = field(default_factory=dict)
    trash: list[tuple[float, str, dict[str, Blob]]] = field(default_factory=list)
    quarantine: list[tuple[str, str, Blob]] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    trimmed: list[float] = field(default_factory=list)
    read_only: bool = False

    @property
    def free(self) -> int:
        lying = [blob for files in self.titles.values() for blob in files.values()]
        lying += [blob for _, _, files in self.trash for blob in files.values()]
        lying += [blob for _, _, blob in self.quarantine]
        return self.size - sum(one.size for one in lying) - sum(job.bytes for job in self.jobs.values())


class Failed(Exception):
    """An action did not reach its end; `again` says whether trying again may help."""

    def __init__(self, reason: str, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


class Simulator:
    """The fleet, the controller's evidence about it, and the controller's memory of what it runs."""

    def __init__(self, resources: list[Resource], sizes: dict[tuple[str, str], int]) -> None:
        self.resources = list(resources)
        self.now = NOW
        self.up: dict[str, bool] = {}
        self.disks: dict[str, Disk] = {}
        self.mounts: dict[tuple[str, str], str | None] = {}
        self.known: dict[tuple[str, str], str] = {}  # volume id by root, as the controller remembers it
        self.catalogue = Catalogue()
        self.hosts: dict[str, HostEvidence] = {}
        self.volumes: dict[tuple[str, str], VolumeSeen] = {}
        self.running: dict[str, Running] = {}
        self.attempts: dict[str, Attempt] = {}
        self.approved: set[str] = set()
        self.fenced = ""
        self.done: list[str] = []  # verbs of actions that reached their end
        for host in self._hosts():
            self.up[host.name] = True
            for root in host.spec.media_roots:
                key = (host.name, root.name)
                disk = Disk(f"{host.name}-{root.name}-id", sizes.get(key, 1000))
                self.disks[disk.id] = disk
                self.mounts[key] = self.known[key] = disk.id
                self.volumes[key] = VolumeSeen(host.name, root.name, root.path, id=disk.id)
        self.look()

    # --- what is declared, and what is seen -----------------------------------------------------------------

    def _hosts(self) -> list[Host]:
        return [one for one in self.resources if isinstance(one, Host)]

    @property
    def world(self) -> World:
        return World.from_resources(self.resources)

    def disk(self, host: str, root: str) -> Disk | None:
        """The right disk of a root, where it is mounted on a host that is up."""
        mounted = self.mounts[host, root]
        if not self.up[host] or mounted is None or mounted != self.known[host, root]:
            return None
        return self.disks[mounted]

    def observation(self) -> Observation:
        return Observation(
            hosts=dict(self.hosts),
            free={one.host: one.free for one in self.volumes.values() if one.free is not None},
            cut_off=bool(self.hosts) and not any(self.up.values()),
            sections={
                "custody": CustodySeen(
                    self.catalogue, {one.key: one for one in self.volumes.values()}, self.fenced
                )
            },
            running=dict(self.running),
            attempts=dict(self.attempts),
            approved=frozenset(self.approved),
        )

    def look(self) -> None:
        """Probe every host and look at every root; scan what is mounted."""
        self.catalogue.set_patterns(patterns_of(self.world))
        for name, up in self.up.items():
            before = self.hosts.get(name, HostEvidence(name))
            if up:
                self.hosts[name] = HostEvidence(name, True, uptime=1.0)
            else:
                self.hosts[name] = replace(
                    before, reached=False, misses=3, reason="TimedOut", message="no answer"
                )
        for host, root in self.volumes:
            if self.up[host]:
                self.look_at(host, root)

    def look_at(self, host: str, root: str) -> None:
        """What stands at a root now; a full scan where it is the right disk."""
        known, mounted = self.volumes[host, root], self.mounts[host, root]
        if mounted != self.known[host, root]:
            state = VolumeState.MISSING if mounted is None else VolumeState.WRONG_ID
            self.volumes[host, root] = replace(
                known, state=state, found=mounted or "", message="not the volume", jobs=()
            )
            return
        disk = self.disks[mounted]
        self.volumes[host, root] = replace(
            known,
            state=VolumeState.READ_ONLY if disk.read_only else VolumeState.MOUNTED,
            message="",
            found="",
            free=disk.free,
            total=disk.size,
            scanned=self.now,
            jobs=tuple(
                JobSeen(key, job.verb, job.title, job.state, job.bytes, job.total)
                for key, job in sorted(disk.jobs.items())
            ),
            trash=tuple(
                TrashSeen(f"{int(at)}-{index}", self.now - at, (title,))
                for index, (at, title, _) in enumerate(disk.trash)
            ),
            removed=sum(at > self.now - DAY for at in disk.trimmed),
            quarantined=frozenset(title for title, _, _ in disk.quarantine),
        )
        found = {}
        for title, files in disk.titles.items():
            if files and self.catalogue.patterns.marks(title):
                found[title] = _listed(files)
        self.catalogue.replace_volume(disk.id, found, self.now)

    # --- the loop ---------------------------------------------------------------------------------------------

    def apply(self, plan: Plan) -> None:
        """As the executor does: cancel what is not wanted, start what is."""
        wanted = {step.action.id: step for step in plan.steps if step.decision is Decision.START}
        for key in [key for key in self.running if key not in wanted]:
            self._cancel(key)
        for key, step in wanted.items():
            if key not in self.running:
                self.running[key] = Running(step.action, Progress("starting"))

    def _cancel(self, key: str) -> None:
        action = self.running.pop(key).action
        if isinstance(action, Copy | Verify):
            disk = self.disk(action.host, action.root)
            if disk is not None and key in disk.jobs:
                disk.jobs[key].state = "Failed"

    def advance(self) -> None:
        """Every running action gets one step further; short ones reach their end."""
        for key in sorted(self.running):
            running = self.running[key]
            before = self.ground()
            try:
                ended = self._step(running)
            except Failed as failure:
                ended = True
                del self.running[key]
                count = self.attempts[key].count + 1 if key in self.attempts else 1
                later = self.now + retry_delay(count) if failure.again else None
                self.attempts[key] = Attempt(count, "Failed", str(failure), later)
            else:
                if ended:
                    del self.running[key]
                    self.attempts.pop(key, None)
                    self.done.append(running.action.verb)
            said = violations(Change(running.action, before, self.ground()))
            assert not said, said
        self._look_at_states()

    def _look_at_states(self) -> None:
        for host, root in self.volumes:
            disk = self.disk(host, root)
            if disk is not None:
                known = self.volumes[host, root]
                jobs = tuple(
                    JobSeen(key, job.verb, job.title, job.state, job.bytes, job.total)
                    for key, job in sorted(disk.jobs.items())
                )
                removed = sum(at > self.now - DAY for at in disk.trimmed)
                trash = tuple(
                    TrashSeen(f"{int(at)}-{index}", self.now - at, (title,))
                    for index, (at, title, _) in enumerate(disk.trash)
                )
                kept = frozenset(title for title, _, _ in disk.quarantine)
                self.volumes[host, root] = replace(
                    known, free=disk.free, jobs=jobs, removed=removed, trash=trash, quarantined=kept
                )

    def _step(self, running: Running) -> bool:
        action = running.action
        if isinstance(action, Forget):
            number = self.catalogue.names.find(action.title)
            assert number is not None
            self.catalogue.forget(action.title)
            return True
        if isinstance(action, AdoptVolume):
            return self._adopt(action)
        assert not isinstance(action, AdoptVolume)
        if not self.up[action.host]:
            raise Failed("no answer")
        disk = self.disk(action.host, action.root)  # type: ignore[attr-defined]
        if disk is None or disk.id != action.volume:  # type: ignore[attr-defined]
            raise Failed("VolumeGone")
        if isinstance(action, CancelJob):
            disk.jobs.pop(action.job, None)
            return True
        if isinstance(action, Verify):
            return self._verify(action, disk)
        if disk.read_only:
            raise Failed("ReadOnly")
        if isinstance(action, Copy):
            return self._copy(action, disk, running)
        if isinstance(action, Quarantine):
            return self._quarantine(action, disk)
        if isinstance(action, Trim):
            return self._trim(action, disk)
        assert isinstance(action, ExpireTrash)
        keep = [one for index, one in enumerate(disk.trash) if f"{int(one[0])}-{index}" not in action.entries]
        disk.trash = keep
        return True

    def _adopt(self, action: AdoptVolume) -> bool:
        key = (action.host, action.root)
        if not self.up[action.host]:
            raise Failed("no answer")
        mounted = self.mounts[key]
        if mounted is None:
            fresh = Disk(f"{action.host}-{action.root}-id{len(self.disks)}", 1000)
            self.disks[fresh.id] = fresh
            mounted = self.mounts[key] = fresh.id
        old = self.known[key]
        self.known[key] = mounted
        self.catalogue.drop_volume(old)
        self.volumes[key] = replace(self.volumes[key], id=mounted, scanned=None)
        self.look_at(*key)
        return True

    def _copy(self, action: Copy, disk: Disk, running: Running) -> bool:
        source = self.disk(action.source_host, action.source_root)
        job = disk.jobs.get(action.id)
        if job is None or job.state in ("Failed", "Lost"):
            staged = {} if job is None else job.staged
            job = disk.jobs[action.id] = Job("Copy", action.title, "Running", action.bytes, action, staged)
        there = disk.titles.get(action.title, {})
        if job.state == "Running":
            if source is None or source.id != action.source_volume:
                job.state = "Failed"
                raise Failed("source is away")
            files = source.titles.get(action.title, {})
            left = [path for path in sorted(files) if path not in there and path not in job.staged]
            if left:
                blob = files[left[0]]
                if disk.free < blob.size:
                    job.state = "Failed"
                    raise Failed("NoSpace")
                job.staged[left[0]] = replace(blob, mtime=blob.mtime)
                progress = Progress("transferring", job.bytes, job.total)
                self.running[action.id] = Running(action, progress)
                return False
            job.state = "Staged"
            self.running[action.id] = Running(action, Progress("staged", job.bytes, job.total))
            return False
        return self._commit(action, disk, job, source)

    def _commit(self, action: Copy, disk: Disk, job: Job, source: Disk | None) -> bool:
        there = disk.titles.get(action.title, {})
        if any(path in there for path in job.staged):
            del disk.jobs[action.id]
            raise Failed("never-overwrite", again=False)
        files = source.titles.get(action.title, {}) if source is not None else {}
        if not job.staged:
            del disk.jobs[action.id]
            if not files or source is None:
                raise Failed("SourceChanged")
            raise Failed("nothing to copy")
        for path, blob in job.staged.items():
            now = files.get(path)
            if now is None or now.digest != blob.digest:
                del disk.jobs[action.id]
                raise Failed("SourceChanged")
        recorded = {
            one.path: one.sha256 for one in self.catalogue.manifest(action.source_volume, action.title)
        }
        spoilt = [
            path for path, blob in job.staged.items() if recorded.get(path, "") not in ("", blob.digest)
        ]
        if spoilt:
            del disk.jobs[action.id]
            self.catalogue.record_digests(action.source_volume, action.title, {}, spoilt, self.now)
            raise Failed("SourceDamaged")
        disk.titles.setdefault(action.title, {}).update(job.staged)
        digests = {path: blob.digest for path, blob in job.staged.items()}
        del disk.jobs[action.id]
        self.catalogue.patch_volume(disk.id, {action.title: _listed(disk.titles[action.title])}, self.now)
        self.catalogue.record_digests(disk.id, action.title, digests, (), self.now)
        self.catalogue.record_digests(action.source_volume, action.title, digests, (), self.now)
        return True

    def _verify(self, action: Verify, disk: Disk) -> bool:
        job = disk.jobs.get(action.id)
        if job is None or job.state != "Running":
            disk.jobs[action.id] = Job("Verify", action.title, "Running", action.bytes, action)
            return False
        del disk.jobs[action.id]
        files = disk.titles.get(action.title, {})
        manifest = self.catalogue.manifest(disk.id, action.title)
        if not files or not manifest:
            raise Failed("it is not there any more")
        self.catalogue.patch_volume(disk.id, {action.title: _listed(files)}, self.now)
        recorded = {one.path: one.sha256 for one in self.catalogue.manifest(disk.id, action.title)}
        damaged = [path for path, blob in files.items() if recorded.get(path, "") not in ("", blob.digest)]
        digests = {path: blob.digest for path, blob in files.items() if path not in damaged}
        self.catalogue.record_digests(disk.id, action.title, digests, damaged, self.now)
        return True

    def _quarantine(self, action: Quarantine, disk: Disk) -> bool:
        files = disk.titles.get(action.title, {})
        recorded = {one.path: one for one in self.catalogue.manifest(disk.id, action.title)}
        for path in action.paths:
            blob, known = files.get(path), recorded.get(path)
            if blob is None or known is None:
                continue
            if known.sha256 == blob.digest and blob.size == known.size and blob.size:
                raise Failed("it is good", again=False)  # read at the moment of acting
            disk.quarantine.append((action.title, path, files.pop(path)))
        if not files:
            disk.titles.pop(action.title, None)
        self.catalogue.patch_volume(disk.id, {action.title: _listed(files)}, self.now)
        return True

    def _trim(self, action: Trim, disk: Disk) -> bool:
        files = disk.titles.get(action.title, {})
        good = 0
        for keeper in action.keepers:
            place = next((key for key, volume in self.volumes.items() if volume.id == keeper), None)
            other = self.disk(*place) if place is not None else None
            if other is None:
                continue
            theirs = other.titles.get(action.title, {})
            known = {one.path: one.sha256 for one in self.catalogue.manifest(keeper, action.title)}
            spoilt = [path for path, blob in theirs.items() if known.get(path, "") not in ("", blob.digest)]
            self.catalogue.record_digests(keeper, action.title, {}, spoilt, self.now)
            good += all(path in theirs and theirs[path].digest == blob.digest for path, blob in files.items())
        if good < max(1, action.floor):
            raise Failed("last-copy: the keepers are not what they were", again=False)
        disk.trash.append((self.now, action.title, disk.titles.pop(action.title)))
        disk.trimmed.append(self.now)
        self.catalogue.patch_volume(disk.id, {action.title: None}, self.now)
        return True

    # --- bad days ----------------------------------------------------------------------------------------------

    def host_down(self, host: str) -> None:
        self.up[host] = False
        for (name, _), mounted in self.mounts.items():
            if name == host and mounted is not None:
                for job in self.disks[mounted].jobs.values():
                    job.state = "Lost" if job.state == "Running" else job.state

    def restart(self) -> None:
        """The controller dies and another starts: it remembers the store, and asks every host anew."""
        self.running.clear()
        self.attempts.clear()
        self.hosts = {name: HostEvidence(name) for name in self.up}
        for key, volume in self.volumes.items():
            self.volumes[key] = replace(volume, state=VolumeState.UNKNOWN, scanned=None, jobs=())

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for name, up in self.up.items():
            if not up and name in self.hosts and self.hosts[name].reached is False:
                self.hosts[name] = replace(
                    self.hosts[name], missing_for=self.hosts[name].missing_for + seconds
                )

    # --- the truth ----------------------------------------------------------------------------------------------

    def ground(self) -> Ground:
        good: dict[tuple[str, str], set[str]] = {}
        kept: dict[tuple[str, str], set[str]] = {}
        for disk in self.disks.values():
            lying = [(title, path, blob) for title, f in disk.titles.items() for path, blob in f.items()]
            for title, path, blob in lying:
                if not blob.rotten:
                    good.setdefault((title, f"{path}:{blob.content}"), set()).add(disk.id)
            lying += [(title, path, blob) for _, title, f in disk.trash for path, blob in f.items()]
            lying += disk.quarantine
            for title, path, blob in lying:
                if not blob.rotten:
                    kept.setdefault((title, f"{path}:{blob.content}"), set()).add(disk.id)
        return Ground(
            {key: frozenset(value) for key, value in good.items()},
            {key: frozenset(value) for key, value in kept.items()},
        )


def _listed(files: dict[str, Blob]) -> Manifest:
    return tuple(FileSeen(path, blob.size, blob.mtime) for path, blob in sorted(files.items()))


def print_of(files: dict[str, Blob]) -> str:
    return fingerprint(_listed(files))
