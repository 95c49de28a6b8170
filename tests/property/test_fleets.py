"""Random fleets, random days: whatever happens, the custody rules hold, and when it is over the loop settles."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telarchy.core.plan import Decision, Plan
from telarchy.custody.plan import CensusMemo, deliberate
from telarchy.custody.terms import patterns_of
from telarchy.custody.weighing import TitleState
from telarchy.resources.custodyfloor import CustodyFloor
from telarchy.resources.fleet import Fleet
from telarchy.resources.host import Host
from tests.property.checks import check
from tests.property.simulator import Blob, Disk, Simulator
from tests.world import fleet, floor, host

TITLES = ["tv/Show/S01", "tv/Show/S02", "films/Alien", "films/Brazil", "films/Cube", "films/Dune"]
CLASSES = ["Server", "Server", "Server", "Roamer", "Seedbox", "Consumer"]
ROUNDS_TO_SETTLE = 400

numbers = st.integers(0, 1_000_000)


@st.composite
def hosts(draw, index):
    kind = draw(st.sampled_from(CLASSES))
    name = f"h{index}"
    spec = {"class": kind}
    if draw(st.booleans()) and draw(st.booleans()):
        spec["failureDomain"] = draw(st.sampled_from(["box", "shed"]))
    roots = 2 if draw(st.integers(0, 3)) == 0 else 1
    spec["mediaRoots"] = [
        {"name": f"r{number}", "path": f"/srv/{name}/{number}", "reserve": "0"} for number in range(roots)
    ]
    if draw(st.integers(0, 4)) == 0:
        spec["transfers"] = {"maxIn": draw(st.integers(0, 2)), "maxOut": draw(st.integers(0, 3))}
    always_on = kind in ("Server", "Seedbox") and draw(st.integers(0, 3)) > 0
    labels = {"site": draw(st.sampled_from(["home", "away"]))}
    return host(name, always_on=always_on, labels=labels, **spec)


@st.composite
def floors(draw, name):
    copies = draw(st.integers(1, 3))
    always_on = draw(st.integers(0, min(copies, 2)))
    spec = {"copies": copies, "alwaysOn": always_on, "priority": draw(st.integers(-5, 5))}
    if draw(st.booleans()):
        spec["maxCopies"] = draw(st.integers(copies, 4))
    if draw(st.integers(0, 3)) == 0:
        spec["hosts"] = {
            draw(st.sampled_from(["required", "preferred", "excluded"])): {
                "matchLabels": {"site": draw(st.sampled_from(["home", "away"]))}
            }
        }
    if draw(st.integers(0, 3)) == 0:
        spec["verify"] = {"every": draw(st.sampled_from(["1d", "30d"]))}
    if draw(st.integers(0, 9)) == 0:
        spec["mode"] = "Observe"
    paths = draw(st.sampled_from([("tv/*/*", "films/*"), ("films/*",), ("tv/*/*",), ("films/[AB]*", "tv/*")]))
    return floor(name, paths, **spec)


class Fleets(RuleBasedStateMachine):
    """One random fleet and its days."""

    @initialize(data=st.data())
    def begin(self, data) -> None:
        count = data.draw(st.integers(3, 6) | st.just(2))
        machines = [data.draw(hosts(index)) for index in range(count)]
        wanted = [data.draw(floors(f"f{index}")) for index in range(data.draw(st.integers(1, 3)))]
        policy = fleet(trim={"cooldown": data.draw(st.sampled_from(["0s", "7d"]))})
        sizes = {
            (one.name, root.name): data.draw(st.sampled_from([12, 40, 400]))
            for one in machines
            for root in one.spec.media_roots
        }
        self.sim = Simulator([policy, *machines, *wanted], sizes)
        self.memo = CensusMemo()
        self.born = 0
        for title in data.draw(st.lists(st.sampled_from(TITLES), min_size=3, max_size=6, unique=True)):
            for _ in range(data.draw(st.integers(1, 2))):
                self._add(title, data.draw(numbers), 2, fresh=False)
        self.sim.look()
        self.plan = Plan()

    # --- helpers -------------------------------------------------------------------------------------------------

    def _roots(self):
        return sorted(self.sim.volumes)

    def _titles_somewhere(self):
        return sorted((disk.id, title) for disk in self.sim.disks.values() for title in disk.titles)

    def _add(self, title: str, pick: int, files: int, *, fresh: bool) -> None:
        key = self._roots()[pick % len(self._roots())]
        disk = self.sim.disk(*key)
        if disk is None:
            return
        for number in range(files):
            path = f"e{number}"
            self.born += fresh
            content = f"{title}/{path}/{self.born if fresh else 0}"
            blob = Blob(content, 2 + number, 1_700_000_000_000_000_000)
            if disk.free >= blob.size and path not in disk.titles.get(title, {}):
                disk.titles.setdefault(title, {})[path] = blob

    def _change(self, index: int, **fields) -> None:
        """Edit the spec of a resource."""
        old = self.sim.resources[index]
        self.sim.resources[index] = old.model_copy(update={"spec": old.spec.model_copy(update=fields)})
        self.sim.attempts.clear()

    def _indices(self, kind) -> list[int]:
        return [at for at, one in enumerate(self.sim.resources) if isinstance(one, kind)]

    def _pick(self, kind, pick: int) -> int:
        return self._indices(kind)[pick % len(self._indices(kind))]

    # --- the loop ------------------------------------------------------------------------------------------------

    @rule(times=st.integers(2, 12))
    def the_loop_runs(self, times: int) -> None:
        for _ in range(times):
            self._think()
            self.sim.apply(self.plan)
            self.sim.advance()
            self.sim.pass_time(3)

    @rule()
    def look(self) -> None:
        self.sim.look()

    @rule(pick=numbers)
    def look_at_one(self, pick: int) -> None:
        key = self._roots()[pick % len(self._roots())]
        if self.sim.up[key[0]]:
            self.sim.look_at(*key)

    @rule(seconds=st.sampled_from([30.0, 16 * 60.0, 80 * 3600.0, 8 * 86400.0, 31 * 86400.0]))
    def time_passes(self, seconds: float) -> None:
        self.sim.pass_time(seconds)
        self.sim.look()

    @rule()
    def the_controller_restarts(self) -> None:
        self.sim.restart()

    @rule()
    def another_controller_takes_the_lease_for_a_while(self) -> None:
        self.sim.fenced = "another controller holds the lease"
        self._think()
        self.sim.fenced = ""

    @rule()
    def a_person_approves(self) -> None:
        self.sim.approved.update(
            identity
            for hold in self.plan.holds
            if "would leave" in hold.reason or "fail their digests" in hold.reason
            for identity in hold.action_ids
        )

    # --- hosts and disks -------------------------------------------------------------------------------------------

    @precondition(lambda self: sum(self.sim.up.values()) * 2 > len(self.sim.up))
    @rule(pick=numbers)
    def a_host_goes_down(self, pick: int) -> None:
        name = sorted(self.sim.up)[pick % len(self.sim.up)]
        self.sim.host_down(name)
        self.sim.look()

    @precondition(lambda self: sum(self.sim.up.values()) * 2 > len(self.sim.up))
    @rule(pick=numbers)
    def a_host_dies_unnoticed(self, pick: int) -> None:
        self.sim.host_down(sorted(self.sim.up)[pick % len(self.sim.up)])

    @precondition(lambda self: not all(self.sim.up.values()))
    @rule()
    def hosts_return(self) -> None:
        self.sim.up = dict.fromkeys(self.sim.up, True)
        self.sim.look()

    @rule(pick=numbers)
    def a_disk_is_unmounted(self, pick: int) -> None:
        self.sim.mounts[self._roots()[pick % len(self._roots())]] = None
        if pick % 2:
            self.sim.look()

    @rule(pick=numbers)
    def a_wrong_disk_is_mounted(self, pick: int) -> None:
        roots = self._roots()
        here, there = roots[pick % len(roots)], roots[(pick + 1) % len(roots)]
        self.sim.mounts[here], self.sim.mounts[there] = self.sim.mounts[there], self.sim.mounts[here]

    @rule()
    def disks_are_mounted_again(self) -> None:
        self.sim.mounts.update(self.sim.known)
        self.sim.look()

    @rule(pick=numbers)
    def a_disk_turns_read_only(self, pick: int) -> None:
        disk = self.sim.disks[sorted(self.sim.disks)[pick % len(self.sim.disks)]]
        disk.read_only = not disk.read_only

    @rule(pick=numbers)
    def something_fills_a_disk(self, pick: int) -> None:
        disk = self.sim.disks[sorted(self.sim.disks)[pick % len(self.sim.disks)]]
        disk.size = max(disk.size - disk.free, 1)

    @precondition(lambda self: self._titles_somewhere())
    @rule(pick=numbers)
    def a_byte_rots(self, pick: int) -> None:
        identity, title = self._titles_somewhere()[pick % len(self._titles_somewhere())]
        files = self.sim.disks[identity].titles[title]
        path = sorted(files)[pick % len(files)]
        files[path] = replace(files[path], rotten=True)

    @precondition(lambda self: self._titles_somewhere())
    @rule(pick=numbers)
    def a_file_is_truncated(self, pick: int) -> None:
        identity, title = self._titles_somewhere()[pick % len(self._titles_somewhere())]
        files = self.sim.disks[identity].titles[title]
        path = sorted(files)[pick % len(files)]
        size = 0 if pick % 2 else 1
        files[path] = Blob(f"cut/{self.born}", size, files[path].mtime + 1, rotten=True)

    # --- people ----------------------------------------------------------------------------------------------------

    @rule(title=st.sampled_from(TITLES), pick=numbers, files=st.integers(1, 3))
    def a_person_adds_a_title(self, title: str, pick: int, files: int) -> None:
        self._add(title, pick, files, fresh=False)

    @rule(title=st.sampled_from(TITLES), pick=numbers)
    def a_person_adds_another_version(self, title: str, pick: int) -> None:
        self._add(title, pick, 1, fresh=True)

    @precondition(lambda self: self._titles_somewhere())
    @rule(pick=numbers, whole=st.booleans())
    def a_person_deletes(self, pick: int, whole: bool) -> None:
        identity, title = self._titles_somewhere()[pick % len(self._titles_somewhere())]
        files = self.sim.disks[identity].titles[title]
        if whole or len(files) == 1:
            del self.sim.disks[identity].titles[title]
        else:
            del files[sorted(files)[0]]

    @rule(pick=numbers, data=st.data())
    def a_floor_is_edited(self, pick: int, data) -> None:
        at = self._pick(CustodyFloor, pick)
        self.sim.resources[at] = data.draw(floors(self.sim.resources[at].name))
        self.sim.attempts.clear()

    @rule(pick=numbers, what=st.sampled_from(["cordon", "drain", "suspend"]))
    def a_host_is_edited(self, pick: int, what: str) -> None:
        at = self._pick(Host, pick)
        self._change(at, **{what: not getattr(self.sim.resources[at].spec, what)})

    @rule(pick=numbers, hours=st.integers(1, 100))
    def maintenance_is_announced(self, pick: int, hours: int) -> None:
        at = self._pick(Host, pick)
        until = datetime.fromtimestamp(self.sim.now + hours * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        old = self.sim.resources[at]
        spec = old.spec.model_dump(by_alias=True, exclude_none=True) | {"maintenance": {"until": until}}
        self.sim.resources[at] = Host.model_validate(
            {"kind": "Host", "metadata": old.metadata.model_dump(by_alias=True), "spec": spec}
        )

    @rule()
    def the_fleet_is_suspended_for_a_while(self) -> None:
        at = self._pick(Fleet, 0)
        self._change(at, suspend=True)
        self._think()
        self.sim.apply(self.plan)
        self.sim.advance()
        self._change(at, suspend=False)

    # --- what must always hold -------------------------------------------------------------------------------------

    @invariant()
    def the_rules_hold(self) -> None:
        if hasattr(self, "sim"):
            for _ in range(2):
                self._think()
                self.sim.apply(self.plan)
                self.sim.advance()
                self.sim.pass_time(1)
            self._think()

    def _think(self) -> None:
        self.sim.catalogue.set_patterns(patterns_of(self.sim.world))
        self.plan = check(self.sim.world, self.sim.observation(), self.sim.now, self.memo)

    def teardown(self) -> None:
        if hasattr(self, "sim"):
            self._heal()
            self._settle()
            self._nothing_churns()

    # --- the end ---------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        sim = self.sim
        sim.fenced = ""
        sim.up = dict.fromkeys(sim.up, True)
        sim.mounts.update(sim.known)
        for disk in sim.disks.values():
            disk.read_only = False
            disk.size += 10_000
        for at in self._indices(Host):
            self._change(at, cordon=False, drain=False, suspend=False, maintenance=None)
        self._change(self._pick(Fleet, 0), suspend=False)
        sim.look()
        sim.attempts.clear()

    def _settle(self) -> None:
        sim, before = self.sim, None
        told: list[object] = []
        for _ in range(ROUNDS_TO_SETTLE):
            self._mend_what_only_a_person_can()
            self._think()
            sim.approved.update(one for hold in self.plan.holds for one in hold.action_ids)
            if not self.plan.steps and self.plan.holds == () and before == ():
                break
            before = self.plan.steps
            # A refusal stays until somebody asks for another try.
            sim.attempts = {key: one for key, one in sim.attempts.items() if one.not_before is not None}
            told.append([(str(step.action), str(step.decision), step.reason) for step in before])
            sim.apply(self.plan)
            sim.advance()
            sim.pass_time(30)
            sim.look()
        else:
            raise AssertionError(f"it does not settle: {told[-6:]} {sim.attempts}")
        done = deliberate(sim.world, sim.observation(), sim.now)
        for index, count in enumerate(done.census.floors):
            left = count.with_state(TitleState.LACKING, 99) + count.with_state(TitleState.BADLY_PLACED, 99)
            for title in left:
                if count.terms.acts:
                    assert self._cannot_be_met(done, count.terms, title), (index, title, done.copies.blocked)
                    assert done.copies.blocked.get((index, title)), "nothing is done, and no reason is given"
            unclear = count.with_state(TitleState.UNKNOWN, 99)
            unclear += count.with_state(TitleState.UNRECOVERABLE, 99)
            assert not count.terms.acts or not unclear, (index, unclear)

    def _mend_what_only_a_person_can(self) -> None:
        """Of copies that differ or are spoilt everywhere, a person keeps one, sound."""
        done = deliberate(self.sim.world, self.sim.observation(), self.sim.now)
        names = self.sim.catalogue.names
        stuck = set()
        for index, count in enumerate(done.census.floors):
            stuck |= {names.name(title) for title in count.with_state(TitleState.UNKNOWN, 99)}
            stuck |= {names.name(title) for title in count.with_state(TitleState.UNRECOVERABLE, 99)}
            stuck |= {
                names.name(title)
                for floor_index, title in done.copies.blocked
                if floor_index == index
                and "no live host has a good copy" in done.copies.blocked[index, title]
            }
        for title in sorted(stuck):
            holders = [disk for disk in self.sim.disks.values() if title in disk.titles]
            if len(holders) == 1 and not any(
                one.damaged or self._rotten(holders[0], title)
                for one in self.sim.catalogue.manifest(holders[0].id, title)
            ):
                continue
            for disk in holders[1:]:
                del disk.titles[title]
            for path, blob in list(holders[0].titles[title].items()) if holders else ():
                holders[0].titles[title][path] = Blob(f"mended/{title}/{path}", blob.size + 1, blob.mtime + 2)
        if stuck:
            self.sim.look()

    def _rotten(self, disk: Disk, title: str) -> bool:
        return any(blob.rotten for blob in disk.titles[title].values())

    def _cannot_be_met(self, done, terms, title: int) -> bool:
        """No set of hosts that may hold copies is large enough, or a domain of the kind needed is lacking."""
        able = [
            one
            for one in done.terms.hosts.values()
            if one.name in terms.allowed and one.receives and one.max_in
        ]
        held = done.census.catalogue.holders(title)
        having = {done.custody.volumes[key].host for key in held if key in done.custody.volumes}
        able += [one for one in done.terms.hosts.values() if one.name in having & terms.allowed]
        sends = any(done.terms.hosts[name].max_out > 0 for name in having)
        domains = {one.domain for one in able}
        steady = {one.domain for one in able if one.always_on}
        return not sends or len(domains) < terms.copies or len(steady) < terms.always_on

    def _nothing_churns(self) -> None:
        """Hosts that leave and return inside their grace move nothing."""
        for name in sorted(self.sim.up):
            self.sim.host_down(name)
            self.sim.look()
            self.sim.pass_time(300)
            self._think()
            begun = [step for step in self.plan.steps if step.decision is Decision.START]
            assert not begun, [str(step.action) for step in begun]
            self.sim.up[name] = True
            self.sim.look()
            self._think()
            assert not self.plan.steps, [str(step.action) for step in self.plan.steps]


TestFleets = Fleets.TestCase
