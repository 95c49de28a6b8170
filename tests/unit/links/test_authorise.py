"""authorized_keys of a holder: exactly one line for each key, and not a byte of anybody else's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from telarchy.links.local import LocalLink
from telarchy.links.scripts import script

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789ABCDEF"
OTHER = KEY.replace("Abc", "Xyz")
FOREIGN = b"# mine\r\n\n  ssh-rsa AAAAB3 me@there  \nno newline at the \xff end"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/.ssh").mkdir(parents=True)
    (tmp_path / 'it\'s a "root"').mkdir()
    return tmp_path / "home"


async def authorise(home: Path, root: Path, key: str, tag: str = "telarchy:home:vps:/srv") -> str:
    answer = await LocalLink("black").run(
        ["env", f"HOME={home}", *script("route-authorise", str(root), tag, key)]
    )
    return answer.stdout.decode().strip() if answer.ok else f"{answer.code}: {answer.complaint}"


async def test_a_key_is_authorised_once_and_taken_back(home: Path, tmp_path: Path) -> None:
    root, file = tmp_path / 'it\'s a "root"', home / ".ssh/authorized_keys"
    file.write_bytes(FOREIGN)
    assert await authorise(home, root, KEY) == "authorised"
    content = file.read_bytes()
    assert content.startswith(FOREIGN + b"\n")
    line = content[len(FOREIGN) + 1 :].decode()
    quoted = str(root).replace("'", "'\\''").replace('"', '\\"')
    assert line == f"command=\"/usr/bin/rrsync -ro '{quoted}'\",restrict {KEY} telarchy:home:vps:/srv\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert await authorise(home, root, KEY) == "already"
    assert file.read_bytes() == content
    assert await authorise(home, root, OTHER) == "authorised"  # the target made itself a new key
    assert KEY.encode() not in file.read_bytes()
    assert await authorise(home, root, "") == "revoked"
    assert file.read_bytes() == FOREIGN + b"\n"
    assert [entry.name for entry in file.parent.iterdir()] == ["authorized_keys"]


async def test_many_at_once_lose_nothing(home: Path, tmp_path: Path) -> None:
    file = home / ".ssh/authorized_keys"
    file.write_bytes(FOREIGN)
    keys = [f"ssh-ed25519 AAAA{n:064}" for n in range(8)]
    await asyncio.gather(
        *(authorise(home, tmp_path, key, f"telarchy:home:h{n}:/srv") for n, key in enumerate(keys))
    )
    lines = file.read_bytes().splitlines()
    assert len(lines) == len(set(lines)) == 4 + len(keys)


async def test_an_empty_home_and_a_linked_file(home: Path, tmp_path: Path) -> None:
    (home / ".ssh").rmdir()
    assert await authorise(home, tmp_path, KEY) == "authorised"
    assert (home / ".ssh").stat().st_mode & 0o777 == 0o700
    elsewhere = tmp_path / "keys"
    (home / ".ssh/authorized_keys").rename(elsewhere)
    (home / ".ssh/authorized_keys").symlink_to(elsewhere)
    assert await authorise(home, tmp_path, OTHER, "telarchy:home:x:/srv") == "authorised"
    assert (home / ".ssh/authorized_keys").is_symlink()
    assert elsewhere.read_text().count("restrict") == 2


async def test_what_cannot_be_authorised_is_said(home: Path, tmp_path: Path) -> None:
    assert "no such folder" in await authorise(home, tmp_path / "none", KEY)
    assert not (home / ".ssh/authorized_keys").exists()
