"""The first login at something that is no ssh server: one sentence, and nothing of what a library logs."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

import pytest

from telarchy.errors import ConfigError, HostUnreachable
from telarchy.links.enrol import enrol
from telarchy.links.enrol_login import private_key
from telarchy.links.secrets import Secret


def test_something_that_hangs_up_is_told_in_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(HostUnreachable) as caught:
            enrol(f"media@127.0.0.1:{server.getsockname()[1]}", roots=["/srv/media"])
        server.shutdown(socket.SHUT_RDWR)
    assert "\n" not in str(caught.value)
    assert [one for one in caplog.records if one.name.startswith("paramiko")] == []


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_secret_is_a_private_key(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    text = path.read_bytes().removesuffix(b"\n")  # as a secret is read from its file
    public = path.with_suffix(".pub").read_text().split()
    assert [private_key(Secret(text)).get_name(), private_key(Secret(text)).get_base64()] == public[:2]


def test_what_is_no_private_key_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "hush", "-f", str(path)], check=True)
    for text in (b"hunter2", b"", b"\xff\x00", path.read_bytes()):
        with pytest.raises(ConfigError, match="no private key, or one with a passphrase") as caught:
            private_key(Secret(text))
        assert "hunter2" not in str(caught.value)
