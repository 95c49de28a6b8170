"""What custody decides, case by case: the story of the README told to the planner."""

from dataclasses import replace

import pytest

from telarchy.core.hosts import HostState
from telarchy.core.observation import Progress, Running
from telarchy.core.plan import Decision, Plan
from telarchy.core.world import World
from telarchy.custody.evidence import VolumeSeen
from telarchy.custody.explain import why
from telarchy.custody.plan import plan_custody, weight_of
from telarchy.custody.weighing import Weight
from telarchy.resources.meta import Ref
from tests.world import GIB, NOW, JobSeen, Seen, VolumeState, files, fleet, floor, host, seen


def plan(of: Seen, now: float = NOW, **options: object) -> Plan:
    return plan_custody(of.world, of.observation(), now, **options)


def lines(made: Plan) -> list[str]:
    return [
        f"{step.decision} {step.action}" + (f": {step.reason}" if step.reason else "") for step in made.steps
    ]


def status(made: Plan, name: str = "all") -> dict:
    return made.statuses[Ref("CustodyFloor", "default", name)]


def ready(made: Plan, name: str = "all") -> dict:
    return next(one for one in status(made, name)["conditions"] if one["type"] == "Ready")


def three(**floor_spec: object) -> Seen:
    return seen(fleet(), host("attic"), host("cellar"), host("laptop", always_on=False), floor(**floor_spec))


def test_a_lacking_title_is_copied_to_an_always_on_host() -> None:
    of = three()
    of.put("laptop", "tv/Show/S01", files(GIB, GIB))
    made = plan(of)
    assert len(made.steps) == 1
    step = made.steps[0]
    assert step.decision is Decision.START
    assert step.action.host in ("attic", "cellar")
    assert step.action.bytes == 2 * GIB
    assert status(made)["copying"] == 1 and ready(made)["reason"] == "Copying"


def test_a_met_floor_plans_nothing_and_is_ready() -> None:
    of = three()
    for name in ("attic", "cellar"):
        of.put(name, "tv/Show/S01", files(GIB))
    made = plan(of)
    assert made.steps == () and made.settled
    assert ready(made) == {
        "type": "Ready",
        "status": "True",
        "reason": "FloorMet",
        "message": "1 of 1 title with 2 copies (1 always on)",
    }


def test_copies_in_one_failure_domain_count_as_one() -> None:
    of = seen(
        fleet(), host("a", failureDomain="box"), host("b", failureDomain="box"), host("c"), floor(copies=2)
    )
    for name in ("a", "b"):
        of.put(name, "films/Alien", files(GIB))
    assert [step.action.host for step in plan(of).steps] == ["c"]


def test_two_copies_on_roamers_are_badly_placed() -> None:
    of = seen(fleet(), host("a"), host("l1", always_on=False), host("l2", always_on=False), floor())
    for name in ("l1", "l2"):
        of.put(name, "films/Alien", files(GIB))
    made = plan(of)
    assert [step.action.host for step in made.steps] == ["a"]
    assert status(made)["copying"] == 1


def test_a_missing_host_counts_until_its_grace_is_over() -> None:
    of = three()
    for name in ("attic", "cellar"):
        of.put(name, "films/Alien", files(GIB))
    of.miss("cellar", 60)
    made = plan(of)
    assert made.steps == ()
    assert made.wake_at == NOW + 15 * 60 - 60
    of.miss("cellar", 15 * 60)
    assert [step.action.host for step in plan(of).steps] == ["laptop"]
    of.answer("cellar")
    assert plan(of).steps == ()


def test_an_unmounted_volume_is_unknown_and_never_repaired_for() -> None:
    of = three()
    for name in ("attic", "cellar"):
        of.put(name, "films/Alien", files(GIB))
    of.set_volume("cellar", state=VolumeState.MISSING, message="no sentinel at /srv/cellar")
    made = plan(of)
    assert made.steps == ()
    assert status(made)["unknown"] == 1
    assert "cellar" in status(made)["worst"][0]["message"]
    assert len(made.holds) == 1 and "mounted again" in made.holds[0].reason


def test_a_host_with_a_disk_in_trouble_is_not_ready_and_says_which() -> None:
    of = three()
    of.put("attic", "films/Alien", files(GIB))
    for name in ("cellar", "laptop"):
        of.set_volume(name, state=VolumeState.MISSING, message=f"there is no folder /srv/{name}")
    of.miss("laptop", 1e6)
    made = plan(of)
    conditions = {
        name: [
            one for one in made.statuses[Ref("Host", "default", name)]["conditions"] if one["type"] == "Ready"
        ]
        for name in ("attic", "cellar", "laptop")
    }
    assert conditions["attic"] == conditions["laptop"] == []  # left to who knows whether they answer
    (cellar,) = conditions["cellar"]
    assert (cellar["status"], cellar["message"]) == ("False", "there is no folder /srv/cellar")
    assert "cellar: there is no folder /srv/cellar" in ready(made)["message"]


def test_hosts_without_a_floor_are_reported_on_in_their_own_namespace() -> None:
    """With neither floor nor Fleet there is nothing to take the namespace from but the world."""
    of = seen(host("attic"))
    world = replace(World.from_resources([], namespace="garden"), resources=of.world.resources)
    made = plan_custody(world, of.observation(), NOW)
    assert Ref("Host", "garden", "attic") in made.statuses


def test_an_owner_may_give_missing_volumes_a_grace_too() -> None:
    of = seen(
        fleet(grace={"volume": "10m"}),
        host("attic"),
        host("cellar"),
        host("laptop", always_on=False),
        floor(),
    )
    for name in ("attic", "cellar"):
        of.put(name, "films/Alien", files(GIB))
    of.set_volume("cellar", state=VolumeState.MISSING, missing_for=60.0)
    made = plan(of)
    assert made.steps == () and made.wake_at == NOW + 9 * 60
    of.set_volume("cellar", missing_for=600.0)
    assert [step.action.host for step in plan(of).steps] == ["laptop"]


def test_a_floor_may_give_missing_volumes_a_grace_of_its_own() -> None:
    names = ("attic", "cellar", "laptop")
    of = seen(
        fleet(grace={"volume": "10h"}),
        *(host(name) for name in names),
        floor("films", ("films/*",), grace={"volume": "10m"}),
        floor("shows", ("tv/*",)),
    )
    for name in ("attic", "cellar"):
        of.put(name, "films/Alien", files(GIB))
        of.put(name, "tv/Alien", files(GIB))
    of.set_volume("cellar", state=VolumeState.MISSING, missing_for=60.0)
    made = plan(of)
    assert made.steps == () and made.wake_at == NOW + 9 * 60
    of.set_volume("cellar", missing_for=600.0)
    made = plan(of)
    assert [(step.action.title, step.action.host) for step in made.steps] == [("films/Alien", "laptop")]
    assert made.wake_at == NOW + 10 * 3600 - 600


def test_the_brake_stops_repair_when_more_than_one_custodian_is_gone() -> None:
    names = ["a", "b", "c", "d"]
    of = seen(fleet(), *(host(name) for name in names), floor())
    for name in ("c", "d"):
        of.put(name, "films/Alien", files(GIB))
    of.put("a", "films/Brazil", files(GIB))
    for name in ("c", "d"):
        of.miss(name, 3600)
    made = plan(of)
    assert {step.decision for step in made.steps} == {Decision.WAIT}
    assert "custodians are up" in made.steps[0].reason


def test_a_partial_copy_is_completed_where_it_is() -> None:
    of = three()
    of.put("attic", "tv/Show/S01", files(GIB, GIB, GIB))
    of.put("laptop", "tv/Show/S01", files(GIB))
    step = plan(of).steps[0]
    assert (step.action.host, step.action.partial, step.action.bytes) == ("laptop", True, 2 * GIB)


def test_a_title_that_grows_keeps_its_copy_and_is_left_alone_when_that_was_in_vain() -> None:
    of = three()
    of.put("attic", "films/Alien", files(GIB))
    (begun,) = plan(of).steps
    of.start(begun.action)
    of.put("attic", "films/Alien", files(2 * GIB))
    (going_on,) = plan(of).steps
    assert (going_on.action, going_on.decision) == (begun.action, Decision.START)
    of.running, of.restless = {}, {"films/Alien": NOW + 20}
    made = plan(of)
    assert [(step.decision, step.not_before) for step in made.steps] == [(Decision.WAIT, NOW + 20)]
    assert made.wake_at == NOW + 20
    assert plan(of, NOW + 21).steps[0].decision is Decision.START


def test_a_host_that_had_no_rsync_is_left_alone_for_a_while() -> None:
    of = three()
    of.put("laptop", "films/Alien", files(GIB))
    for name in ("attic", "cellar"):
        of.set_volume(name, toolless_until=NOW + 60)
    made = plan(of)
    assert made.steps == () and made.wake_at == NOW + 60
    assert "attic: it has no rsync" in ready(made)["message"]
    of.set_volume("cellar", toolless_until=0.0)
    assert [step.action.host for step in plan(of).steps] == ["cellar"]


def test_nothing_is_copied_from_a_volume_that_is_yet_to_be_adopted() -> None:
    of = three()
    of.set_volume("laptop", id="", state=VolumeState.NEW)
    of.volumes["laptop/main"] = of.volumes.pop(next(k for k, v in of.volumes.items() if v.host == "laptop"))
    of.put("laptop", "films/Alien", files(GIB))
    adopt, copy = plan(of).steps
    assert (adopt.action.verb, adopt.decision) == ("AdoptVolume", Decision.START)
    assert (copy.decision, copy.reason) == (Decision.QUEUE, "the volume it comes from is adopted first")


def test_two_halves_complete_each_other() -> None:
    of = three()
    of.put("attic", "tv/Show/S01", files(GIB, names=("e1",)))
    of.put("cellar", "tv/Show/S01", files(GIB, names=("e2",)))
    steps = plan(of).steps
    assert {(s.action.source_host, s.action.host) for s in steps} == {
        ("attic", "cellar"),
        ("cellar", "attic"),
    }


def test_files_that_differ_wait_for_a_person() -> None:
    of = three()
    of.put("attic", "films/Alien", files(GIB))
    of.put("cellar", "films/Alien", files(2 * GIB))
    made = plan(of)
    assert made.steps == ()
    worst = status(made)["worst"][0]
    assert (
        worst["reason"] == "Conflict"
        and "sizes differ" in worst["message"]
        and "cellar/main" in worst["message"]
    )
    told = next(one for one in status(made)["conditions"] if one["type"] == "Ready")["message"]
    assert "films/Alien: e01.mkv: the sizes differ" in told
    lines = list(why("title", "films/Alien", of.world, of.observation(), NOW))
    assert lines[0] == "films/Alien: its copies differ"
    assert sum("sizes differ" in line for line in lines) == 1
    assert not any("complete" in line for line in lines)


def test_no_room_says_so_and_promises_nothing_twice() -> None:
    of = seen(fleet(), host("a"), host("b"), floor(), free=3 * GIB, total=100 * GIB)
    for number in range(3):
        of.put("a", f"films/F{number}", files(2 * GIB))
    made = plan(of)
    assert len(made.steps) == 1
    worst = [one for one in status(made)["worst"] if one["reason"] == "NoTarget"]
    assert len(worst) == 2 and "less than 2.0 GiB free above the reserve" in worst[0]["message"]


def test_slots_queue_the_rest_in_order_of_urgency() -> None:
    of = three()
    of.put("attic", "films/Big", files(9 * GIB))
    of.put("attic", "films/Small", files(GIB))
    made = plan(of)
    assert [s.action.title for s in made.steps] == ["films/Small", "films/Big"]
    assert made.steps[0].decision is Decision.START


def test_the_plan_is_the_same_twice_and_does_not_restart_what_runs() -> None:
    of = three()
    of.put("attic", "films/Alien", files(GIB))
    first = plan(of)
    of.start(first.steps[0].action)
    assert plan(of).steps == first.steps
    of.miss("attic", 30)  # a missed probe stops no copy
    assert plan(of).steps == first.steps


def test_surplus_is_kept_without_max_copies_and_trimmed_with_it() -> None:
    old = NOW - 30 * 86400
    of = seen(fleet(), host("a"), host("b"), host("c"), floor(copies=2))
    for name in ("a", "b", "c"):
        of.put(name, "films/Alien", files(GIB, read_at=NOW - 60), at=old)
    assert plan(of).steps == ()
    of.resources[-1] = floor(copies=2, maxCopies=2)
    made = plan(of)
    assert [step.action.verb for step in made.steps] == ["Trim"]
    assert made.steps[0].decision is Decision.START
    of.set_volume(made.steps[0].action.host, removed=1)
    held = plan(of)
    assert [step.decision for step in held.steps] == [Decision.HOLD]
    of.approved.update(held.holds[0].action_ids)
    assert [step.decision for step in plan(of).steps] == [Decision.START]


def test_copies_of_one_title_are_trimmed_one_after_the_other() -> None:
    of = seen(fleet(), host("a"), host("b"), host("c"), host("d"), floor(copies=2, maxCopies=2))
    for name in ("a", "b", "c", "d"):
        of.put(name, "films/Alien", files(GIB, read_at=NOW - 60), at=NOW - 30 * 86400)
    first, second = plan(of).steps
    assert (first.decision, second.decision) == (Decision.START, Decision.QUEUE)
    of.start(second.action)  # whichever goes on is the one that is left to go on
    assert {step.action.id: step.decision for step in plan(of).steps} == {
        first.action.id: Decision.QUEUE,
        second.action.id: Decision.START,
    }


def test_the_share_that_may_go_is_one_of_what_the_host_had() -> None:
    brakes = {"maxChangeTitles": 1000, "maxChangePercent": 100}
    of = seen(fleet(brakes=brakes), host("a"), host("b"), host("c"), floor(copies=2, maxCopies=2))
    for name in ("a", "b", "c"):
        of.put(name, "films/Alien", files(GIB, read_at=NOW - 60), at=NOW - 30 * 86400)
        of.set_volume(name, removed=22)
    assert [step.decision for step in plan(of).steps] == [Decision.START]


def test_what_is_on_its_way_out_counts_towards_what_may_go_unasked() -> None:
    of = seen(fleet(), host("a"), host("b"), host("c"), floor(copies=2, maxCopies=2))
    for name in ("a", "b", "c"):
        of.put(name, "films/Alien", files(GIB, read_at=NOW - 60), at=NOW - 30 * 86400)
    [first] = plan(of).steps
    of.start(first.action)
    for name in ("a", "b", "c"):  # its cool-down ended a moment later
        of.put(name, "films/Brazil", files(GIB, read_at=NOW - 60), at=NOW - 30 * 86400)
    assert {step.action.title: step.decision for step in plan(of).steps} == {
        "films/Alien": Decision.START,
        "films/Brazil": Decision.HOLD,
    }


def test_nothing_is_trimmed_while_a_holder_cannot_be_asked() -> None:
    of = seen(fleet(), host("a"), host("b"), host("c"), floor(copies=2, maxCopies=2))
    for name in ("a", "b", "c"):
        of.put(name, "films/Alien", files(GIB, read_at=NOW - 60), at=NOW - 30 * 86400)
    of.miss("c", 1)
    assert plan(of).steps == ()


def test_what_is_to_go_and_was_never_read_is_read_first_one_at_a_time_on_a_host() -> None:
    of = seen(fleet(), host("a"), host("b"), host("c"), floor(copies=2, maxCopies=2))
    for title in ("films/Alien", "films/Brazil"):
        for age, name in enumerate("abc"):
            of.put(
                name,
                title,
                files(GIB, read_at=0 if name == "a" else NOW - 60),
                at=NOW - (90 - age) * 86400,
            )
    assert [(step.action.verb, step.action.host, step.decision) for step in plan(of).steps] == [
        ("Verify", "a", Decision.START),
        ("Verify", "a", Decision.QUEUE),
    ]
    of.put("a", "films/Alien", files(GIB, read_at=NOW - 50), at=NOW - 90 * 86400)
    assert "Trim" in [step.action.verb for step in plan(of).steps]


def test_nothing_is_trimmed_that_would_count_on_a_suspended_host() -> None:
    for read_at in (
        NOW - 60,
        NOW - 3 * 86400,
    ):  # one would be leased, the other read: both leave traces there
        of = seen(fleet(), host("a"), host("b"), host("c", suspend=True), floor(copies=2, maxCopies=2))
        for age, name in enumerate("abc"):
            of.put(name, "films/Alien", files(GIB, read_at=read_at), at=NOW - (90 - age) * 86400)
        assert plan(of).steps == ()
        assert "suspended" in "".join(why("title", "films/Alien", of.world, of.observation(), NOW))


def test_a_damaged_copy_is_quarantined_then_healed_where_it_lay() -> None:
    of = three()
    for name in ("attic", "cellar"):
        of.put(name, "tv/Show/S01", files(GIB, GIB, read_at=NOW - 99))
    of.catalogue.record_digests(of.key("cellar"), "tv/Show/S01", {}, ["e02.mkv"], NOW)
    made = plan(of)
    assert [(s.action.verb, s.action.host) for s in made.steps] == [("Quarantine", "cellar")]
    of.put("cellar", "tv/Show/S01", files(GIB, read_at=NOW - 99))
    made = plan(of)
    assert [(s.action.verb, s.action.host, s.action.bytes) for s in made.steps] == [("Copy", "cellar", GIB)]


def test_titles_that_fail_one_after_the_other_are_many_as_well() -> None:
    of = three()
    for name in ("attic", "cellar"):
        of.put(name, "tv/Show/S01", files(GIB, read_at=NOW - 99))
    of.catalogue.record_digests(of.key("cellar"), "tv/Show/S01", {}, ["e01.mkv"], NOW)
    of.set_volume("cellar", set_aside=19)
    assert [step.decision for step in plan(of).steps] == [Decision.START]
    of.set_volume("cellar", set_aside=20)
    made = plan(of)
    held, copy = made.steps  # while it waits for a person, the title need not
    assert (held.decision, copy.action.verb, copy.decision) == (Decision.HOLD, "Copy", Decision.START)
    assert "20 did within the last day" in made.holds[0].reason
    of.approved.update(made.holds[0].action_ids)
    assert [step.decision for step in plan(of).steps] == [Decision.START]


def test_titles_that_fail_at_once_are_copied_elsewhere_while_a_person_is_waited_for() -> None:
    of = three()
    for number in range(21):
        title = f"tv/Show/S{number:02}"
        for name in ("attic", "cellar"):
            of.put(name, title, files(GIB, read_at=NOW - 99))
        of.catalogue.record_digests(of.key("cellar"), title, {}, ["e01.mkv"], NOW)
    made = plan(of)
    assert sum(step.decision is Decision.HOLD for step in made.steps) == 21
    assert sum(step.action.verb == "Copy" for step in made.steps) == 21
    of.approved.update(made.holds[0].action_ids)
    assert {step.action.verb for step in plan(of).steps} == {"Quarantine"}


def test_the_only_copy_stays_though_it_is_damaged() -> None:
    of = three()
    of.put("attic", "films/Alien", files(GIB, read_at=NOW - 99))
    of.catalogue.record_digests(of.key("attic"), "films/Alien", {}, ["e01.mkv"], NOW)
    made = plan(of)
    assert made.steps == ()
    assert status(made)["unrecoverable"] == 1 and status(made)["worst"][0]["reason"] == "Damaged"


def test_verification_is_due_by_age_and_one_at_a_time() -> None:
    of = three(verify={"every": "30d"})
    for name in ("attic", "cellar"):
        of.put(name, "films/Alien", files(GIB, read_at=NOW - 40 * 86400))
        of.put(name, "films/Brazil", files(GIB, read_at=NOW - 10))
    made = plan(of)
    assert [(s.action.verb, s.action.host, s.decision) for s in made.steps] == [
        ("Verify", "attic", Decision.START),
        ("Verify", "cellar", Decision.START),
    ]


def test_what_was_read_at_a_time_to_come_is_read_again() -> None:
    of = three(verify={"every": "30d"})
    for name in ("attic", "cellar"):
        of.put(name, "films/Alien", files(GIB, read_at=NOW + 365 * 86400))
        of.put(name, "films/Brazil", files(GIB, read_at=NOW + 60))  # two clocks that hardly differ
    made = plan(of)
    assert [(step.action.verb, step.action.title) for step in made.steps] == [("Verify", "films/Alien")] * 2


def test_no_removal_stands_on_what_was_read_at_a_time_to_come() -> None:
    of = seen(fleet(), host("a"), host("b"), host("c"), floor(copies=2, maxCopies=2))
    for name in ("a", "b", "c"):
        of.put(name, "films/Alien", files(GIB, read_at=NOW + 365 * 86400), at=NOW - 30 * 86400)
    assert {step.action.verb for step in plan(of).steps} == {"Verify"}


def test_a_new_root_is_adopted_before_anything_is_copied_to_it() -> None:
    of = seen(fleet(), host("a"), host("b"), floor())
    of.set_volume("b", id="", state=VolumeState.NEW)
    of.volumes["b/main"] = of.volumes.pop("b-main-id")
    of.catalogue.rename_volume("b-main-id", "b/main")
    of.put("a", "films/Alien", files(GIB))
    made = plan(of)
    assert [(s.action.verb, s.decision) for s in made.steps] == [
        ("AdoptVolume", Decision.START),
        ("Copy", Decision.QUEUE),
    ]


def test_a_title_that_no_host_has_is_unrecoverable_until_it_is_forgotten() -> None:
    of = three()
    of.put("attic", "films/Alien", files(GIB))
    of.drop("attic", "films/Alien")
    made = plan(of)
    assert status(made)["unrecoverable"] == 1
    of.approved.update(made.holds[0].action_ids)
    assert [step.action.verb for step in plan(of).steps] == ["Forget"]


def test_observe_mode_reports_and_does_nothing() -> None:
    of = three(mode="Observe")
    of.put("attic", "films/Alien", files(GIB))
    made = plan(of)
    assert made.steps == () and ready(made)["reason"] == "Drifted"


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        ({"mode": "Observe"}, "Observed", "nothing is done: the floor's mode is Observe"),
        ({"suspend": True}, "Suspended", "nothing is done: the floor is suspended"),
        ({"suspend": True, "mode": "Observe"}, "Suspended", "nothing is done: the floor is suspended"),
    ],
)
def test_a_floor_that_rests_says_which_field_lets_it(spec: dict, reason: str, says: str) -> None:
    of = three(**spec)
    of.put("attic", "films/Alien", files(GIB))
    [worst] = status(plan(of))["worst"]
    assert (worst["reason"], worst["message"]) == (reason, says)
    assert f"  {says}" in why("floor", "all", of.world, of.observation(), NOW)


def test_a_drained_host_is_a_source_and_counts_no_more() -> None:
    of = seen(fleet(), host("a", drain=True), host("b"), host("c"), floor())
    for name in ("a", "b"):
        of.put(name, "films/Alien", files(GIB))
    assert [step.action.host for step in plan(of).steps] == ["c"]


def test_draining_the_last_holder_says_why_it_holds_the_last_copy() -> None:
    of = seen(fleet(), host("attic", drain=True), floor(copies=1))
    of.put("attic", "films/Alien", files(GIB))
    made = plan(of)
    assert made.steps == () and "attic: it has one, and is being drained" in ready(made)["message"]


def test_nothing_is_copied_before_every_live_root_was_seen() -> None:
    of = three()
    of.put("attic", "films/Alien", files(GIB))
    of.set_volume("cellar", scanned=None)
    made = plan(of)
    assert {step.decision for step in made.steps} == {Decision.WAIT}
    assert ready(made)["status"] == "Unknown" or ready(made)["reason"] in ("Observing", "Waiting")


def test_no_floor_is_met_before_every_manifest_was_read() -> None:
    """Its hosts may be among those that are still to come."""
    of = seen(fleet(), floor())
    told = ready(plan_custody(replace(of.world, complete=False), of.observation(), NOW))
    assert (told["status"], told["reason"]) == ("Unknown", "Observing")
    assert "not every manifest has been read yet" in told["message"]


def test_a_job_left_behind_by_a_dead_controller_takes_no_slot_and_is_tidied_away() -> None:
    of = three()
    for name in ("attic", "cellar"):
        of.put(name, "films/Alien", files(GIB))
    of.put("attic", "films/Brazil", files(GIB))
    left = JobSeen("00000000deadbeef", "Copy", "films/Alien", "Staged", bytes=GIB, total=GIB)
    of.set_volume("cellar", jobs=(left,))
    made = plan(of)
    assert {(step.action.verb, step.decision) for step in made.steps} == {
        ("Copy", Decision.START),
        ("CancelJob", Decision.START),
    }


def test_a_name_that_no_terminal_can_show_is_found_as_it_is_shown() -> None:
    of = three()
    of.put("attic", "films/new\nline\udcff", files(GIB))
    made = plan(of)
    shown = status(made)["worst"][0]["title"]
    assert shown == "films/new\\nline\\xff"
    assert f"'{shown}'" in str(made.steps[0].action)
    lines_told = why("title", shown, of.world, of.observation(), NOW)
    assert lines_told[0].startswith(shown)


def test_a_transfer_tells_how_fast_it_is_on_a_slow_line_too() -> None:
    of = seen(fleet(), host("a"), host("b"), floor())
    of.put("a", "films/Alien", files(GIB))
    copy = plan_custody(of.world, of.observation(), NOW).steps[0].action
    [target] = [one.ref for one in of.resources if one.name == copy.host]

    def told(rate: float, eta: float) -> dict:
        of.running[copy.id] = Running(copy, Progress("transferring", GIB // 2, GIB, rate, eta))
        status = plan_custody(of.world, of.observation(), NOW).statuses[target]
        return status["transfers"][0]

    slow = told(620_000.0, 863.0)
    assert 620_000 * 7 / 8 <= slow["rate"] <= 620_000 and slow["eta"] == "14m"
    assert told(3 << 20, 4.0)["eta"] == "10s", "not `0s` while it runs"
    assert not {"rate", "eta"} & told(0.0, 0.0).keys(), "nothing is known at its first byte"


@pytest.mark.parametrize("state", ["Up", "Suspect", "Maintenance", "Unknown"])
def test_a_root_that_may_be_another_ones_folder_is_never_sure(state: str) -> None:
    """A host that is announced to be in maintenance and answers made two copies of one folder."""
    seen = VolumeSeen("c", "main", "/srv", state=VolumeState.NEW, adoptable=False)
    assert weight_of(seen, HostState(state), None) is Weight.UNKNOWN
