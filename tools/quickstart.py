"""Makes the quick start: three folders that play hosts, small sample media in them, and the manifests.

The media are random bytes under the names of old films and of series that never were. What is there already
stays as it is, so `make run` goes on where it stopped.
"""

from __future__ import annotations

import json
import random
import shutil
import socket
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
TARGET = HERE / "quickstart"
MANIFESTS = HERE / "examples" / "quickstart"
PLACEHOLDER = "/srv/quickstart"  # stands in the manifests where the real folder goes
MIB = 1 << 20
PORT = 8090  # of the page, on this machine only

# title -> (hosts that have it, sizes of its files in MiB)
LIBRARY: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "films/A Trip to the Moon (1902)": (("attic", "cellar"), (3,)),
    "films/Nosferatu (1922)": (("attic",), (12,)),
    "films/Häxan (1922)": (("cellar",), (5,)),
    "films/The General (1926)": (("laptop",), (16,)),
    "films/Metropolis (1927)": (("laptop", "cellar"), (9, 0.1)),
    "films/Man with a Movie Camera (1929)": (("attic",), (4,)),
    "tv/The Night Watch/Season 01": (("attic", "laptop"), (2, 2, 2, 2)),
    "tv/The Night Watch/Season 02": (("laptop",), (3, 3, 4)),
    "tv/Harbour Lights/Season 01": (("cellar",), (1.5,) * 6),
    "tv/Harbour Lights/Season 02": (("attic", "cellar"), (1.5,) * 6),
    "tv/Harbour Lights/Season 03": (("attic",), (1.5,) * 4),
    "tv/Peculiar Islands/Specials": (("laptop",), (0.5, 0.5)),
}
HOSTS = ("attic", "cellar", "laptop")


def main() -> None:
    made_for = TARGET / ".made-for"
    if made_for.is_file() and made_for.read_text() != str(TARGET):
        sys.exit(f"telarchy: {TARGET} was made in another place; `make clean-run` starts it afresh")
    if not made_for.is_file():
        shutil.rmtree(TARGET, ignore_errors=True)
        make_media()
        make_manifests()
        made_for.write_text(str(TARGET))


def where_to_listen() -> str:
    """The usual port of the quick start, or a free one where something else has it."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", PORT))
        except OSError:
            return "127.0.0.1:0"
    return f"127.0.0.1:{PORT}"


def make_media() -> None:
    for host in HOSTS:
        (TARGET / "hosts" / host / "media").mkdir(parents=True)
    for title, (holders, sizes) in LIBRARY.items():
        for path, content in files_of(title, sizes):
            for host in holders:
                file = TARGET / "hosts" / host / "media" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)


def files_of(title: str, sizes: tuple[float, ...]) -> list[tuple[str, bytes]]:
    """The files of a title. The same title has the same bytes on every host."""
    name = title.rsplit("/", 1)[-1]
    chance = random.Random(title)
    made = []
    for number, size in enumerate(sizes, start=1):
        if size < 0.5:
            file = f"{name}.en.srt"
        elif title.startswith("films/"):
            file = f"{name}.mkv"
        else:
            file = f"Episode {number:02}.mkv"
        made.append((f"{title}/{file}", chance.randbytes(int(size * MIB))))
    return made


def make_manifests() -> None:
    (TARGET / "fleet").mkdir(parents=True)
    here = json.dumps(str(TARGET), ensure_ascii=False)[1:-1]  # as it stands between YAML's double quotes
    for manifest in sorted(MANIFESTS.glob("*.yaml")):
        text = manifest.read_text(encoding="utf-8").replace(f'"{PLACEHOLDER}', f'"{here}')
        (TARGET / "fleet" / manifest.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["listen"]:
        print(where_to_listen())  # noqa: T201 - for the Makefile
    else:
        main()
