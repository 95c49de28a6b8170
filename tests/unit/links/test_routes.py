"""Where the connection that copies share has its socket."""

from __future__ import annotations

from telarchy.links.routes import Route, shared_socket
from telarchy.links.rsync import RsyncTool

KEY = "/home/media/.telarchy/keys/nas-0123456789ab"


def test_another_pinned_key_or_endpoint_is_another_connection() -> None:
    first = shared_socket(KEY, "ssh-ed25519 AAAA", "media@nas:22")
    assert first.startswith(KEY) and first.endswith(".ssh")
    assert first == shared_socket(KEY, "ssh-ed25519 AAAA", "media@nas:22")
    assert first != shared_socket(KEY, "ssh-ed25519 BBBB", "media@nas:22")
    assert first != shared_socket(KEY, "ssh-ed25519 AAAA", "media@nas:2222")


def test_a_path_too_long_for_a_socket_is_none() -> None:
    assert shared_socket("/volume1/homes/" + "m" * 60 + "/key", "ssh-ed25519 AAAA", "media@nas:22") == ""


def test_only_who_wants_to_shares() -> None:
    ssh = ("ssh", "-p", "22")
    route = Route("direct", "nas", "vps", "vps", "/srv", ssh=ssh, address="nas", socket="/k.ssh")

    def rsh(of: Route, *, shared: bool) -> str:
        argv = of.argv(RsyncTool("rsync", (3, 2, 7)), files_from="/f", into="/i", shared=shared)
        return argv[argv.index("-e") + 1]

    assert rsh(route, shared=True) == "ssh -p 22 -S /k.ssh"
    assert rsh(route, shared=False) == "ssh -p 22"
    alone = Route("direct", "nas", "vps", "vps", "/srv", ssh=ssh, address="nas")
    assert rsh(alone, shared=True) == "ssh -p 22"
