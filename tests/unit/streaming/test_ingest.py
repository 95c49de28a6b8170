"""Ingest with real publishers: who gets in, who is dropped and how soon, and that a key is written down nowhere."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from telarchy.errors import ConfigError
from telarchy.streaming import ingest
from telarchy.streaming.ingest import IngestSite
from telarchy.streaming.keys import KeyLine, keys_json, parse_key_use, verifier
from tests.unit.streaming.conftest import Run
from tests.unit.streaming.running import (
    Running,
    free_endpoint_port,
    get,
    listening,
    need,
    raw,
    texts,
    wait,
)

GOOD, SECOND, WRONG = "good-key-4f1c", "second-key-77ab", "wrong-key-0e0e"
Publish = Callable[[str], "subprocess.Popen[str]"]


class Ingest:
    """An ingest host's nginx and its keys."""

    def __init__(self, run: Run) -> None:
        self.port = free_endpoint_port()
        self.site = IngestSite(rtmp_port=self.port, address="127.0.0.1")
        self.running: Running = run(ingest.service(self.site))
        self.base: Path = self.running.base
        self.flag = self.base / "publishing" / "garden"
        self.keys(KeyLine(name="obs", stream="garden", verifier=verifier(GOOD)))
        wait(lambda: listening(self.port), what="nginx")

    def keys(self, *lines: KeyLine) -> None:
        fresh = self.base / "keys.new"
        fresh.write_bytes(keys_json(lines))
        fresh.chmod(0o600)
        fresh.rename(self.base / "keys.json")

    def use(self, key: str = "obs"):  # type: ignore[no-untyped-def]
        file = self.base / "keyuse" / key
        return parse_key_use(file.read_text() if file.exists() else "")

    def ask(self, what: str, **fields: str) -> int:
        """What nginx's rtmp part would be told."""
        told = {"app": "ingest", "addr": "192.0.2.9", "clientid": "7", "name": GOOD} | fields
        body = "&".join(f"{name}={value}" for name, value in told.items()).encode()
        text = b"POST /%s HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % (what.encode(), len(body)) + body
        return int(raw(self.site.control_port, text).split()[1])


@pytest.fixture
def host(run: Run) -> Ingest:
    return Ingest(run)


@pytest.fixture
def publish(host: Ingest, tmp_path: Path) -> Iterator[Publish]:
    need("ffmpeg")
    made = []

    def one(key: str) -> subprocess.Popen[str]:
        argv = ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25"]
        argv += ["-f", "lavfi", "-i", "sine", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25"]
        argv += ["-c:a", "aac", "-f", "flv", f"{ingest.publish_url('127.0.0.1', host.port)}/{key}"]
        made.append(subprocess.Popen(argv, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True))
        return made[-1]

    yield one
    for process in made:
        process.kill()
        process.communicate()


def test_a_good_key_publishes_its_stream_and_is_written_down_nowhere(host: Ingest, publish: Publish) -> None:
    one = publish(GOOD)
    wait(host.flag.exists, what="the flag")
    assert host.flag.read_text().strip() == "obs"
    assert abs(time.time() - (host.use().used or 0)) < 5
    played = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"]
        + [ingest.play_url("garden", host.port)],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert sorted(played.stdout.split()) == ["aac", "h264"]
    stat = get(ingest.stat_url(host.port)).body.decode()
    assert "<name>garden</name>" in stat and GOOD not in stat

    second = publish(GOOD)
    second.wait(10)
    wrong = publish(WRONG)
    wrong.wait(10)
    assert second.returncode != 0 and wrong.returncode != 0
    time.sleep(0.3)
    assert host.flag.exists() and one.poll() is None  # the refused one's end ended nothing else
    assert (host.use().reason, host.use().refused is not None) == ("busy", True)

    one.terminate()
    wait(lambda: not host.flag.exists(), what="the flag's end")
    host.running.stop()
    everything = texts(host.base)
    assert GOOD not in everything and WRONG not in everything


@pytest.mark.parametrize("given", [f"//{GOOD}", f"/{GOOD}/"], ids=["before", "around"])
def test_what_a_publisher_or_a_person_puts_around_a_key_is_no_part_of_it(
    host: Ingest, publish: Publish, given: str
) -> None:
    one = publish(given)
    wait(host.flag.exists, what="the flag")
    time.sleep(2 * ingest.UPDATE_SECONDS + 0.5)  # asked about again
    assert one.poll() is None and host.flag.exists()
    assert "<name>garden</name>" in get(ingest.stat_url(host.port)).body.decode()
    assert host.ask("on_update", name=f"%20{GOOD}%0A", clientid="8") == 403, "somebody else publishes"
    assert host.ask("on_publish", name=f"{GOOD}%20{GOOD}") == 403


def test_spaces_that_were_copied_along_are_no_part_of_a_key(host: Ingest) -> None:
    assert host.ask("on_publish", name=f"%20{GOOD}%0D%0A") == 302


def test_a_ladder_plays_on_past_the_updates_that_nginx_asks_about_it(host: Ingest, publish: Publish) -> None:
    publish(GOOD)
    wait(host.flag.exists, what="the flag")
    seconds = 3 * ingest.UPDATE_SECONDS
    source = ingest.play_url("garden", host.port)
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-i", source, "-t", str(seconds), "-progress", "-"]
    played = subprocess.run(
        [*argv, "-f", "null", "-"], capture_output=True, text=True, timeout=60, check=True
    )
    reached = [int(one.partition("=")[2]) for one in played.stdout.split() if one.startswith("out_time_us=")]
    assert reached[-1] > (seconds - 0.5) * 1e6


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"revoked": True}, "revoked"), ({"expires": time.time() - 5}, "expired"), (None, "")],
    ids=["revoked", "expired", "removed"],
)
def test_a_key_that_is_withdrawn_ends_its_publisher_within_five_seconds(
    host: Ingest, publish: Publish, change: dict[str, float] | None, reason: str
) -> None:
    one = publish(GOOD)
    wait(host.flag.exists, what="the flag")
    time.sleep(1)
    line = {"name": "obs", "stream": "garden", "verifier": verifier(GOOD)}
    host.keys(*([KeyLine(**line, **change)] if change is not None else []))  # type: ignore[arg-type]
    took = wait(lambda: one.poll() is not None and not host.flag.exists(), seconds=5, what="the end")
    print(f"dropped after {took:.1f} s")
    if reason:
        assert host.use().reason == reason
    again = publish(GOOD)
    again.wait(10)
    assert again.returncode != 0 and not host.flag.exists()


def test_a_key_that_expires_while_it_publishes_ends_its_publisher(host: Ingest, publish: Publish) -> None:
    end = time.time() + 3
    host.keys(KeyLine(name="obs", stream="garden", verifier=verifier(GOOD), expires=end))
    one = publish(GOOD)
    wait(host.flag.exists, what="the flag")
    wait(lambda: one.poll() is not None, seconds=9, what="the end")
    assert time.time() - end < 5


def test_a_publisher_that_lost_its_nginx_is_not_taken_for_one(host: Ingest, publish: Publish) -> None:
    publish(GOOD)
    wait(host.flag.exists, what="the flag")
    host.running.kill()
    assert host.flag.exists()
    host.running.restart()
    wait(lambda: listening(host.port), what="nginx")
    assert not host.flag.exists()
    publish(GOOD)
    wait(host.flag.exists, what="the flag")


def test_two_keys_of_a_stream_take_turns(host: Ingest) -> None:
    host.keys(
        KeyLine(name="obs", stream="garden", verifier=verifier(GOOD)),
        KeyLine(name="spare", stream="garden", verifier=verifier(SECOND)),
    )
    assert host.ask("on_publish") == 302
    assert host.ask("on_publish", name=SECOND, clientid="8") == 403
    assert host.ask("on_publish_done", name=SECOND, clientid="8") == 200
    assert host.flag.read_text() == "obs\n"
    assert host.ask("on_update") == 200
    assert host.ask("on_publish_done") == 200
    assert not host.flag.exists()
    assert host.ask("on_publish", name=SECOND, clientid="9") == 302
    assert host.flag.read_text() == "spare\n"


def test_a_key_that_is_for_another_stream_by_now_ends_its_publisher(host: Ingest) -> None:
    assert host.ask("on_publish") == 302
    host.keys(KeyLine(name="obs", stream="pond", verifier=verifier(GOOD)))
    assert host.ask("on_update") == 403
    assert host.ask("on_publish_done") == 200
    assert not host.flag.exists()


def test_a_flag_that_was_lost_comes_back_at_the_next_update(host: Ingest) -> None:
    assert host.ask("on_publish") == 302
    host.flag.unlink()
    assert host.ask("on_update") == 200
    assert host.flag.read_text() == "obs\n"


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b'{"keys":[{"name":"../../x","stream":"garden","verifier":"%s","revoked":false}]}',
     b'{"keys":[{"name":"obs","stream":"../x","verifier":"%s","expires":null,"revoked":false}]}',
     b'{"keys":[{"name":"obs","stream":"garden","verifier":"%s","expires":"soon","revoked":false}]}',
     b'{"keys":[{"name":"obs","stream":"garden","verifier":"%s","expires":null}]}'],
)  # fmt: skip
def test_keys_that_cannot_be_read_open_nothing(host: Ingest, content: bytes | None) -> None:
    file = host.base / "keys.json"
    file.unlink()
    if content is not None:
        file.write_bytes(content.replace(b"%s", verifier(GOOD).encode()))
    assert host.ask("on_publish") in (403, 500)
    assert host.ask("on_update") in (403, 500)
    assert list((host.base / "publishing").iterdir()) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"app": "other"},
        {"name": ""},
        {"name": "x" * 600},
        {"name": "%ff"},
        {"clientid": "../7"},
        {"name": f"{WRONG}&name={GOOD}"},  # what a publisher adds to its key counts for nothing
        {"app": f"other&app=ingest&name={GOOD}"},
    ],
)
def test_what_no_nginx_would_say_opens_nothing(host: Ingest, fields: dict[str, str]) -> None:
    assert host.ask("on_publish", **fields) in (403, 500)
    assert list((host.base / "publishing").iterdir()) == []


def test_an_address_that_guesses_is_refused_unseen_for_a_while_and_no_other(host: Ingest) -> None:
    codes = [host.ask("on_publish", name=f"guess-{number}") for number in range(14)]
    assert codes == [403] * 10 + [429] * 4
    assert host.ask("on_publish") == 429  # also with the right key, from there
    assert host.ask("on_publish", addr="192.0.2.10") == 302
    assert "192.0.2.9" not in texts(host.base)


def test_who_else_plays_from_ingest_is_refused(host: Ingest) -> None:
    text = ingest.configuration(IngestSite(address="192.0.2.1"))
    assert re.search(r"allow play 127\.0\.0\.1;\s+deny play all;", text)
    assert "listen 192.0.2.1:1935;" in text and "listen 127.0.0.1:1935;" in text
    assert "listen [::]:1935 ipv6only=on;" in ingest.configuration(IngestSite(address="::"))
    assert ingest.configuration(IngestSite()).count("listen") == 2  # publishers, the authority


@pytest.mark.parametrize(
    "site", [IngestSite(address="x; }"), IngestSite(modules="/x; y"), IngestSite(rtmp_port=0)]
)
def test_what_does_not_belong_into_a_configuration_is_refused(site: IngestSite) -> None:
    with pytest.raises(ConfigError):
        ingest.configuration(site)


def test_nothing_but_ports_decides_whether_ingest_starts_anew() -> None:
    one = ingest.service(IngestSite())
    assert one.reload == "" and one.digest == ingest.service(IngestSite()).digest
    assert one.start_digest != ingest.service(IngestSite(rtmp_port=1936)).start_digest
