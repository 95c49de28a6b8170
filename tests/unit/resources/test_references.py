"""Findings between resources."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from telarchy.errors import Problem
from telarchy.resources import check, load_paths, load_text
from telarchy.resources.meta import API_VERSION

STORY = Path(__file__).with_name("story.yaml")


def manifest(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def host(name: str, **spec: Any) -> dict[str, Any]:
    labels = spec.pop("labels", {})
    full = {
        "class": "Server",
        "alwaysOn": True,
        "connection": {"ssh": {"endpoints": [f"media@{name}"]}},
        "mediaRoots": [{"name": "main", "path": "/srv/media"}],
        **spec,
    }
    return manifest("Host", name, full, labels=labels)


def floor(name: str = "twice", paths: list[str] | None = None, **spec: Any) -> dict[str, Any]:
    select = {"paths": paths or ["tv/*/*"], **({"exclude": spec.pop("exclude")} if "exclude" in spec else {})}
    return manifest("CustodyFloor", name, {"select": select, **spec})


def found(*manifests: dict[str, Any], now: datetime | None = None) -> list[Problem]:
    loaded = load_text(yaml.safe_dump_all(manifests, sort_keys=False), "fleet.yaml")
    assert loaded.problems == []
    return check(loaded, now)


def said(*manifests: dict[str, Any]) -> list[str]:
    return [f"{'warning: ' if one.severity == 'warning' else ''}{one.message}" for one in found(*manifests)]


def test_the_story_has_no_findings() -> None:
    assert check(load_paths([STORY])) == []


def test_declared_twice_names_both_files(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(host("black"), sort_keys=False))
    (problem,) = check(load_paths([tmp_path]))
    assert problem.rule == "declared-twice"
    assert problem.file == str(tmp_path / "b.yaml")
    assert problem.line == 4
    assert f"the other is {tmp_path / 'a.yaml'}:4" in problem.message


def test_the_same_name_in_two_namespaces_is_two_things() -> None:
    other = host("black")
    other["metadata"]["namespace"] = "cabin"
    assert said(host("black"), other) == []


def test_one_fleet_per_namespace() -> None:
    assert said(manifest("Fleet", "a", {}), manifest("Fleet", "b", {})) == [
        "a namespace has one Fleet, and default already has fleet/a (fleet.yaml:4)"
    ]


def test_unknown_hosts() -> None:
    rules = {"required": {"names": ["blakc", "plum"]}, "preferred": {"names": ["gone"]}}
    problems = found(host("black"), host("plum"), floor(copies=1, hosts=rules))
    assert [(p.severity, p.message) for p in problems if p.rule == "unknown-host"] == [
        ("error", "no Host is named blakc; did you mean `black`?"),
        ("warning", "no Host is named gone"),
    ]


def test_without_any_host_only_that_is_said() -> None:
    (problem,) = found(floor(copies=9, hosts={"required": {"names": ["x"]}}))
    assert (problem.severity, problem.rule) == ("warning", "no-hosts")


@pytest.mark.parametrize(
    ("hosts", "spec", "sentence"),
    [
        (
            [host("a")],
            {"copies": 2},
            "asks for 2 copies on different failure domains, and only a can hold one",
        ),
        ([host("a"), host("b", failureDomain="a")], {"copies": 2}, "and a, b are 1 failure domain"),
        ([host("a"), host("b", **{"class": "Consumer"})], {"copies": 2}, "only a can hold one"),
        ([host("a"), host("b", mediaRoots=[])], {"copies": 2}, "only a can hold one"),
        ([host("a"), host("b", drain=True)], {"copies": 2}, "only a can hold one"),
        (
            [host("a"), host("b")],
            {"copies": 2, "hosts": {"excluded": {"names": ["a"]}}},
            "only b can hold one",
        ),
        (
            [host("a", labels={"site": "x"}), host("b")],
            {"copies": 2, "hosts": {"required": {"matchLabels": {"site": "x"}}}},
            "only a can hold one",
        ),
        (
            [host("a"), host("b")],
            {"copies": 1, "hosts": {"required": {"matchLabels": {"site": "x"}}}},
            "no host can",
        ),
        (
            [host("a", alwaysOn=False), host("b", alwaysOn=False)],
            {},
            "1 copy on always-on hosts, and no host can",
        ),
        (
            [host("a"), host("b", alwaysOn=False)],
            {"alwaysOn": 2},
            "2 copies on always-on hosts, and only a can",
        ),
    ],
)
def test_a_floor_that_no_host_can_meet(hosts: list[Any], spec: dict[str, Any], sentence: str) -> None:
    (problem,) = (one for one in found(*hosts, floor(**spec)) if one.rule == "floor-unmeetable")
    assert sentence in problem.message
    assert problem.severity == "error"


def test_a_fleets_default_counts_and_an_observer_is_only_warned() -> None:
    fleet = manifest("Fleet", "home", {"custody": {"copies": 3}})
    (problem,) = found(fleet, host("a"), host("b"), floor(mode="Observe"))
    assert (problem.severity, problem.rule) == ("warning", "floor-unmeetable")


def test_cordoned_and_absent_hosts_count() -> None:
    away = {"until": "2030-01-01T00:00:00Z"}
    assert said(host("a", cordon=True), host("b", maintenance=away), floor(copies=2)) == []


def test_naming_a_host_that_holds_nothing() -> None:
    phone = host("phone", **{"class": "Consumer"})
    assert said(host("a"), host("b"), phone, floor(hosts={"preferred": {"names": ["phone"]}})) == [
        "warning: phone is a Consumer, which never holds copies"
    ]


def test_media_roots_in_one_place() -> None:
    roots = [
        {"name": "a", "path": "/srv/media"},
        {"name": "b", "path": "/srv/media/tv"},
        {"name": "c", "path": "/srv/media-2"},
        {"name": "d", "path": "/srv/media"},
    ]
    problems = found(host("black", mediaRoots=roots))
    assert [(p.rule, p.message) for p in problems] == [
        (
            "media-roots-overlap",
            "/srv/media/tv is inside this host's media root `d` (/srv/media): one file would count twice",
        ),
        (
            "media-roots-overlap",
            "/srv/media is the same folder as this host's media root `a` (/srv/media): one file would count twice",
        ),
    ]


def test_local_hosts_share_one_file_system() -> None:
    one = host("one", connection={"local": {}})
    two = host("two", connection={"local": {}}, mediaRoots=[{"name": "x", "path": "/srv/media/x"}])
    assert said(one, two) == [
        "/srv/media/x is inside one's media root `main` (/srv/media): one file would count twice"
    ]
    assert said(host("one"), host("two")) == []


def test_one_endpoint_of_two_hosts() -> None:
    connection = {"ssh": {"endpoints": ["other@BLACK:22"]}}
    assert said(host("black"), host("plum", connection=connection)) == [
        "warning: other@BLACK:22 is also an endpoint of host/black; are they one machine?"
    ]


def test_titles_inside_titles() -> None:
    hosts = [host("a"), host("b")]
    assert said(*hosts, floor("shows", ["tv/*"]), floor("seasons", ["tv/*/*", "films/*"])) == [
        "warning: titles of `tv/*/*` may lie inside titles of custodyfloor/shows's `tv/*`; exclude them there, or "
        "select at one depth"
    ]
    assert said(*hosts, floor("shows", ["tv/*"], exclude=["tv/Kids"]), floor("kids", ["tv/Kids/*"])) == []
    assert said(*hosts, floor("one", ["tv/*"]), floor("two", ["tv/A*"])) == []


def test_selected_and_excluded() -> None:
    hosts = [host("a"), host("b")]
    assert said(*hosts, floor(paths=["tv/*", "films/*"], exclude=["tv", "films/*/extras"])) == [
        "`tv/*` is selected, and excluded by `tv`: it selects nothing",
        "warning: `films/*/extras` is deeper than any title selected, so it excludes nothing",
    ]


def test_time() -> None:
    over = host("black", maintenance={"until": "2026-11-20T12:00:00Z"})
    assert said(over) == []
    (problem,) = found(over, now=datetime(2026, 11, 21, tzinfo=UTC))
    assert (problem.severity, problem.rule) == ("warning", "maintenance-over")


def test_unknown_time_zone() -> None:
    window = {"start": "01:00", "end": "02:00", "timeZone": "Europe/Brusels"}
    assert said(manifest("Fleet", "home", {"transfers": {"windows": [window]}})) == [
        "the time zone Europe/Brusels is not known; did you mean `Europe/Brussels`?"
    ]


BROKEN = {
    "a value that is refused": yaml.safe_dump(host("black", bananas=1)),
    "a key given twice": yaml.safe_dump(host("black")).replace("  class:", "  class: Server\n  class:"),
    "text that is no YAML": "kind: Host\nmetadata: {name: black\n",
    "bytes that are no text": b"metadata: {name: black} # \xff",
    "a kind that is misspelt": yaml.safe_dump(host("black")).replace("kind: Host", "kind: Hosst"),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("others", [(), (host("white"),)], ids=["alone", "beside another"])
def test_what_cannot_be_read_is_not_called_missing(tmp_path: Path, text: str | bytes, others: Any) -> None:
    """One fault, one complaint: who declared a host with a typo is not told that nobody declared it."""
    (tmp_path / "black.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    wanted = floor(copies=1, alwaysOn=1, hosts={"required": {"names": ["black"]}})
    endpoint = manifest("MediaEndpoint", "edge", {"role": "Origin", "hostRef": "black"})
    rest = yaml.safe_dump_all([*others, wanted, floor("thrice", ["films/*"], copies=3), endpoint])
    (tmp_path / "rest.yaml").write_text(rest)
    loaded = load_paths([tmp_path])
    assert {problem.file for problem in loaded.errors} == {str(tmp_path / "black.yaml")}
    assert [str(problem) for problem in check(loaded)] == []


def test_what_is_missing_beside_a_broken_manifest_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "black.yaml").write_text(BROKEN["a value that is refused"])
    wanted = floor(hosts={"required": {"names": ["blue"]}})
    (tmp_path / "rest.yaml").write_text(yaml.safe_dump_all([host("white"), wanted]))
    assert [problem.rule for problem in check(load_paths([tmp_path]))] == ["unknown-host"]
