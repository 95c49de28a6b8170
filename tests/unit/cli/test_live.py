"""The live view fits into every terminal, and shows the worst first where there is no room for all."""

import io

import pytest
from rich.console import Console

from telarchy.cli.live import draw, share
from telarchy.core.observation import Observation, Progress, Running
from telarchy.core.plan import Event, Hold, Plan, Step
from telarchy.resources.loader import load_text
from telarchy.runtime.snapshot import snapshot
from telarchy.store import Store
from telarchy.web.answers import SNAPSHOT, Answers
from tests.unit.runtime.toyroom import Place

HOST = """\
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {{name: host-{number}}}
spec: {{class: Server, connection: {{local: {{}}}}, mediaRoots: [{{name: main, path: /srv/{number}}}]}}
---
"""


def answers(store, hosts, transfers, events):
    resources = [
        one.resource for one in load_text("".join(HOST.format(number=n) for n in range(hosts)), "-").resources
    ]
    store.objects.apply(resources, 0)
    states = {
        one.ref: {"state": "Down" if index == hosts - 1 else "Up"} for index, one in enumerate(resources)
    }
    store.statuses.write(states)
    title = "tv/A Show With Quite a Long Name, Really/Season 01"
    steps = [Step(Place(host=f"host-{n}", title=title, bytes=100)) for n in range(transfers)]
    running = {
        step.action.id: Running(step.action, Progress("copying", 40, 100, 5e6, 61.0)) for step in steps
    }
    plan = Plan(tuple(steps), holds=(Hold("many", "trim 30 titles", ("x",)),), wake_at=1e12)
    store.memory.put(SNAPSHOT, snapshot(plan, Observation(running=running), at=0))
    store.events.record(
        [Event(resources[0].ref, "Seen", f"event number {n} " + "x" * 200) for n in range(events)]
    )
    return Answers(store)


def frame(found, columns, lines):
    console = Console(file=io.StringIO(), width=columns, height=lines, force_terminal=True, color_system=None)
    console.print(draw(found, source="/srv/fleet", namespace="default", size=(columns, lines)), end="")
    return [line.rstrip() for line in console.file.getvalue().rstrip("\n").splitlines()]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16), (200, 60)])
@pytest.mark.parametrize("amounts", [(0, 0, 0), (3, 2, 5), (40, 30, 90)])
def test_fits_into_the_terminal(tmp_path, size, amounts):
    with Store.open(tmp_path) as store:
        lines = frame(answers(store, *amounts) if amounts[0] else Answers(store), *size)
    assert len(lines) == size[1]
    assert max(map(len, lines)) <= size[0]
    assert "Ctrl-C ends" in lines[-1] or "held" in lines[-1]
    for part in ("HOSTS", "FLOORS", "RUNNING", "EVENTS"):
        assert any(line.lstrip().startswith(part) for line in lines)


def test_the_worst_host_comes_first_and_the_newest_event_last(tmp_path):
    with Store.open(tmp_path) as store:
        lines = frame(answers(store, 40, 30, 90), 80, 24)
    hosts = lines.index(next(line for line in lines if line.startswith("HOSTS")))
    assert lines[hosts + 1].startswith("host-39")
    assert "more hosts" in "\n".join(lines)
    assert "event number 89" in lines[-2]


def test_a_transfer_keeps_both_ends_of_its_title_and_its_way(tmp_path):
    with Store.open(tmp_path) as store:
        lines = frame(answers(store, 3, 1, 1), 80, 24)
    (line,) = [line for line in lines if "→" in line]
    assert "Season 01  box → host-0" in line
    assert line.endswith("40 %  4.8 MiB/s  1m01s")


def test_room_is_shared_fairly():
    assert share(10, [100, 1, 0, 100]) == [5, 1, 0, 4]
    assert share(2, [5, 5, 5, 5]) == [1, 1, 1, 1]
    assert share(50, [1, 2, 3, 4]) == [1, 2, 3, 4]


STREAM = """\
apiVersion: telarchy.dev/v1alpha1
kind: Stream
metadata: {{name: stream-{number}}}
spec: {{ingest: {{test: {{}}}}}}
---
"""


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16)])
def test_streams_have_a_part_where_there_are_some_and_those_in_trouble_come_first(tmp_path, size):
    with Store.open(tmp_path) as store:
        text = HOST.format(number=0) + "".join(STREAM.format(number=n) for n in range(9))
        resources = [one.resource for one in load_text(text, "-").resources]
        store.objects.apply(resources, 0)
        streams = [one.ref for one in resources if one.kind == "Stream"]
        live = {ref: {"phase": "Live", "source": "Present", "viewers": 7} for ref in streams}
        live[streams[-1]] = {
            "phase": "Failed",
            "conditions": [{"type": "Ready", "status": "False", "message": "no nginx there"}],
        }
        store.statuses.write(live)
        lines = frame(Answers(store), *size)
    assert len(lines) == size[1]
    assert max(map(len, lines)) <= size[0]
    assert not any(line.startswith("FLOORS") for line in lines)
    at = lines.index(next(line for line in lines if line.startswith("STREAMS")))
    assert lines[at + 1].startswith("stream-8") and "Failed" in lines[at + 1]
    assert "no nginx" in lines[at + 1] or size[0] < 80
