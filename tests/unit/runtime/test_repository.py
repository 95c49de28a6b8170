"""A git branch as desired state: a commit is followed whole or not at all, and nothing of git's can run."""

import os
import re
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


SSH = """\
#!/bin/sh
# an ssh to this machine, that stalls once where STALL is
for word; do :; done
case $word in
git-upload-pack*)
    if rm "$STALL" 2>/dev/null; then sleep 600; fi
    eval "$word"
    ;;
*) exit 1 ;;
esac
"""


async def test_a_line_that_stalls_costs_no_mirror(work, store, tmp_path, monkeypatch):
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "ssh"))
    monkeypatch.setenv("STALL", str(tmp_path / "stall"))
    source = open_source(f"git+ssh://here{work.path}#main:home", store, patient=False)
    assert (await source.read()).healthy
    (mirror,) = (store.folder / "mirrors").iterdir()
    (mirror / "is the same").touch()
    head = work.commit(alpha=FLOOR.format(name="alpha", copies=3))
    (tmp_path / "stall").touch()
    with monkeypatch.context() as hasty:
        hasty.setattr("telarchy.runtime.repository.NETWORK_SECONDS", 1.0)
        stalled = await source.read()
    (tmp_path / "stall").unlink(missing_ok=True)
    assert "cannot be fetched: no answer within 1 s; 2 resources as last declared stay" in stalled.message
    assert (mirror / "is the same").exists()  # the next time only what is new has to come
    assert (await source.read()).revision == head


SLOW_GIT = """\
#!/bin/sh
# a git that is slow at one thing, as on a disk that has much else to do
case " $* " in
*" $SLOW "*) exec sleep 600 ;;
esac
exec {git} "$@"
"""


@pytest.mark.parametrize("slow", ["ls-tree", "cat-file"])
async def test_a_disk_that_is_slow_costs_no_mirror(work, store, tmp_path, monkeypatch, slow):
    source = open_source(work.address, store, patient=False)
    assert (await source.read()).healthy
    (mirror,) = (store.folder / "mirrors").iterdir()
    (mirror / "is the same").touch()
    head = work.commit(alpha=FLOOR.format(name="alpha", copies=3))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(SLOW_GIT.format(git=shutil.which("git")))
    (tmp_path / "bin/git").chmod(0o755)
    with monkeypatch.context() as busy:
        busy.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        busy.setenv("SLOW", slow)
        busy.setattr("telarchy.runtime.repository.LOCAL_SECONDS", 3.0)
        slowly = await source.read()
    assert "no answer within 3 s; 2 resources as last declared stay" in slowly.message
    assert (mirror / "is the same").exists()
    assert (await source.read()).revision == head


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
class Signed:
    """A branch, of whose commits each is signed by whom the test says, and the file of who may."""

    def __init__(self, work, store, folder):
        self.work, self.store, self.folder, self.copies = work, store, folder, 2
        for name in ("owner", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        self.signers = folder / "signers"
        self.allow("owner")

    def allow(self, name, how=""):
        self.signers.write_text(
            f"# who may\nx@example.org {how} " + (self.folder / f"{name}.pub").read_text()
        )

    def commit(self, by=""):
        """With one copy more than the commit before."""
        key = ("-c", f"user.signingkey={self.folder / by}", "-c", "commit.gpgsign=true") if by else ()
        self.copies += 1
        return self.work.commit(
            *("-c", "gpg.format=ssh", *key), alpha=FLOOR.format(name="alpha", copies=self.copies)
        )

    def open(self):
        return open_source(self.work.address, self.store, allowed_signers=self.signers, patient=False)


@pytest.fixture
def signed(work, store, tmp_path):
    return Signed(work, store, tmp_path)


def stays(revision, copies):
    """The last good revision is kept, and the reason is told; this is it."""
    assert not revision.healthy
    assert [one.spec.copies for one in revision.resources if one.name == "alpha"] == [copies]
    told = re.fullmatch(
        r"revision [0-9a-f]{12} is not followed: no good signature of an allowed signer \((.*)\);"
        r" 2 resources as last declared stay",
        revision.message,
    )
    assert told, revision.message
    return told[1]


async def test_only_commits_of_allowed_signers_are_followed(signed, store):
    source = signed.open()
    unsigned = await source.read()
    assert (unsigned.resources, unsigned.healthy) == ((), False)
    assert "no good signature of an allowed signer (it has no ssh signature)" in unsigned.message
    signed.commit("owner")
    assert (await source.read()).resources[0].spec.copies == 3
    signed.commit("stranger")
    why = stays(await source.read(), 3)
    assert re.fullmatch(rf"ED25519 key SHA256:\S+ is nobody's in {signed.signers}, or no longer", why)
    assert [event.reason for event in store.events.recent()][-1] == "SignatureRefused"
    signed.commit("owner")
    assert (await source.read()).resources[0].spec.copies == 5


async def test_only_the_newest_commit_lacks_its_signature(signed):
    signed.commit("owner")
    assert (await signed.open().read()).healthy
    signed.commit()
    assert stays(await signed.open().read(), 3) == "it has no ssh signature"
    signed.commit("owner")  # the newest commit vouches for what was before it
    assert (await signed.open().read()).resources[0].spec.copies == 5


PGP = """\
#!/bin/sh
# signs anything, and calls it good, as gpg tells git
cat > /dev/null
case "$*" in
*--verify*) printf '\\n[GNUPG:] GOODSIG 1 x\\n[GNUPG:] TRUST_ULTIMATE\\n' ;;
*)
    printf '\\n[GNUPG:] SIG_CREATED \\n' >&2
    printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nx\\n-----END PGP SIGNATURE-----\\n'
    ;;
esac
"""


async def test_a_signature_of_another_kind_does_not_count(signed, tmp_path, monkeypatch):
    signed.commit("owner")
    assert (await signed.open().read()).healthy
    (tmp_path / "pgp").write_text(PGP)
    (tmp_path / "pgp").chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[gpg]\nprogram = {tmp_path / 'pgp'}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    signed.work.commit(
        *("-c", "commit.gpgsign=true", "-c", f"gpg.program={tmp_path / 'pgp'}"),
        alpha=FLOOR.format(name="alpha", copies=9),
    )
    assert "gpgsig -----BEGIN PGP" in signed.work.git("cat-file", "commit", "HEAD")
    assert signed.work.git("-c", f"gpg.program={tmp_path / 'pgp'}", "log", "-1", "--format=%G?") == "G"
    assert stays(await signed.open().read(), 3) == "it has no ssh signature"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda signed: signed.signers.unlink(), r"{file} cannot be read: no such file or directory"),
        (lambda signed: signed.signers.write_text(""), r"{file} names nobody"),
        (lambda signed: signed.signers.write_text("\n # nobody yet\n"), r"{file} names nobody"),
        (
            lambda signed: signed.signers.write_text("me me me\n"),
            r"ED25519 key \S+ is nobody's in {file}, .*",
        ),
        (lambda signed: signed.allow("stranger"), r"ED25519 key \S+ is nobody's in {file}, or no longer"),
        (
            lambda signed: signed.allow("owner", 'valid-before="20200101"'),
            r"ED25519 key \S+ is nobody's in {file}, or no longer",
        ),
    ],
)
async def test_the_file_of_allowed_signers_is_of_no_use(signed, change, says):
    source = signed.open()
    signed.commit("owner")
    assert (await source.read()).healthy
    change(signed)
    signed.commit("owner")
    assert re.fullmatch(says.format(file=re.escape(str(signed.signers))), stays(await source.read(), 3))
    signed.allow("owner")
    assert (await source.read()).resources[0].spec.copies == 4


@pytest.mark.parametrize("text", ["", "home"])
def test_signatures_of_what_has_none_cannot_be_verified(signed, store, text):
    with pytest.raises(ConfigError, match=r"only commits are signed: .* a source like git\+https://"):
        open_source(text and str(signed.work.path / text), store, allowed_signers=signed.signers)


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
