"""Which secrets sign a stream's URLs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telarchy.errors import ConfigError
from telarchy.links.secrets import FileSecrets, SecretMissing
from telarchy.resources.loader import resource_from_manifest
from telarchy.resources.meta import API_VERSION
from telarchy.resources.stream import Stream
from telarchy.store import Store
from telarchy.streaming.playbacksecrets import PlaybackSecrets


def stream(name: str = "garden", **playback: Any) -> Stream:
    spec = {"ingest": {"test": {}}, "playback": playback}
    manifest = {"apiVersion": API_VERSION, "kind": "Stream", "metadata": {"name": name}, "spec": spec}
    found = resource_from_manifest(manifest)
    assert isinstance(found, Stream)
    return found


def test_one_is_made_for_each_stream_and_kept(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        made = PlaybackSecrets(FileSecrets(None), store.memory)
        (garden,) = made.of(stream())
        (attic,) = made.of(stream("attic"))
        assert garden != attic and len(garden.reveal()) == 64
        assert "***" in repr(garden)
    with Store.open(tmp_path, read_only=True) as store:
        again = PlaybackSecrets(FileSecrets(None), store.memory, read_only=True)
        assert again.of(stream()) == (garden,)
        with pytest.raises(ConfigError, match="no controller has made"):
            again.of(stream("cellar"))


def test_what_a_manifest_names_goes_first_and_the_one_before_may_be_gone(tmp_path: Path) -> None:
    (tmp_path / "play").mkdir()
    (tmp_path / "play" / "now").write_text("new\n")
    (tmp_path / "play" / "before").write_text("old\n")
    with Store.open(tmp_path / "state") as store:
        known = PlaybackSecrets(FileSecrets(tmp_path), store.memory)
        both = stream(
            secretRef={"name": "play", "key": "now"}, previousSecretRef={"name": "play", "key": "before"}
        )
        assert [one.reveal() for one in known.of(both)] == [b"new", b"old"]
        (tmp_path / "play" / "before").unlink()
        assert [one.reveal() for one in known.of(both)] == [b"new"]
        (tmp_path / "play" / "now").write_text("\n")
        with pytest.raises(SecretMissing, match="empty"):
            known.of(both)
        with pytest.raises(SecretMissing):
            known.of(stream(secretRef={"name": "play", "key": "nothing"}))


def test_what_was_made_can_be_thrown_away(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        made = PlaybackSecrets(FileSecrets(None), store.memory)
        before = made.of(stream())
        made.forget("default", "garden")
        assert made.of(stream()) != before
