"""What was seen of streams survives the way into the store and back."""

from __future__ import annotations

import json

from telarchy.streaming.evidence import StreamingSeen
from telarchy.streaming.recall import from_plain, to_plain
from tests.unit.streaming.stage import Stage, edge, key, origin, ssh_host, stream


def test_evidence_comes_back_as_it_was() -> None:
    stage = Stage(ssh_host("black"), ssh_host("vps"), origin(), stream(), key(), edge())
    stage.publish()
    stage.run(10)
    seen = stage.observation().sections["streaming"]
    assert from_plain(json.loads(json.dumps(to_plain(seen)))) == seen


def test_what_another_version_wrote_is_nothing() -> None:
    assert from_plain({"endpoints": 3}) == StreamingSeen()
    assert from_plain({}) == StreamingSeen()
