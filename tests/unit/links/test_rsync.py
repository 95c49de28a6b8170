"""rsync as a value: golden argv for each kind of rsync, and what its words mean."""

from __future__ import annotations

import pytest

from telarchy.links import rsync
from telarchy.links.link import Completed
from telarchy.links.rsync import RsyncTool, failure, parse_progress, parse_version, rsh, ssh_argv

DEBIAN = "rsync  version 3.5.0  protocol version 32\nCopyright (C) 1996-2026 by Andrew Tridgell"
OLD = "rsync  version 2.6.9  protocol version 29\nCopyright (C) 1996-2006 by Andrew Tridgell"
MACOS = "openrsync: protocol version 29\nrsync version 2.6.9 compatible\n"
STOCK = RsyncTool("rsync", (3, 5, 0))


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        (DEBIAN, STOCK),
        (OLD, RsyncTool("rsync", (2, 6, 9))),
        ("rsync  version v3.2.7  protocol version 31", RsyncTool("rsync", (3, 2, 7))),
        (MACOS, RsyncTool("openrsync", (2, 6, 9))),
        ("openrsync: protocol version 27", RsyncTool("openrsync", (0, 0, 0))),
        ("sh: rsync: not found", None),
        ("", None),
    ],
)
def test_which_rsync_it_is(text: str, tool: RsyncTool | None) -> None:
    assert parse_version(text) == tool


def test_a_pull_with_a_current_rsync() -> None:
    argv = rsync.pull(
        STOCK,
        ssh=("ssh", "-p", "22"),
        remote="192.0.2.11",
        remote_root=".",
        files_from="/srv/j/files",
        into="/srv/my media/.telarchy/incoming/x",
        bandwidth=2_000_000,
    )
    assert argv == [
        "rsync",
        "--times",
        "--partial-dir=.telarchy-partial",
        "--timeout=60",
        "--files-from=/srv/j/files",
        "--from0",
        "--info=progress2",
        "--no-inc-recursive",
        "--outbuf=L",
        "--fsync",
        "--bwlimit=1953",
        "-e",
        "ssh -p 22",
        "192.0.2.11:./",
        "/srv/my media/.telarchy/incoming/x/",
    ]


@pytest.mark.parametrize(
    ("tool", "options", "source"),
    [
        (
            RsyncTool("rsync", (3, 1, 3)),
            ["--info=progress2", "--no-inc-recursive", "--outbuf=L", "--protect-args"],
            "h:/a b/",
        ),
        (RsyncTool("rsync", (3, 0, 9)), ["--progress", "--protect-args"], "h:/a b/"),
        (RsyncTool("rsync", (2, 6, 9)), ["--progress"], "h:'/a b/'"),
        (RsyncTool("openrsync", (2, 6, 9)), ["--progress"], "h:'/a b/'"),
    ],
)  # fmt: skip
def test_a_pull_with_older_ones(tool: RsyncTool, options: list[str], source: str) -> None:
    argv = rsync.pull(tool, ssh=("ssh",), remote="h", remote_root="/a b", files_from="f", into="/t")
    assert argv[6:] == [*options, "-e", "ssh", source, "/t/"]


def test_push_and_local_and_ipv6() -> None:
    pushed = rsync.push(
        STOCK, ssh=("ssh",), root="/s", remote="2001:db8::1", remote_into="/t", files_from="f"
    )
    assert pushed[-2:] == ["/s/", "[2001:db8::1]:/t/"]
    copied = rsync.local(STOCK, root="/s", files_from="f", into="/t")
    assert copied[-2:] == ["/s/", "/t/"] and "-e" not in copied


def test_nothing_ever_deletes_or_follows() -> None:
    for argv in (
        rsync.pull(STOCK, ssh=("ssh",), remote="h", remote_root=".", files_from="f", into="/t"),
        rsync.local(STOCK, root="/s", files_from="f", into="/t"),
    ):
        assert not [word for word in argv if "delete" in word or "link" in word or word in ("-L", "-a")]


def test_ssh_trusts_only_the_pinned_key() -> None:
    argv = ssh_argv(user="media", port=2222, alias="telarchy-black", known_hosts="/h/k", key="/h/key")
    assert argv == [
        *("ssh", "-F", "/dev/null"),
        *("-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", "UserKnownHostsFile=/h/k"),
        *("-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", "HostKeyAlias=telarchy-black"),
        *("-o", "UpdateHostKeys=no"),
        *("-o", "ConnectTimeout=5"),
        *("-o", "ServerAliveInterval=15"),
        *("-o", "ServerAliveCountMax=3"),
        *("-o", "IdentitiesOnly=yes"),
        *("-i", "/h/key"),
        *("-c", "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com"),
        *("-l", "media", "-p", "2222"),
    ]


def test_words_of_ssh_as_rsync_splits_them() -> None:
    assert rsh(["ssh", "-i", "/home/it's me/k", ""]) == "ssh -i '/home/it''s me/k' ''"


def test_progress() -> None:
    progress = parse_progress(
        b"    219,250,688  52%   99.95MB/s    0:00:01 (xfr#1, to-chk=1/3)", total=421_000_000
    )
    assert progress is not None
    assert (progress.bytes, progress.total) == (219_250_688, 421_000_000)
    assert progress.rate == pytest.approx(99.95 * 1024**2)
    assert progress.eta == pytest.approx((421_000_000 - 219_250_688) / (99.95 * 1024**2))
    running = parse_progress(b"  1,000  10%    1.00kB/s    1:02:03")
    assert running is not None
    assert (running.total, running.rate, running.eta) == (10_000, 1024.0, 3723.0)
    begun = parse_progress(b"              0   0%    0.00kB/s    0:00:00  ", total=421_000_000)
    assert begun is not None and begun.eta is None, "nothing has come yet, and it is not done in no time"
    for line in (
        b"",
        b"sending incremental file list",
        b"tv/Show/e01.mkv",
        b"\xff\xfe 5% of it",
        b"  0   0%",
    ):
        assert parse_progress(line) is None


@pytest.mark.parametrize(
    ("code", "stderr", "reason", "transient"),
    [
        (12, b"rsync: connection unexpectedly closed (0 bytes received so far) [Receiver]", "ConnectionLost", True),
        (11, b"rsync: write failed on \"x\": No space left on device (28)\nrsync error: ...", "DiskFull", True),
        (11, b"rsync: mkstemp failed: Read-only file system (30)", "ReadOnly", True),
        (255, b"Host key verification failed.\nrsync: connection unexpectedly closed", "HostKeyChanged", False),
        (255, b"media@h: Permission denied (publickey).", "AuthenticationFailed", True),
        (12, b"bash: line 1: rsync: command not found", "RsyncMissing", False),
        (127, b"", "RsyncMissing", False),
        (20, b"", "Interrupted", True),
        (23, b"rsync: link_stat failed", "FilesMissing", True),
        (24, b"", "FilesVanished", True),
        (30, b"", "TimedOut", True),
        (99, b"", "RsyncFailed", True),
    ],
)  # fmt: skip
def test_what_an_exit_status_means(code: int, stderr: bytes, reason: str, transient: bool) -> None:
    problem = failure(code, stderr)
    assert (problem.reason, problem.transient) == (reason, transient)
    assert str(problem)


def test_what_ssh_says_before_it_makes_a_connection_of_its_own_is_no_reason() -> None:
    aside = b"Control socket connect(/home/m/k.ssh): Connection refused\r\n"
    said = aside + b"ssh: connect to host nas port 22: No route to host\r\n"
    assert str(failure(255, said)).endswith(": ssh: connect to host nas port 22: No route to host")


def test_a_path_of_four_thousand_bytes_leaves_its_ends() -> None:
    said = b"[Errno 36] File name too long: b'/srv/" + b"d" * 4000 + b"/leaf'\n"
    for told in (str(failure(11, said)), Completed(1, b"", said).complaint):
        assert len(told) < 600 and "File name too long" in told and told.endswith("/leaf'")
