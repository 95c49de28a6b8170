"""Which pulls a host that is enrolled takes part in."""

import pytest

from telarchy.links.pulls import pulls
from telarchy.resources.host import Host

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ5"


def host(name: str, *roots: str, local: bool = False, kind: str = "Server") -> Host:
    way = {"local": {}} if local else {"ssh": {"endpoints": [f"media@{name}.example"], "hostKey": KEY}}
    return Host.model_validate(
        {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": "Host",
            "metadata": {"name": name},
            "spec": {
                "class": kind,
                "connection": way,
                "mediaRoots": [{"name": f"r{number}", "path": root} for number, root in enumerate(roots)],
            },
        }
    )


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], set()),
        ([host("b", "/b")], {("b", "a", "/a"), ("b", "a", "/aa"), ("a", "b", "/b")}),
        ([host("tv", "/t", kind="Consumer")], {("a", "tv", "/t")}),  # it keeps no copies
        ([host("tv")], set()),  # shows films, and keeps none
        ([host("desk", "/d", local=True)], set()),  # its copies go by the controller's own login
        (
            [host("b", "/b"), host("c", "/c")],
            {(x, "a", root) for x in "bc" for root in ("/a", "/aa")} | {("a", x, f"/{x}") for x in "bc"},
        ),
    ],
)
def test_a_host_pulls_from_every_other_and_they_from_it(
    others: list[Host], expected: set[tuple[str, str, str]]
) -> None:
    assert set(pulls([host("a", "/a", "/aa"), *others], "a")) == expected
