"""A git branch as desired state: a commit is followed whole or not at all, and nothing of git's can run."""

import os
import shutil
import subprocess

import pytest

from telarchy.errors import ConfigError
from telarchy.runtime.repository import GitAddress
from telarchy.runtime.sources import open_source
from telarchy.store import Store

FLOOR = """\
apiVersion: telarchy.dev/v1alpha1
kind: CustodyFloor
metadata: {{name: {name}}}
spec:
  select: {{paths: ["{name}/*"]}}
  copies: {copies}
"""

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Work:
    """A work tree that is cloned from by address."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments):
        identity = {
            f"GIT_{who}_{what}": "x@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        environment = (
            os.environ | identity | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        )
        return subprocess.run(
            ["git", "-C", self.path, *arguments], check=True, capture_output=True, text=True, env=environment
        ).stdout.strip()

    def commit(self, *options, **files):
        for name, text in files.items():
            file = self.path / "home" / f"{name}.yaml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        self.git("add", "-A")
        self.git(*options, "commit", "-q", "-m", "change")
        return self.git("rev-parse", "HEAD")[:12]

    @property
    def address(self):
        return f"git+file://{self.path}#main:home"


@pytest.fixture
def work(tmp_path):
    work = Work(tmp_path / "work")
    work.commit(alpha=FLOOR.format(name="alpha", copies=2), beta=FLOOR.format(name="beta", copies=2))
    return work


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


def names(revision):
    return sorted(resource.name for resource in revision.resources)


async def test_follows_the_branch(work, store):
    source = open_source(work.address, store, patient=False)
    assert names(await source.read()) == ["alpha", "beta"]
    head = work.commit(alpha=FLOOR.format(name="alpha", copies=3))
    revision = await source.read()
    assert (revision.revision, revision.healthy) == (head, True)
    assert revision.resources[0].spec.copies == 3


async def test_a_resource_that_left_git_is_pruned(work, store):
    source = open_source(work.address, store, patient=False)
    await source.read()
    work.git("rm", "-q", "home/alpha.yaml")
    work.commit()
    assert names(await source.read()) == ["beta"]


async def test_a_bad_commit_is_refused_as_a_whole(work, store):
    source = open_source(work.address, store, patient=False)
    good = await source.read()
    bad = work.commit(alpha=FLOOR.format(name="alpha", copies=3), beta="kind: [")
    revision = await source.read()
    assert not revision.healthy
    assert revision.resources == good.resources
    assert revision.revision == good.revision
    assert f"revision {bad} is not followed: home/beta.yaml:" in revision.message


async def test_a_commit_without_manifests_prunes_nothing(work, store):
    source = open_source(work.address, store, patient=False)
    await source.read()
    work.git("rm", "-q", "home/alpha.yaml", "home/beta.yaml")
    work.commit(note="a: 1\n")
    revision = await source.read()
    assert names(revision) == ["alpha", "beta"]
    assert not revision.healthy


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda work: shutil.rmtree(work.path), "cannot be fetched"),
        (lambda work: work.git("branch", "-m", "main", "other"), "cannot be fetched"),
        (lambda work: (work.git("mv", "home", "away"), work.commit()), "no folder home"),
    ],
)
async def test_a_failing_repository_prunes_nothing(work, store, change, says):
    source = open_source(work.address, store, patient=False)
    await source.read()
    change(work)
    revision = await source.read()
    assert names(revision) == ["alpha", "beta"]
    assert not revision.healthy
    assert says in revision.message


def rot_everything(mirror):
    for file in (one for one in mirror.rglob("*") if one.is_file()):
        file.chmod(0o600)
        file.write_bytes(b"")


def lose_the_manifests(mirror):
    git = ["git", "--git-dir", mirror]
    listing = subprocess.run([*git, "ls-tree", "-r", "refs/telarchy/head"], check=True, capture_output=True)
    (mirror / "shallow").unlink(missing_ok=True)
    for pack in mirror.glob("objects/pack/*.pack"):
        loose = pack.read_bytes()
        for file in pack.parent.glob(f"{pack.stem}.*"):
            file.unlink()
        subprocess.run([*git, "unpack-objects", "-q"], check=True, input=loose)
    for line in listing.stdout.decode().splitlines():
        digest = line.split()[2]
        (mirror / "objects" / digest[:2] / digest[2:]).unlink(missing_ok=True)


@pytest.mark.parametrize(
    "damage",
    [
        rot_everything,  # what a power cut leaves
        lose_the_manifests,
        lambda mirror: (mirror / "shallow.lock").touch(),  # what a killed git leaves
        lambda mirror: (mirror / "HEAD").unlink(),
        lambda mirror: (shutil.rmtree(mirror), mirror.write_text("no folder")),
    ],
    ids=["rotten", "incomplete", "locked", "headless", "file"],
)
@pytest.mark.parametrize("news", [True, False])
async def test_a_damaged_mirror_is_made_anew(work, store, damage, news):
    await open_source(work.address, store, patient=False).read()
    (mirror,) = (store.folder / "mirrors").iterdir()
    damage(mirror)
    if news:
        work.commit(gamma=FLOOR.format(name="gamma", copies=2))
    revision = await open_source(work.address, store, patient=False).read()
    assert revision.healthy, revision.message
    assert names(revision) == ["alpha", "beta", *(["gamma"] if news else [])]


async def test_where_no_mirror_can_be_made_nothing_is_pruned(work, store):
    source = open_source(work.address, store, patient=False)
    await source.read()
    shutil.rmtree(store.folder / "mirrors")
    (store.folder / "mirrors").write_text("in the way")
    revision = await source.read()
    assert names(revision) == ["alpha", "beta"] and not revision.healthy


async def test_hooks_and_attributes_of_the_repository_do_nothing(work, store, tmp_path):
    source = open_source(work.address, store, patient=False)
    await source.read()
    marker = tmp_path / "ran"
    for hooks in (store.folder / "mirrors").glob("*"):
        (hooks / "hooks").mkdir(exist_ok=True)
        for name in ("reference-transaction", "post-checkout", "post-merge"):
            hook = hooks / "hooks" / name
            hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
            hook.chmod(0o755)
    (work.path / ".gitattributes").write_text("* export-ignore filter=evil\n")
    work.commit(alpha=FLOOR.format(name="alpha", copies=3))
    assert names(await source.read()) == ["alpha", "beta"]
    assert not marker.exists()


async def test_links_and_hidden_files_are_passed_over(work, store):
    (work.path / "home" / "link.yaml").symlink_to("/etc/hostname")
    (work.path / "home" / ".hidden.yaml").write_text("kind: [")
    work.commit()
    revision = await open_source(work.address, store, patient=False).read()
    assert revision.healthy
    assert names(revision) == ["alpha", "beta"]


async def test_a_reader_leaves_no_mirror_in_the_state_folder(work, store):
    with Store.open(store.folder, read_only=True) as reader:
        assert names(await open_source(work.address, reader, patient=False).read()) == ["alpha", "beta"]
    assert not (store.folder / "mirrors").exists()


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
async def test_only_commits_of_allowed_signers_are_followed(work, store, tmp_path):
    for name in ("owner", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    signers = tmp_path / "signers"
    signers.write_text("x@example.org " + (tmp_path / "owner.pub").read_text())

    def sign(name, copies):
        options = (
            "-c",
            "gpg.format=ssh",
            "-c",
            f"user.signingkey={tmp_path / name}",
            "-c",
            "commit.gpgsign=true",
        )
        return work.commit(*options, alpha=FLOOR.format(name="alpha", copies=copies))

    source = open_source(work.address, store, allowed_signers=signers, patient=False)
    unsigned = await source.read()
    assert (unsigned.resources, unsigned.healthy) == ((), False)
    assert "no good signature of an allowed signer (it is not signed)" in unsigned.message
    sign("owner", 3)
    assert (await source.read()).resources[0].spec.copies == 3
    sign("stranger", 9)
    refused = await source.read()
    assert not refused.healthy
    assert refused.resources[0].spec.copies == 3
    assert [event.reason for event in store.events.recent()][-1] == "SignatureRefused"
    sign("owner", 4)
    assert (await source.read()).resources[0].spec.copies == 4


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("git+https://example.org/f.git", ("https://example.org/f.git", "", "")),
        ("git+ssh://git@example.org/f.git#main", ("ssh://git@example.org/f.git", "main", "")),
        ("git+git@example.org:me/f.git#main:a/b/", ("git@example.org:me/f.git", "main", "a/b")),
        ("git+file:///srv/f.git#:home", ("file:///srv/f.git", "", "home")),
    ],
)
def test_addresses(text, parts):
    address = GitAddress.parse(text)
    assert (address.url, address.branch, address.path) == parts


@pytest.mark.parametrize(
    "text",
    [
        "git+ext::sh -c id",
        "git+--upload-pack=id",
        "git+https://example.org/f.git#--force",
        "git+https://example.org/f.git#main:../up",
        "git+https://example.org/f.git#a..b",
        "git+/srv/f.git",
    ],
)
def test_addresses_that_are_refused(text):
    with pytest.raises(ConfigError):
        GitAddress.parse(text)


def test_a_password_in_the_address_is_not_shown(store):
    source = open_source("git+https://me:secret@example.org/f.git", store)
    assert source.name == "git+https://example.org/f.git"
