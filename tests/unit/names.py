"""A name server, small and real enough for nginx: every name is this machine."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def name_server(address: str = "127.0.0.1") -> Iterator[int]:
    """The port on 127.0.0.1 where it answers over UDP, while inside. Each name has `address`, and no IPv6."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        threading.Thread(target=_serve, args=(server, address), daemon=True).start()
        yield int(server.getsockname()[1])


def _serve(server: socket.socket, address: str) -> None:
    with suppress(OSError):
        while True:
            asked, who = server.recvfrom(512)
            end = asked.index(b"\0", 12) + 5
            question = asked[12:end]
            is_ipv4 = struct.unpack("!H", question[-4:-2])[0] == 1
            head = asked[:2] + struct.pack("!HHHHH", 0x8180, 1, int(is_ipv4), 0, 0)
            answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 30, 4) + socket.inet_aton(address)
            server.sendto(head + question + (answer if is_ipv4 else b""), who)
