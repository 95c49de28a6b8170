"""The first login at something that is no ssh server: one sentence, and nothing of what a library logs."""

from __future__ import annotations

import socket
import threading

import pytest

from telarchy.errors import HostUnreachable
from telarchy.links.enrol import enrol


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
