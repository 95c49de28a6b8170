"""The figures of a fleet as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from telarchy.streaming.evidence import Carried, EndpointSeen, StreamingSeen, StreamSeen
from telarchy.web.metrics import FleetFigures, metrics_text
from telarchy.web.streamfigures import figures_of, streaming
from tests.unit.core.test_loop import Room, loop_of, turn
from tests.world import fleet, floor


async def test_a_loop_in_figures() -> None:
    loop, _ = loop_of(Room("wood", ["w"]))
    await turn(loop, 3)
    statuses = {
        fleet().ref: {"brake": {"engaged": True}, "conditions": [{"type": "Ready", "status": "False"}]},
        floor().ref: {"bytesToMove": 1 << 40},
    }
    loop.world = loop.world.from_resources([fleet(), floor()])
    text = metrics_text(lambda: [FleetFigures("home", loop, statuses.get)]).decode()
    found = {
        (
            sample.name,
            *sorted((key, value) for key, value in sample.labels.items() if key != "namespace"),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["telarchy_brake_engaged",] == 1
    assert found["telarchy_bytes_to_move", ("floor", "all")] == 1 << 40
    assert found["telarchy_departing",] == 0
    assert found["telarchy_rounds_total",] == 3
    assert found["telarchy_round_seconds_count",] == 3
    assert found["telarchy_round_seconds_bucket", ("le", "+Inf")] == 3
    assert 0 < found["telarchy_round_seconds_sum",] < 3
    assert found["telarchy_actions_total", ("outcome", "Done"), ("verb", "Work")] >= 1


async def test_a_fleet_that_another_replica_acts_on_has_no_loop_to_tell_of() -> None:
    text = metrics_text(
        lambda: [FleetFigures("home", None, lambda ref: None, gauges={"leading": 0.0})],
        {"list_age_seconds": 1.0},
    ).decode()
    assert 'telarchy_leading{namespace="home"} 0.0' in text and "telarchy_list_age_seconds 1.0" in text
    assert "telarchy_rounds_total{" not in text


def test_what_endpoints_carried_is_told_in_counters() -> None:
    stream = StreamSeen("garden", hits=1, misses=0, carried=Carried(hits=90, misses=9, failures=2, sent=5000))
    seen = StreamingSeen(endpoints={"edge": EndpointSeen("edge", 0.0, streams={"garden": stream})})
    figures = figures_of("home", seen, 1.0, [])
    assert figures is not None
    found = {
        (sample.name, sample.labels.get("result", "")): (family.type, sample.value)
        for family in streaming([figures])
        for sample in family.samples
    }
    assert found["telarchy_stream_cache_requests_total", "hit"] == ("counter", 90)
    assert found["telarchy_stream_cache_requests_total", "miss"] == ("counter", 9)
    assert found["telarchy_stream_source_failures_total", ""] == ("counter", 2)
    assert found["telarchy_stream_sent_bytes_total", ""] == ("counter", 5000)
