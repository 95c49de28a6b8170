"""A host with b3sum reads again by that alone; SHA-256 stays what a title is, and alone calls it damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telarchy.custody import shell
from telarchy.custody.digests import Reading, judge, parse_readings
from telarchy.custody.manifest import FileSeen
from telarchy.links import jobs
from tests.unit.custody.fleet import LocalFleet
from tests.unit.custody.test_act_care import TITLE, rot
from tests.unit.custody.test_act_copy import path_without
from tests.unit.custody.test_scan import HOSTILE, without_gnu
from tests.unit.custody.volumes import Volume

B3SUM = shutil.which("b3sum")
LARGE = 70 << 20  # more than is read by two tools one after the other
GOOD = b"good"

needs_b3sum = pytest.mark.skipif(B3SUM is None, reason="b3sum is not installed")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def blake3(data: bytes) -> str:
    assert B3SUM
    done = subprocess.run([B3SUM, "--no-names"], input=data, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "media")


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[LocalFleet]:
    fleet = LocalFleet(tmp_path / "fleet", "a")
    yield fleet
    await fleet.custody.close()


class Tools:
    """Stand-ins in front of the real tools, and what they were asked for."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.log = folder, folder / "log"
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(self, name: str, text: str) -> None:
        """A program. In its text, `real` is the one that it stands for."""
        real = shutil.which(name, path=os.environ["PATH"].split(":", 1)[1]) or "false"
        log = f"echo {name} $(printf '%s ' \"$@\" | tr '\\n' '?') >>{self.log}"
        lines = f'#!/bin/sh\nset -f\n{log}\nreal() {{ {real} "$@"; }}\n{text}\n'
        (self.folder / name).write_text(lines)
        (self.folder / name).chmod(0o755)

    def watch(self, *names: str) -> None:
        for name in names:
            self.put(name, 'real "$@"')

    def calls(self) -> list[str]:
        """The names of the tools that were given something to read, in order."""
        lines = self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line for line in lines if not line.endswith("/dev/null")]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(tmp_path / "bin", monkeypatch)


NO_SHA = 'case $* in *" /dev/null") real "$@" ;; *) exit 1 ;; esac'
"""A tool that is there, and reads nothing."""

ANSWERS = 'case $* in *" -- ./"*) for one; do [ -e "$one" ] && echo %s; done ;; *) real "$@" ;; esac'
"""A b3sum that works when it is tried, and then says the same of every file."""


def without_sha256(tools: Tools) -> None:
    for name in ("openssl", "sha256sum", "shasum", "sha256"):
        tools.put(name, NO_SHA)


async def verified(fleet: LocalFleet) -> tuple[FileSeen, ...]:
    await fleet.act(fleet.verify(TITLE))
    return fleet.manifest("a", TITLE)


# --- the scenario ------------------------------------------------------------------------------------------------


@needs_b3sum
async def test_a_library_is_read_by_both_once_and_then_by_b3sum_alone(
    fleet: LocalFleet, tools: Tools
) -> None:
    contents = {shell.text(name): name * 3 for name in HOSTILE} | {"empty": b"", "large": os.urandom(LARGE)}
    for name, data in contents.items():
        fleet.volumes["a"].write(f"{TITLE}/{name}", data)
    await fleet.look()
    first = await verified(fleet)
    assert {one.path: (one.sha256, one.blake3) for one in first} == {
        name: (sha256(data), blake3(data)) for name, data in contents.items()
    }

    without_sha256(tools)
    tools.watch("b3sum")
    second = await verified(fleet)
    assert [one._replace(verified_at=0) for one in second] == [one._replace(verified_at=0) for one in first]
    assert min(one.verified_at for one in second) > max(one.verified_at for one in first)
    calls = tools.calls()
    assert calls and {call.split()[0] for call in calls} == {"b3sum"}
    assert all("--num-threads 1" in call for call in calls)  # the cores are for whoever watches something
    assert list((fleet.volumes["a"].own / "jobs").iterdir()) == []


@needs_b3sum
@pytest.mark.parametrize("size", [4, LARGE])
async def test_a_rotten_byte_is_found_and_named_by_sha256(fleet: LocalFleet, size: int) -> None:
    data = {"e1": os.urandom(size), "e2": os.urandom(size)}
    for name, content in data.items():
        fleet.volumes["a"].write(f"{TITLE}/{name}", content)
    await fleet.look()
    await verified(fleet)
    path = fleet.volumes["a"].path / TITLE / "e1"
    rot(path, data["e1"][:-1] + bytes([data["e1"][-1] ^ 1]))
    e1, e2 = await verified(fleet)
    assert e1.damaged and e1.sha256 == sha256(data["e1"]) and not e2.damaged
    rot(path, data["e1"])
    e1, _ = await verified(fleet)
    assert not e1.damaged and e1.blake3 == blake3(data["e1"])


@needs_b3sum
@pytest.mark.parametrize("size", [4, LARGE])
async def test_a_b3sum_that_errs_condemns_nothing(fleet: LocalFleet, tools: Tools, size: int) -> None:
    data = os.urandom(size)
    for name in ("e1", "e2"):
        fleet.volumes["a"].write(f"{TITLE}/{name}", data)
    await fleet.look()
    first = await verified(fleet)
    tools.put("b3sum", ANSWERS % ("f" * 64))
    tools.watch("openssl", "sha256sum")
    second = await verified(fleet)
    assert any("f" * 64 not in call and "b3sum" in call for call in tools.calls())
    for before, after in zip(first, second, strict=True):
        assert not after.damaged and after.sha256 == before.sha256 and after.verified_at > before.verified_at
    # And what it said then proves nothing to one that is right again.
    tools.watch("b3sum")
    third = await verified(fleet)
    assert [one.blake3 for one in third] == [blake3(data)] * 2 and not any(one.damaged for one in third)


@needs_b3sum
@pytest.mark.parametrize(
    "program",
    [
        "exit 1",
        f"echo {'e' * 64}",
        f'case $* in *" -- "*) echo {"e" * 64} ;; *) real "$@" ;; esac',
        'case $* in *--num-threads*) exit 2 ;; esac; real "$@"',
    ],
    ids=["broken", "constant", "constant for files", "another program"],
)
async def test_a_b3sum_that_does_not_work_is_not_used(fleet: LocalFleet, tools: Tools, program: str) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", GOOD)
    await fleet.look()
    first = await verified(fleet)
    tools.put("b3sum", program)
    tools.watch("openssl", "sha256sum")
    rot(fleet.volumes["a"].path / TITLE / "e1", b"evil")
    assert (await verified(fleet))[0].damaged
    rot(fleet.volumes["a"].path / TITLE / "e1", GOOD)
    [one] = await verified(fleet)
    assert not one.damaged and one.blake3 == first[0].blake3
    assert [call for call in tools.calls() if not call.startswith("b3sum")]


async def test_without_b3sum_nothing_is_different(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", GOOD)
    fleet.volumes["a"].write(f"{TITLE}/e2", b"fine")
    await fleet.look()
    known, at = "d" * 64, time.time() - 9
    fleet.catalogue.record_digests(fleet.volumes["a"].id, TITLE, {"e1": sha256(GOOD)}, (), at, {"e1": known})
    monkeypatch.setenv("PATH", path_without(tmp_path, "b3sum"))
    e1, e2 = await verified(fleet)
    assert (e1.sha256, e1.blake3) == (sha256(GOOD), known) and e1.verified_at > at + 5
    assert (e2.sha256, e2.blake3) == (sha256(b"fine"), "")
    rot(fleet.volumes["a"].path / TITLE / "e1", b"evil")
    assert (await verified(fleet))[0].damaged


@needs_b3sum
async def test_a_touched_file_is_proven_by_its_bytes(fleet: LocalFleet, tools: Tools) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", GOOD)
    await fleet.look()
    await verified(fleet)
    fleet.volumes["a"].write(f"{TITLE}/e1", GOOD, mtime=1_750_000_000)
    await fleet.look()
    assert fleet.manifest("a", TITLE)[0].verified_at == 0
    without_sha256(tools)
    [one] = await verified(fleet)
    assert not one.damaged and one.sha256 == sha256(GOOD) and one.verified_at


@needs_b3sum
async def test_what_another_size_has_is_read_anew_by_both(fleet: LocalFleet) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", GOOD)
    await fleet.look()
    await verified(fleet)
    fleet.volumes["a"].write(f"{TITLE}/e1", b"better")
    await fleet.look()
    [one] = fleet.manifest("a", TITLE)
    assert one.sha256 == one.blake3 == ""
    [one] = await verified(fleet)
    assert (one.sha256, one.blake3) == (sha256(b"better"), blake3(b"better"))


# --- a reading that was cut off -----------------------------------------------------------------------------------


@needs_b3sum
@pytest.mark.parametrize("proves", [True, False])
async def test_what_was_read_by_b3sum_alone_is_taken_over_while_it_proves_something(
    fleet: LocalFleet, proves: bool
) -> None:
    fleet.volumes["a"].write(f"{TITLE}/e1", GOOD)
    await fleet.look()
    await verified(fleet)
    action = fleet.verify(TITLE)
    folder = Path(jobs.job_folder(fleet.volumes["a"].root, action.id))
    folder.mkdir(parents=True)
    begun = time.time() - 3600
    (folder / "spec.json").write_text(json.dumps({"verb": "Verify", "title": TITLE, "begun": begun}))
    seen = "4 1700000000.123456789"
    read = blake3(GOOD) if proves else "c" * 64
    (folder / "out").write_text(f"d -:{read} {seen} {seen} {TITLE}/e1//\n")
    await fleet.act(action)
    [one] = fleet.manifest("a", TITLE)
    assert not one.damaged and one.sha256 == sha256(GOOD)
    assert (abs(one.verified_at - begun) < 1) is proves


def test_records_with_and_without_blake3_are_read() -> None:
    a, b, seen = "a" * 64, "b" * 64, "4 1.5"
    found = parse_readings(
        b"".join(
            f"d {sums} {seen} {after} ./{path}//\n".encode()
            for path, sums, after in (
                ("old", a, seen),
                ("both", f"{a}:{b}", seen),
                ("alone", f"-:{b}", seen),
                ("unread", "-", seen),
                ("moved", f"{a}:{b}", "4 2.5"),
                ("moved alone", f"-:{b}", "5 1.5"),
            )
        )
    )
    assert {path: (one.sha256, one.blake3) for path, one in found.items()} == {
        "old": (a, ""),
        "both": (a, b),
        "alone": ("", b),
        "unread": ("", ""),
        "moved": ("", ""),
        "moved alone": ("", ""),
    }


def test_blake3_alone_proves_and_never_condemns() -> None:
    a, b, other = "a" * 64, "b" * 64, "c" * 64
    one = FileSeen("e1", 4, 1, a, 5.0, blake3=b)
    cases = {
        "equal": (one, Reading("", 4, 1, b)),
        "of another time": (one, Reading("", 4, 2, b)),
        "different": (one, Reading("", 4, 1, other)),
        "of another size": (one, Reading("", 5, 1, b)),
        "never read by both": (one._replace(blake3=""), Reading("", 4, 1, b)),
        "both": (one, Reading(a, 4, 1, other)),
        "damaged": (one, Reading(other, 4, 1, b)),
    }
    found = {name: judge("t", (known,), {"t/e1": reading}) for name, (known, reading) in cases.items()}
    assert [name for name, verdict in found.items() if verdict.good == {"e1": a}] == [
        "equal",
        "of another time",
        "both",
    ]
    assert found["both"].blake3 == {"e1": other}
    assert [name for name, verdict in found.items() if verdict.damaged] == ["damaged"]
    assert [name for name, verdict in found.items() if verdict.changed] == [
        "different",
        "of another size",
        "never read by both",
    ]


# --- batch.sh ------------------------------------------------------------------------------------------------------


async def batch(volume: Volume, verb: str, *words: bytes, **env: str) -> dict[bytes, bytes]:
    """Digests by path, as they stand in the records."""
    argv = ["sh", "-c", shell.script("batch"), "batch", verb, "."]
    told = [f"{key}={value}" for key, value in env.items()]
    done = await volume.link.run(
        ["env", "-C", volume.root, *told, "xargs", "-0", "-n", "100", *argv],
        stdin=b"".join(word + b"\0" for word in words),
    )
    assert done.ok, done.stderr
    rows = [row.split(b" ", 6) for row in done.stdout.split(b"//\n")[:-1]]
    return {row[6].removeprefix(b"./"): row[1] for row in rows}


def pipe_in(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return str(folder / "pipe")


@needs_b3sum
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("userland", ["openssl", "coreutils", "simple"])
async def test_both_and_same_take_hostile_names(
    volume: Volume, tmp_path: Path, tools: Tools, userland: str, large: bool
) -> None:
    env = {"TELARCHY_BLAKE3": "b3sum", "TELARCHY_PIPE": pipe_in(tmp_path), "PATH": os.environ["PATH"]}
    if userland == "coreutils":
        tools.put("openssl", "exit 1")
    if userland == "simple":
        env["PATH"] = without_gnu(tmp_path, bsd_stat=True)
    for name in HOSTILE:
        volume.write(name, name * 3)
    expected = {name: f"{sha256(name * 3)}:{blake3(name * 3)}".encode() for name in HOSTILE}
    if large:  # then each is read by itself
        (volume.path / "film").touch()
        os.truncate(volume.path / "film", LARGE)
        expected[b"film"] = f"{sha256(bytes(LARGE))}:{blake3(bytes(LARGE))}".encode()
    assert await batch(volume, "both", *(b"./" + name for name in expected), **env) == expected
    known = [word for name, sums in expected.items() for word in (sums[65:], b"./" + name)]
    assert await batch(volume, "same", *known, **env) == {n: b"-" + sums[64:] for n, sums in expected.items()}
    # Without b3sum both are a plain digest.
    env["TELARCHY_BLAKE3"] = ""
    assert await batch(volume, "same", *known, **env) == {n: sums[:64] for n, sums in expected.items()}
    assert await batch(volume, "both", *known[1::2], **env) == {n: sums[:64] for n, sums in expected.items()}


@needs_b3sum
@pytest.mark.parametrize("verb", ["both", "same"])
async def test_what_cannot_be_read_does_not_shift_the_others(
    volume: Volume, tmp_path: Path, verb: str
) -> None:
    for name in (b"a", b"b", b"c"):
        volume.write(name, name)
    words: list[bytes] = []
    for name in (b"a", b"gone", b"b", b"c"):
        words += [*([blake3(name).encode()] if verb == "same" else ()), b"./" + name]
    found = await batch(volume, verb, *words, TELARCHY_BLAKE3="b3sum", TELARCHY_PIPE=pipe_in(tmp_path))
    assert found == {
        b"gone": b"-",
        **{name: f"{sha256(name)}:{blake3(name)}".encode() for name in (b"a", b"b", b"c")},
    }


@needs_b3sum
async def test_a_large_file_is_read_once_for_both(volume: Volume, tmp_path: Path, tools: Tools) -> None:
    volume.write("film", os.urandom(LARGE))
    tools.watch("openssl", "sha256sum", "b3sum", "tee")
    await batch(volume, "both", b"./film", TELARCHY_BLAKE3="b3sum", TELARCHY_PIPE=pipe_in(tmp_path))
    calls = tools.calls()
    assert len(calls) == 3 and not [call for call in calls if "film" in call], (
        "all but tee read what tee read"
    )


@needs_b3sum
@pytest.mark.parametrize("tool", ["b3sum", "tee", "openssl"])
@pytest.mark.parametrize("program", ["exit 1", "head -c 100000 >/dev/null; exit 1"])
async def test_half_a_reading_is_no_reading(
    volume: Volume, tmp_path: Path, tools: Tools, tool: str, program: str
) -> None:
    data = os.urandom(LARGE)
    volume.write("film", data)
    # Of openssl only what reads from a pipe: what is then asked about the file itself is answered.
    tools.put(tool, f'case $* in *" ./film" | *" /dev/null") real "$@" ;; *) {program} ;; esac')
    found = await batch(volume, "both", b"./film", TELARCHY_BLAKE3="b3sum", TELARCHY_PIPE=pipe_in(tmp_path))
    assert found == {b"film": sha256(data).encode()}


@needs_b3sum
async def test_an_unreadable_file_keeps_nobody_waiting(volume: Volume, tmp_path: Path) -> None:
    volume.write("film", b"x")
    os.truncate(volume.path / "film", LARGE)
    (volume.path / "folder").mkdir()
    found = await batch(
        volume,
        "both",
        b"./film",
        b"./gone",
        b"./folder",
        TELARCHY_BLAKE3="b3sum",
        TELARCHY_PIPE=pipe_in(tmp_path),
    )
    assert found[b"gone"] == found[b"folder"] == b"-" and len(found[b"film"]) == 129


@needs_b3sum
@pytest.mark.parametrize("anywhere", [True, False])
async def test_a_file_system_without_pipes(
    fleet: LocalFleet, tools: Tools, tmp_path: Path, anywhere: bool
) -> None:
    data = os.urandom(LARGE)
    fleet.volumes["a"].write(f"{TITLE}/e1", data)
    fleet.volumes["a"].write(f"{TITLE}/e2", GOOD)
    refused = f"*{fleet.volumes['a'].root}*" if anywhere else "*"
    tools.put("mkfifo", f'case $* in {refused}) exit 1 ;; esac; real "$@"')
    spare = tmp_path / "spare"
    spare.mkdir()
    tools.put("mktemp", f'TMPDIR={spare} real "$@"')
    await fleet.look()
    e1, e2 = await verified(fleet)
    assert e1.sha256 == sha256(data) and e1.blake3 == (blake3(data) if anywhere else "")
    assert (e2.sha256, e2.blake3) == (sha256(GOOD), blake3(GOOD))
    assert list(spare.iterdir()) == []
