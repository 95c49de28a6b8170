"""`telarchy enroll` passes on what is known, and keeps stdout for the manifest."""

from types import SimpleNamespace

import pytest

from telarchy.cli import enroll
from telarchy.cli import main as entry
from telarchy.links.enrol import Enrolment, Step
from telarchy.resources.loader import load_text
from telarchy.store import Store

HOST = """\
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {name: black}
spec:
  class: Seedbox
  connection: {ssh: {endpoints: ["media@192.0.2.11:2222"], hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ5"}}
  mediaRoots: [{name: main, path: /srv/media}]
"""


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def enrol(target, **more):
        more["say"]("already: it has rsync")
        calls.append((target, more))
        steps = (Step("install rsync", "by-hand"), Step("make the folder", "done"))
        return Enrolment({"kind": "Host", "metadata": {"name": more["name"]}}, steps)

    monkeypatch.setattr("telarchy.links.enrol.enrol", enrol)
    return calls


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        entry.main([str(argument) for argument in arguments])
    return end.value.code, capsys.readouterr()


def test_the_manifest_is_all_that_goes_to_stdout(capsys, asked, tmp_path):
    arguments = ("--name", "attic", "--root", "/srv/a", "--dry-run", "--state", tmp_path)
    code, shown = call(capsys, "enroll", "media@192.0.2.11", *arguments)
    assert (code, shown.out) == (0, "kind: Host\nmetadata:\n  name: attic\n")
    assert shown.err == "already: it has rsync\n1 thing left to do by hand:\n  install rsync\n"
    ((target, more),) = asked
    assert (target, more["roots"], more["dry_run"], more["pinned"]) == (
        "media@192.0.2.11",
        ("/srv/a",),
        True,
        "",
    )


def test_a_declared_host_is_enrolled_by_its_name(capsys, asked, tmp_path):
    with Store.open(tmp_path) as store:
        store.objects.apply([one.resource for one in load_text(HOST, "-").resources], 0)
    assert call(capsys, "enroll", "black", "--state", tmp_path)[0] == 0
    ((target, more),) = asked
    assert (target, more["name"], more["roots"]) == ("media@192.0.2.11:2222", "black", ("/srv/media",))
    assert (more["pinned"].split()[0], more["host_class"]) == ("ssh-ed25519", "Seedbox")


def test_a_declared_host_is_logged_in_to_with_the_key_of_its_manifest(capsys, asked, tmp_path):
    """It was asked for a key on the command line that it had been given before."""
    reference = 'endpoints: ["media@192.0.2.11:2222"], identity: {secretRef: {name: box, key: id}},'
    text = HOST.replace('endpoints: ["media@192.0.2.11:2222"],', reference)
    with Store.open(tmp_path) as store:
        store.objects.apply([one.resource for one in load_text(text, "-").resources], 0)
    code, shown = call(capsys, "enroll", "black", "--state", tmp_path)
    # It may be where only the controller has it: in a cluster, or in its environment.
    assert code == 0 and "secret box/id is not there: put it into" in shown.err
    assert "trying your own keys and agent" in shown.err
    ((_, more),) = asked
    assert (more["identity"], more["secret"]) == (None, ("box", "id"))
    asked.clear()
    (tmp_path / "secrets/box").mkdir(parents=True)
    (tmp_path / "secrets/box/id").write_text("a private key\n")
    assert call(capsys, "enroll", "black", "--state", tmp_path)[0] == 0
    ((_, more),) = asked
    assert (more["identity"].reveal(), more["secret"]) == (b"a private key", ("box", "id"))


def test_an_unknown_name_is_refused(capsys, asked, tmp_path):
    code, shown = call(capsys, "enroll", "nobody", "--state", tmp_path)
    assert (code, asked) == (1, [])
    assert shown.err == "telarchy: no host nobody is declared; for a new one, write user@address\n"


def test_a_manifest_with_an_error_is_in_nobodys_way(capsys, asked, tmp_path, monkeypatch):
    """What was done on the new host is told all the same."""
    broken = {
        "kind": "Host",
        "metadata": {"name": "attic"},
        "spec": {},
        "status": {"conditions": [{"type": "Stalled"}]},
    }
    monkeypatch.setattr(
        enroll, "connect", lambda state, quiet: SimpleNamespace(ask=lambda *_, **__: [broken])
    )
    code, shown = call(capsys, "enroll", "media@192.0.2.11", "--name", "nas", "--state", tmp_path)
    assert (code, shown.out) == (0, "kind: Host\nmetadata:\n  name: nas\n")
    assert (
        "not now, but at the first copy: pulls between it and attic, whose manifest has an error" in shown.err
    )
