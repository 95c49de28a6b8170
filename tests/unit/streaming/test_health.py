"""How a stream stands: how long nothing may come of an encoder, and what is said of one that is too slow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.streaming.evidence import PlaylistSeen, ServiceSeen, ServiceState, StreamSeen
from telarchy.streaming.health import Finding, Limits, StreamState, judge

NOW = 1_800_000_000.0
GENERATION = "g1-0f3a9c21"
LIMITS = Limits()
MAKER = ServiceSeen("ladder-garden", ServiceState.RUNNING, starts=9, since=NOW - 2)
SEEN = StreamSeen("garden", GENERATION, (GENERATION,), publisher="garden-obs")


def playlist(changed: float) -> PlaylistSeen:
    return PlaylistSeen("720p", 10, 15, 2.0, edge=NOW - 2, changed=changed)


def found(seen: StreamSeen, maker: ServiceSeen = MAKER, now: float = NOW) -> Finding:
    return judge(seen, maker, LIMITS, now, renditions=["720p"], generation=GENERATION)


def test_what_is_started_again_and_again_is_not_starting_for_ever() -> None:
    complaint = "no new segments for 15 s: the encoder is started again"
    for beat in range(40):  # every 15 s a new process
        maker = replace(MAKER, since=NOW + 15 * beat, starts=1 + beat, complaint=complaint)
        state = found(replace(SEEN, awaited=NOW), maker, NOW + 15 * beat + 2)
        if beat == 0:
            assert (state.state, state.changes_at) == (StreamState.STARTING, NOW + LIMITS.grace)
        else:
            assert state.state is StreamState.STALE
            assert "no playlist of 720p" in state.why and complaint in state.why


def test_what_was_live_and_is_started_again_and_again_is_stale() -> None:
    seen = replace(SEEN, playlists={"720p": playlist(NOW - 100)}, awaited=NOW - 90)
    assert found(seen).state is StreamState.STALE
    once = replace(seen, awaited=NOW - 2)  # the publisher has just come back
    assert found(once).state is StreamState.DEGRADED
    assert found(once, now=NOW + LIMITS.grace).state is StreamState.STALE


def test_what_viewers_are_refused_is_in_order_once_they_get_it_again() -> None:
    """The playlists go on a moment before the host, which looks once a second, lets anybody at them."""
    plays = replace(SEEN, playlists={"720p": playlist(NOW - 1)})
    refused = found(replace(plays, refused=True))
    assert refused.state is StreamState.STALE and "let in again" in refused.why
    assert found(plays).state is StreamState.HEALTHY


def test_a_generation_that_has_just_begun_is_not_blamed_for_the_one_before() -> None:
    old = replace(SEEN, generation="g0-0f3a9c21", awaited=NOW - 900, lagging=True, speed=0.1)
    assert found(old).state is StreamState.STARTING
    runs = replace(MAKER, since=NOW - 900)  # the encoder of the one before, which is about to be stopped
    told = judge(old, runs, LIMITS, NOW, renditions=["720p"], generation=GENERATION, begun=NOW - 1)
    assert (told.state, told.changes_at) == (StreamState.STARTING, NOW - 1 + LIMITS.grace)


@pytest.mark.parametrize(
    ("speed", "said"),
    [
        (0.42, "it encodes at 0.4× of real time: fewer or smaller renditions, or a faster preset"),
        (0.97, "it encodes at 0.9× of real time: fewer"),
        (0.03, "it encodes at less than 0.1× of real time: fewer"),
        (0.0, "it encodes at less than 0.1× of real time: fewer"),
        (None, "it encodes slower than real time: fewer"),
        (1.02, "was slower a moment ago"),
    ],
)
def test_an_encoder_that_is_too_slow_is_named_in_every_state(speed: float | None, said: str) -> None:
    slow = replace(SEEN, lagging=True, speed=speed, awaited=NOW - 60)
    plays = replace(slow, playlists={"720p": playlist(NOW - 1)}, awaited=None)
    late = replace(slow, playlists={"720p": playlist(NOW - 4)}, awaited=None)
    states = [
        (found(slow), StreamState.STALE),
        (found(plays), StreamState.DEGRADED),
        (found(late), StreamState.DEGRADED),
        (found(replace(plays, slow_since=NOW - 31)), StreamState.OVERLOADED),
        (found(replace(late, slow_since=NOW - 31)), StreamState.OVERLOADED),
        (found(replace(slow, playlists={"720p": playlist(NOW - 90)})), StreamState.STALE),
    ]
    for finding, state in states:
        assert finding.state is state and said in finding.why


def test_while_an_encoder_begins_again_it_is_as_fast_as_it_was() -> None:
    slow = replace(SEEN, lagging=True, speed=None, last_speed=0.42, awaited=NOW - 60)
    assert "at 0.4× of real time" in found(slow).why


def test_a_copy_is_not_told_to_encode_less() -> None:
    relay = replace(MAKER, name="relay-garden")
    plays = replace(SEEN, lagging=True, speed=0.5, playlists={"720p": playlist(NOW - 1)})
    why = judge(plays, relay, LIMITS, NOW, generation=GENERATION).why
    assert "it copies at 0.5×" in why and "rendition" not in why


@given(
    st.lists(st.floats(0.2, 30.0), min_size=1, max_size=60),
    st.booleans(),
    st.sampled_from([ServiceState.RUNNING, ServiceState.BACK_OFF]),
)
def test_nobody_waits_for_longer_than_the_grace(runs: list[float], lived: bool, state: ServiceState) -> None:
    """However often and however shortly an encoder runs: what brings nothing forth is said after the grace."""
    playlists = {"720p": playlist(NOW - 1)} if lived else {}
    seen, now = replace(SEEN, awaited=NOW, playlists=playlists), NOW
    for run in runs:
        maker = replace(MAKER, state=state, since=now)
        now += run
        told = found(seen, maker, now)
        if now - NOW >= LIMITS.grace:
            assert told.state is StreamState.STALE and told.why
        else:
            assert told.state in (StreamState.STARTING, StreamState.HEALTHY, StreamState.DEGRADED)
