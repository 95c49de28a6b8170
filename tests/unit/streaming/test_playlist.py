"""Playlists as servers answer them: what is read, what is refused, and which rules are found broken."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.errors import PlaylistError
from telarchy.streaming.playlist import (
    MAX_BYTES,
    MasterPlaylist,
    MediaPlaylist,
    Segment,
    parse,
    parse_master,
    parse_media,
)
from telarchy.streaming.playlistrules import check, compare

START = 1_800_000_000.0


def live(first: int = 100, count: int = 6, **changes: object) -> MediaPlaylist:
    """As the ladder writes it, two seconds a segment."""
    segments = tuple(
        Segment(f"s{first + at}.m4s", 2.0, False, START + 2 * (first + at), "init_0.mp4")
        for at in range(count)
    )
    return MediaPlaylist(2, first, segments, 7, independent=True)._replace(**changes)


def changed(playlist: MediaPlaylist, at: int, **changes: object) -> MediaPlaylist:
    segments = list(playlist.segments)
    segments[at] = segments[at]._replace(**changes)
    return playlist._replace(segments=tuple(segments))


def text(playlist: MediaPlaylist) -> bytes:
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{playlist.version}", f"#EXT-X-TARGETDURATION:{playlist.target}"]
    lines.append(f"#EXT-X-MEDIA-SEQUENCE:{playlist.first}")
    if playlist.discontinuity_sequence is not None:
        lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{playlist.discontinuity_sequence}")
    if playlist.independent:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    mapped = ""
    for one in playlist.segments:
        if one.discontinuity:
            lines.append("#EXT-X-DISCONTINUITY")
        if one.map != mapped:
            lines.append(f'#EXT-X-MAP:URI="{one.map}"')
            mapped = one.map
        lines.append(f"#EXTINF:{one.duration:.6f},")
        if one.date is not None:
            day = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(one.date))
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{day}.{round(one.date % 1 * 1000):03d}+0000")
        lines.append(one.uri)
    if playlist.ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join([*lines, ""]).encode()


def rules(problems: list[object]) -> list[str]:
    return [one.rule for one in problems]  # type: ignore[attr-defined]


def test_what_the_ladder_writes_is_read_as_it_is() -> None:
    playlist = live()
    assert parse(text(playlist)) == playlist
    assert check(playlist) == []
    assert (playlist.last, playlist.edge, playlist.discontinuities) == (105, START + 212, 0)


def test_lines_may_end_as_on_windows_and_unknown_tags_are_passed_over() -> None:
    content = (
        text(live()).replace(b"#EXTINF", b"#EXT-X-FUTURE:a\n# a remark\n#EXTINF").replace(b"\n", b"\r\n")
    )
    assert parse_media(content) == live()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "empty"),
        (b"<html>502</html>", "not-a-playlist"),
        (b"\xff\xfe\x00", "not-text"),
        (b"#EXTM3U\n\x00\n", "not-text"),
        (b"\xef\xbb\xbf#EXTM3U\n", "not-text"),
        (b"#EXTM3U\n" + b"#" * MAX_BYTES, "too-large"),
        (b"#EXTM3U\n#EXTINF:2,\ns.ts\n", "no-target"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n", "cut-off"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\ns1.ts\n", "no-duration"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:nan,\ns1.ts\n", "bad-number"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1e9,\ns1.ts\n", "bad-number"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:-2\n", "bad-number"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-TARGETDURATION:2\n", "tag-twice"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:99999999999999999999\n", "bad-number"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:tomorrow\n", "bad-date"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:2026-11-21T02:00:00\n", "bad-date"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA:TYPE=AUDIO\n", "mixed"),
        (b'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI="a\n', "bad-attributes"),
        (b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "cut-off"),
        (b'#EXTM3U\n#EXT-X-STREAM-INF:CODECS="a"\nx\n', "no-bandwidth"),
        (b'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nx\n', "no-group"),
        (b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n#EXT-X-ENDLIST\n", "mixed"),
        (b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,BANDWIDTH=2\nx\n", "bad-attributes"),
    ],
)
def test_what_is_no_playlist_is_refused_by_name(content: bytes, rule: str) -> None:
    with pytest.raises(PlaylistError) as caught:
        parse(content)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    ("playlist", "rule"),
    [
        (changed(live(), 2, duration=2.6), "duration-over-target"),
        (changed(live(), 5, duration=0.0), "duration-zero"),
        (live(count=0), "no-segments"),
        (live(ended=True), "ended"),
        (changed(live(), 3, date=START), "date-backwards"),
        (changed(live(), 5, date=START + 2 * 105 + 1.5), "date-jump"),
        (live(version=3), "version-low"),
        (changed(live(), 0, map=""), "map-missing"),
        (changed(live(), 1, uri="s100.m4s"), "uri-twice"),
        (changed(live(), 1, uri="../../keys.m4s"), "uri-foreign"),
        (changed(live(), 1, uri="/etc/passwd"), "uri-foreign"),
        (changed(live(), 1, uri="file:///etc/s.m4s"), "uri-foreign"),
        (changed(live(), 1, uri="%2e%2E/s.m4s"), "uri-foreign"),
    ],
)
def test_each_rule_for_one_playlist(playlist: MediaPlaylist, rule: str) -> None:
    found = rules(check(playlist))
    assert rule in found
    assert set(found) <= {rule, "date-jump"}  # the date after a wrong one is off too


def test_a_join_may_have_any_date_and_durations_are_rounded() -> None:
    joined = changed(changed(live(), 3, discontinuity=True), 1, duration=2.49)
    later = tuple(one._replace(date=(one.date or 0) + 30) for one in joined.segments[3:])
    assert check(joined._replace(segments=joined.segments[:3] + later)) == []


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (live(), []),
        (live(101), []),
        (live(104), []),
        (changed(live(102), 5, discontinuity=True), []),
        (live(99), ["sequence-backwards"]),
        (live(100, 5), ["segments-vanished"]),
        (live(101, target=3), ["target-changed"]),
        (changed(live(101), 0, uri="other.m4s"), ["uri-changed"]),
        (changed(live(101), 0, duration=1.9), ["duration-changed"]),
        (changed(live(101), 0, discontinuity=True), ["discontinuity-changed"]),
        (changed(live(101), 0, map="init_1.mp4"), ["map-changed"]),
        (changed(live(101), 0, date=START), ["date-changed"]),
        (live(110), ["window-skipped"]),
        (live(105, 1), ["window-short"]),
        (live(101, discontinuity_sequence=1), ["discontinuity-sequence"]),
    ],
)
def test_each_rule_for_two_in_a_row(after: MediaPlaylist, found: list[str]) -> None:
    assert rules(compare(live(), after)) == found


def test_joins_that_leave_the_window_are_to_be_counted() -> None:
    joined = changed(live(), 0, discontinuity=True)
    (problem,) = compare(joined, live(101))
    assert (problem.rule, problem.warning) == ("discontinuity-uncounted", True)
    counted = joined._replace(discontinuity_sequence=4)
    assert compare(counted, live(101, discontinuity_sequence=5)) == []
    assert rules(compare(counted, live(101, discontinuity_sequence=4))) == ["discontinuity-sequence"]


def test_an_end_is_an_end() -> None:
    ended = live(ended=True)
    assert compare(ended, ended) == []
    assert rules(compare(ended, live(101))) == ["changed-after-end"]


def test_a_master_playlist_is_read() -> None:
    content = b"""#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="Sound, plain",DEFAULT=YES,URI="audio/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=900000,AVERAGE-BANDWIDTH=700000,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO="aud"
360p/index.m3u8
"""
    playlist = parse(content)
    assert isinstance(playlist, MasterPlaylist)
    assert playlist == parse_master(content)
    (variant,), (sound,) = playlist.variants, playlist.media
    assert (variant.bandwidth, variant.average, variant.resolution) == (900000, 700000, (640, 360))
    assert (variant.codecs, variant.frame_rate, variant.audio) == ("avc1.4d401f,mp4a.40.2", 30.0, "aud")
    assert (sound.name, sound.uri, sound.default) == ("Sound, plain", "audio/index.m3u8", True)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_playlist_or_an_error_of_ours(junk: bytes) -> None:
    for content in (junk, b"#EXTM3U\n" + junk, text(live())[:200] + junk):
        try:
            playlist = parse(content)
        except PlaylistError:
            continue
        if isinstance(playlist, MediaPlaylist):
            check(playlist)
            compare(playlist, live())
            compare(live(), playlist)


TAGS = st.sampled_from(
    [line for line in text(changed(live(), 2, discontinuity=True)).decode().split("\n") if line]
    + [
        "#EXT-X-ENDLIST",
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "#EXTINF:",
        "#EXT-X-MAP:",
        "#EXT-X-DISCONTINUITY-SEQUENCE:1",
    ]
)


@given(st.lists(TAGS, max_size=40))
def test_true_lines_in_any_order_do_no_harm(lines: list[str]) -> None:
    try:
        playlist = parse("\n".join(["#EXTM3U", *lines]).encode())
    except PlaylistError:
        return
    if isinstance(playlist, MediaPlaylist):
        check(playlist)
        compare(live(), playlist)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=20),
    st.integers(3, 12),
    st.integers(0, 2**40),
)
def test_a_window_that_only_slides_breaks_no_rule(
    steps: list[tuple[int, bool]], window: int, first: int
) -> None:
    joins = {first + at for at, (_, join) in enumerate(steps) if join}

    def at(last: int) -> MediaPlaylist:
        begin = max(first, last - window + 1)
        numbers = range(begin, last + 1)
        segments = tuple(
            Segment(f"s{one}.m4s", 2.0, one in joins, START + 2 * (one - first), "init_0.mp4")
            for one in numbers
        )
        gone = sum(one < begin for one in joins)
        return MediaPlaylist(2, begin, segments, 7, discontinuity_sequence=gone)

    last = first + 2
    for step, _ in steps:
        before, last = at(last), last + step
        after = at(last)
        assert parse_media(text(after)) == after
        assert check(after) == []
        assert rules(compare(before, after)) in ([], ["window-skipped"])
        if step:
            assert "sequence-backwards" in rules(compare(after, before)) or before.first == after.first


def test_watching_two_hundred_endpoints_costs_little() -> None:
    content, before = text(live(101)), live()
    rounds = 2000
    best = min(_seconds(rounds, content, before) for _ in range(3)) / rounds
    assert best < 300e-6  # 31 µs on a quiet machine


def _seconds(rounds: int, content: bytes, before: MediaPlaylist) -> float:
    start = time.process_time()
    for _ in range(rounds):
        after = parse_media(content)
        check(after)
        compare(before, after)
    return time.process_time() - start
