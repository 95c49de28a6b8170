"""What a host reports becomes evidence: figures, ages on our clock, rules that playlists break. Nothing breaks it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.core.service import ServiceState
from telarchy.errors import ActionFailed
from telarchy.streaming.evidence import Carried, EndpointSeen, InputSeen, KeyUse, StreamSeen
from telarchy.streaming.report import MOST_STREAMS, Reports
from telarchy.streaming.watch import Elsewhere, watch_argv
from tests.unit.streaming.test_playlist import changed, live, text

NOW = 1_800_000_000.0
HOST = NOW - 50.0  # the host's clock is behind by so much


def framed(*parts: bytes | str) -> bytes:
    body = b"\n".join(one.encode() if isinstance(one, str) else one for one in parts)
    return b"report\t%d\n%s\n" % (len(body), body)


def at(host: float = HOST) -> str:
    return f"at\t{host * 1000:.0f}\t1\t"


def playlist(content: bytes, rendition: str = "720p", written: float | str = "", status: int = 200) -> bytes:
    head = f"playlist\tgarden+g1-0f3a9c21+{rendition}\t{status}\t{written}\t{len(content)}\n"
    return head.encode() + content


STREAM = "stream\tgarden\tg1-0f3a9c21\tkeyed\tgarden-obs\tg1-0f3a9c21,g0-77aa0011\t2048"


def one(reports: Reports, *parts: bytes | str, now: float = NOW) -> EndpointSeen:
    (seen,) = reports.feed(framed(*parts), now)
    return seen


def test_a_report_is_read_as_a_whole_on_our_clock() -> None:
    seen = one(
        Reports("black-origin"),
        at(),
        "service\tladder-garden\tRunning\tab\tcd\t3\t1799999900\t\tall is well",
        "space\t1000\t4000\t1",
        "keys\t00112233445566778899",
        "key\tgarden-obs\t1799999000 refused:expired;1799999950 used",
        STREAM,
        "input\tgarden\tH264\t1280\t720\t30\t1000",
        playlist(text(live()), written=HOST - 1),
    )
    assert (seen.endpoint, seen.reported, seen.present, seen.trouble) == ("black-origin", NOW, True, "")
    service = seen.services["ladder-garden"]
    assert (service.state, service.starts, service.since) == (ServiceState.RUNNING, 3, 1799999950.0)
    assert (seen.free, seen.total, seen.writable) == (1_024_000, 4_096_000, True)
    assert seen.keys_digest == "0011223344556677"
    assert seen.keys == {"garden-obs": KeyUse(1_800_000_000.0, 1_799_999_050.0, "expired")}
    stream = seen.streams["garden"]
    assert (stream.generation, stream.publisher, stream.size) == ("g1-0f3a9c21", "garden-obs", 2048 * 1024)
    assert stream.generations == ("g0-77aa0011", "g1-0f3a9c21")
    assert stream.incoming == InputSeen("h264", 1280, 720, 30.0, 0)
    shown = stream.playlists["720p"]
    assert (shown.first, shown.last, shown.target, shown.changed) == (100, 105, 2.0, NOW - 1)
    assert (shown.edge, shown.problems) == (NOW + 212 + 50, ())


def test_clocks_that_agree_within_a_moment_are_one() -> None:
    seen = one(Reports("o"), at(NOW - 0.1), STREAM, playlist(text(live()), written=NOW - 3))
    assert seen.reported == pytest.approx(NOW - 0.1)
    assert seen.streams["garden"].age == NOW - 3


def test_the_least_delay_counts_and_a_clock_that_was_set_begins_anew() -> None:
    reports = Reports("o")
    assert one(reports, at(HOST), now=NOW + 3).reported == NOW + 3  # it came late, which is not known yet
    assert one(reports, at(HOST + 2), now=NOW + 2).reported == NOW + 2
    assert one(reports, at(HOST + 4), now=NOW + 7).reported == NOW + 4
    assert one(reports, at(HOST - 3600), now=NOW + 8).reported == NOW + 8


def test_reports_may_come_in_any_pieces_and_after_a_greeting() -> None:
    whole = b"Welcome to black!\n" + framed(at(), STREAM, playlist(text(live()))) * 2
    reports, found = Reports("o"), []
    for place in range(len(whole)):
        found += reports.feed(whole[place : place + 1], NOW)
    assert len(found) == 2
    assert found[0].streams["garden"].playlists["720p"].last == 105


def test_what_is_nobodys_knowledge_is_unknown_and_who_is_away_is_away() -> None:
    there = one(Reports("o"), at(), STREAM.replace("garden-obs", "?")).streams["garden"]
    gone = one(Reports("o"), at(), STREAM.replace("garden-obs", "")).streams["garden"]
    assert (there.publisher, gone.publisher) == (None, "")


def test_who_is_refused_and_what_hosts_of_before_say_nothing_of() -> None:
    for further, refused in (("", False), ("\t1799999950", False), ("\t\t", False), ("\t\t1", True)):
        assert one(Reports("o"), at(), STREAM + further).streams["garden"].refused is refused


def test_a_playlist_without_a_time_changed_when_it_was_seen_to() -> None:
    reports = Reports("edge")
    seen = one(reports, at(), playlist(text(live())))
    assert seen.streams["garden"].generation == "g1-0f3a9c21"  # in no spool: what is served is what plays
    for step in (2, 4):
        seen = one(reports, at(HOST + step), playlist(text(live())), now=NOW + step)
    assert seen.streams["garden"].age == NOW
    seen = one(reports, at(HOST + 6), playlist(text(live(101))), now=NOW + 6)
    assert seen.streams["garden"].age == NOW + 6


def test_a_time_that_was_read_too_early_is_made_good() -> None:
    reports = Reports("o")
    one(reports, at(), STREAM, playlist(text(live()), written=HOST - 2))
    seen = one(reports, at(HOST + 1), STREAM, playlist(text(live()), written=HOST - 1), now=NOW + 1)
    assert seen.streams["garden"].age == NOW - 1


def test_broken_rules_are_named_alone_and_against_the_report_before() -> None:
    reports = Reports("o")
    one(reports, at(), STREAM, playlist(text(live())))
    other = changed(live(101), 0, uri="other.m4s")
    seen = one(reports, at(HOST + 2), STREAM, playlist(text(other._replace(ended=True))), now=NOW + 2)
    assert seen.streams["garden"].playlists["720p"].problems == ("ended", "uri-changed")


@pytest.mark.parametrize(
    ("content", "rule"), [(b"", "empty"), (b"<html>", "not-a-playlist"), (b"\xff\x00", "not-text")]
)
def test_what_is_no_playlist_is_there_and_plays_nothing(content: bytes, rule: str) -> None:
    seen = one(Reports("o"), at(), STREAM, playlist(content, written=HOST)).streams["garden"]
    shown = seen.playlists["720p"]
    assert shown.last < shown.first and shown.problems == (rule,)


def test_what_is_not_served_and_another_generation_do_not_count() -> None:
    seen = one(
        Reports("o"),
        at(),
        STREAM.replace("\tg1-0f3a9c21\t", "\tg2-0f3a9c21\t"),
        playlist(text(live())),
        playlist(b"", "360p", status=503),
    )
    assert seen.streams["garden"].playlists == {}


def test_dates_of_a_relay_are_not_believed() -> None:
    seen = one(
        Reports("o"), at(), STREAM.replace("\tkeyed\tgarden-obs", "\trelay\t?"), playlist(text(live()))
    )
    (shown,) = seen.streams["garden"].playlists.values()
    assert (shown.edge, shown.last, seen.streams["garden"].publisher) == (None, 105, None)


def test_rates_are_taken_over_seconds() -> None:
    reports = Reports("o")
    for step in range(12):
        moment = HOST + 2 * step
        seen = one(
            reports,
            at(moment),
            STREAM,
            f"input\tgarden\tH264\t1280\t720\t30\t{1000 + 250_000 * 2 * step}",
            f"traffic\tgarden\t{step}\t500000\t9\t1\t0",
            f"progress\tgarden\t{moment - 0.3}\t{2 * step * 0.8 * 1e6:.0f}\t0.8",
            now=NOW + 2 * step,
        )
    stream = seen.streams["garden"]
    assert stream.incoming is not None and stream.incoming.bitrate == pytest.approx(2_000_000)
    assert stream.egress == pytest.approx(2_000_000)
    assert (stream.viewers, stream.hits, stream.misses, stream.failures) == (11, 9, 1, 0)
    assert stream.speed == pytest.approx(0.8)
    assert stream.slow_since == NOW + 6  # since that could be told


def test_an_encoder_that_has_just_begun_is_not_judged() -> None:
    seen = one(Reports("o"), at(), STREAM, f"progress\tgarden\t{HOST}\t1500000\t0.6")
    assert (seen.streams["garden"].speed, seen.streams["garden"].slow_since) == (None, None)


def encoding(
    reports: Reports, at_second: float, out: float | None, *more: str, head: str = STREAM
) -> StreamSeen:
    """A report of an encoder that has made `out` seconds; None: it was started just now."""
    lines = [] if out is None else [f"progress\tgarden\t{HOST + at_second}\t{out * 1e6:.0f}\t1"]
    seen = one(reports, at(HOST + at_second), head, *lines, *more, now=NOW + at_second)
    return seen.streams["garden"]


def test_a_slow_encoder_that_is_started_again_and_again_is_slow_all_the_time() -> None:
    reports, told = Reports("o"), []
    for run in range(4):  # each is ended after 15 s
        for second in range(0, 15, 2):
            out = None if second == 0 else 0.4 * second
            told.append((16 * run + second, encoding(reports, 16 * run + second, out)))
    began = next(second for second, stream in told if stream.slow_since is not None)
    assert began <= 20
    assert {stream.slow_since for second, stream in told if second >= began} == {NOW + 8}
    late = [stream for second, stream in told if second >= began]
    assert all(stream.lagging and stream.last_speed == pytest.approx(0.4, abs=0.05) for stream in late)
    assert any(stream.speed is None for stream in late)


def test_a_slow_encoder_is_forgotten_with_its_publisher_and_its_generation() -> None:
    away = STREAM.replace("garden-obs", "")
    edited = STREAM.replace("g1-0f3a9c21", "g2-0f3a9c21", 1)
    for head in (away, edited):
        reports = Reports("o")
        for second in range(0, 20, 2):
            stream = encoding(reports, second, 0.4 * second)
        assert stream.slow_since is not None
        assert encoding(reports, 20, None, head=head).slow_since is None
        assert not encoding(reports, 22, None, head=edited if head == edited else STREAM).lagging


def test_an_encoder_that_says_nothing_has_no_speed() -> None:
    reports = Reports("o")
    for second in range(0, 12, 2):
        stream = encoding(reports, second, second)
    assert stream.speed == pytest.approx(1.0)
    still = f"progress\tgarden\t{HOST + 10}\t10000000\t1"
    assert one(reports, at(HOST + 30), STREAM, still, now=NOW + 30).streams["garden"].speed is None


def test_since_when_segments_are_awaited_is_on_our_clock() -> None:
    seen = one(Reports("o"), at(), f"{STREAM}\t{HOST - 20:.3f}")
    assert seen.streams["garden"].awaited == NOW - 20
    assert one(Reports("o"), at(), f"{STREAM}\t").streams["garden"].awaited is None


def test_fetches_are_counted_over_seconds_however_many_reports_tell_of_them() -> None:
    reports = Reports("edge")
    for second in range(8):
        traffic = "traffic\tgarden\t1\t500\t3\t1\t1" if second % 2 == 0 else ""
        seen = one(reports, at(HOST + second), traffic, now=NOW + second)
        if "garden" in seen.streams:
            stream = seen.streams["garden"]
            assert stream.unfed is (second >= 2), "one that failed is none"
    assert (stream.fetched, stream.failed, stream.failures) == (3, 3, 1)
    more = one(reports, at(HOST + 8), "traffic\tgarden\t1\t500\t3\t40\t1", now=NOW + 8).streams["garden"]
    assert more.failed == 3 and not more.unfed, "most of them succeed"
    later = one(reports, at(HOST + 30), "traffic\tgarden\t1\t500\t3\t0\t0", now=NOW + 30).streams["garden"]
    assert (later.fetched, later.failed) == (0, 0)


def test_what_was_carried_only_grows_over_quiet_reports_and_new_connections() -> None:
    carried: dict[str, Carried] = {}
    reports = Reports("edge", carried)
    one(reports, at(), STREAM, "traffic\tgarden\t1\t500\t3\t1\t1")
    seen = one(reports, at(HOST + 1), STREAM, "traffic\tgarden\t1\t700\t4\t0\t0", now=NOW + 1)
    assert seen.streams["garden"].carried == Carried(7, 1, 1, 1200)
    quiet = one(reports, at(HOST + 2), STREAM, now=NOW + 2)
    assert quiet.streams["garden"].carried == Carried(7, 1, 1, 1200)
    again = Reports("edge", carried)  # the connection was lost
    assert one(again, at(HOST + 3), STREAM, now=NOW + 3).streams["garden"].carried.hits == 7
    more = one(again, at(HOST + 4), STREAM, "traffic\tgarden\t1\t1\t1\t0\t0", now=NOW + 4)
    assert more.streams["garden"].carried == Carried(8, 1, 1, 1201)


def test_since_when_a_source_answers_is_kept_while_nothing_changes() -> None:
    reports = Reports("edge")
    found = []
    for second, answer in enumerate("1100?1"):
        line = "" if answer == "?" else f"reach\tfirst\t{answer}"
        found.append(one(reports, at(HOST + second), line, now=NOW + second).reach)
    told = [(each["first"].answers, each["first"].since - NOW) if "first" in each else None for each in found]
    assert told == [(True, 0), (True, 0), (False, 2), (False, 2), None, (True, 5)]


def test_an_absent_folder_and_why_it_cannot_be_looked_at() -> None:
    seen = one(Reports("o"), f"at\t{HOST * 1000:.0f}\t0\tit is a symlink")
    assert (seen.present, seen.trouble, seen.streams) == (False, "it is a symlink", {})


@pytest.mark.parametrize("content", [b"report\t99999999\n", b"report\t-1\n", b"report\tx\n", b"x" * 300])
def test_what_is_no_report_is_said(content: bytes) -> None:
    with pytest.raises(ActionFailed) as caught:
        Reports("o").feed(content, NOW)
    assert caught.value.reason == "ReportBroken"


def test_whatever_a_login_says_before_is_passed_over() -> None:
    """However many lines: one host must not end the look at all of them."""
    (seen,) = Reports("o").feed(b"\n" * 100_000 + framed(at()), NOW)
    assert seen.endpoint == "o"


@pytest.mark.parametrize("since", ["inf", "-inf", "nan"])
def test_a_service_that_began_at_no_moment_is_passed_over(since: str) -> None:
    line = f"service\thttp\tRunning\td\td\t1\t{since}\t\t"
    assert one(Reports("o"), at(), line).services == {}


WORDS = st.sampled_from(
    ["at", "service", "space", "keys", "key", "stream", "progress", "input", "traffic", "playlist", "garden"]
    + ["1", "-1", "nan", "1e999", "", "garden+g1+720p", "200", "\x00", "é", "9" * 30]
)


@given(st.lists(st.lists(WORDS, max_size=9), max_size=12), st.binary(max_size=60))
def test_any_lines_are_read_or_passed_over(lines: list[list[str]], junk: bytes) -> None:
    reports = Reports("o")
    body = [at(), *("\t".join(line) for line in lines), junk, STREAM, playlist(text(live()))]
    (seen,) = reports.feed(framed(*body), NOW)
    assert seen.endpoint == "o"


def test_the_script_is_given_arguments_only() -> None:
    argv = watch_argv(
        "~/a b", web_port=18080, elsewhere=[Elsewhere("garden", "g1", ("720p", "audio"))], target=4
    )
    assert argv[:2] == ["/bin/sh", "-c"]
    words = ["~/a b", "2", "no", "18080", "", "12", "garden/g1/720p,audio"]
    assert argv[3:] == ["watch", "", "0", "", "", *words]
    assert watch_argv("~/a", sources=[("first", "http://[::1]:80")])[-1] == "@first=http://[::1]:80"


def test_watching_two_hundred_endpoints_takes_a_small_part_of_a_core() -> None:
    reports = Reports("o")
    rounds = 100
    sent = []
    for step in range(rounds):
        parts: list[bytes | str] = [at(HOST + 2 * step), STREAM, "space\t1000\t4000\t1"]
        parts += [
            f"service\t{name}\tRunning\tab\tcd\t3\t1799999900\t\t"
            for name in ("rtmp", "http", "ladder-garden")
        ]
        parts += [
            f"traffic\tgarden\t4\t{step}\t9\t1\t0",
            f"progress\tgarden\t{HOST + step}\t{step}000000\t1.0",
        ]
        for rendition in ("720p", "480p", "360p", "audio"):
            parts.append(playlist(text(live(100 + step)), rendition, HOST + 2 * step))
        sent.append(framed(*parts))
    start = time.process_time()
    for step, content in enumerate(sent):
        reports.feed(content, NOW + 2 * step)
    a_report = (time.process_time() - start) / rounds
    share = a_report * 200 / 2  # of a core, for 200 endpoints every two seconds
    print(f"{a_report * 1e6:.0f} µs a report: {share:.1%} of a core for 200 endpoints")
    assert share < 0.2  # 3 % on a quiet machine


def test_a_flood_of_names_costs_no_memory() -> None:
    reports = Reports("black-origin")
    for number in range(4):
        lines = [f"traffic\tn{number}-{each}\t1\t100\t0\t0\t0" for each in range(3000)]
        seen = one(reports, at(HOST + number), STREAM, *lines, now=NOW + number)
        assert len(seen.streams) <= MOST_STREAMS and "garden" in seen.streams
    assert len(reports._sent) <= 4 * MOST_STREAMS and len(reports._rates) <= 4 * MOST_STREAMS
