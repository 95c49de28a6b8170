"""`kubectl telarchy …` with the kubectl that is installed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys

import pytest
import yaml

from telarchy.streaming import tokens
from tests.operator.client import until
from tests.operator.processes import ROOT, kubeconfig_for
from tests.operator.test_objects import FLOOR, HOST, root
from tests.operator.test_secrets import put

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


@pytest.fixture
async def plugin(gate, api, tmp_path):
    """Runs the plugin; returns exit code, output and complaints."""
    kubeconfig = tmp_path / "plugin-kubeconfig"
    config = kubeconfig_for(gate.url)
    config["contexts"][0]["context"]["namespace"] = api.namespace
    kubeconfig.write_text(yaml.safe_dump(config))

    async def run(*words, options=()):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from telarchy.cli.main import kubectl; kubectl()",
            *words,
            f"--kubeconfig={kubeconfig}",
            *options,
            cwd=ROOT / "controller",
            env={key: value for key, value in os.environ.items() if key != "TELARCHY_NAMESPACE"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaints = await process.communicate()
        return process.returncode, out.decode(), complaints.decode()

    return run


async def test_the_verbs_speak_of_the_current_context(api, operators, plugin):
    await api.apply("Fleet", "home", {}, labels={"hold": "yes"})
    await api.apply("Host", "attic", HOST | root("attic"))
    await api.apply("CustodyFloor", "films", FLOOR)
    await operators.start()
    await api.until_ready("Host", "attic")

    async def held() -> bool:
        return bool((await api.get("Fleet", "home"))["status"].get("held"))

    await until(held, "a change is held")
    code, out, complaints = await plugin("get", "hosts")
    assert code == 0 and "attic" in out and "Up" in out, complaints
    code, out, complaints = await plugin("plan")
    assert code == 2, complaints
    (hold,) = (await api.get("Fleet", "home"))["status"]["held"]
    assert hold["hash"] in out and "place 2 toys" in out
    code, out, _ = await plugin("why", "floor", "films")
    assert code == 0 and "Ready: False (Copying) 2 toys are missing" in out
    code, out, complaints = await plugin("events", "--for", "host/attic")
    assert code == 0 and "answers" in out, complaints
    code, out, complaints = await plugin("approve", "ffff")
    assert code == 1 and hold["hash"] in complaints
    code, out, complaints = await plugin("approve", hold["hash"][:6])
    assert code == 0 and "released" in out, complaints
    await api.until_ready("CustodyFloor", "films")
    code, _, complaints = await plugin("reconcile")
    assert code == 0, complaints
    code, _, complaints = await plugin("get", "hosts", options=("-n", "elsewhere"))
    assert code == 0 and "No resources found in elsewhere namespace" in complaints
    code, _, complaints = await plugin("validate", options=("-n", "elsewhere"))
    assert code == 0 and "0 resources read: no problems" in complaints
    code, _, complaints = await plugin("apply", "-f", str(ROOT / "examples" / "quickstart"))
    assert code == 1 and "use kubectl apply" in complaints


async def test_what_is_in_the_cluster_is_validated_with_what_holds_between_objects(api, plugin):
    await api.apply("Fleet", "home", {})
    await api.apply("Host", "attic", HOST | root("attic"))
    await api.apply("CustodyFloor", "films", FLOOR)
    code, out, complaints = await plugin("validate")
    assert (code, out) == (0, "") and "3 resources read: no problems" in complaints
    await api.apply("CustodyFloor", "films", FLOOR | {"copies": 3})
    window = {"start": "01:00", "end": "06:00", "timeZone": "Mars/Olympus_Mons"}
    await api.apply("Fleet", "home", {"transfers": {"windows": [window]}})  # the CRD knows no time zones
    code, out, complaints = await plugin("validate")
    assert code == 1 and "2 errors" in complaints
    assert "custodyfloor/films: no set of hosts can meet this floor" in out
    assert "fleet/home: " in out and "Mars/Olympus_Mons" in out
    code, out, _ = await plugin("validate", "-o", "json")
    assert code == 1 and '"fleet/home"' in out


async def test_the_columns_that_kubectl_prints(api, operators, plugin, tmp_path):
    await api.apply("Fleet", "home", {})
    await api.apply("Host", "attic", HOST | root("attic"))
    await api.apply("CustodyFloor", "films", FLOOR)
    await operators.start()
    await api.until_ready("CustodyFloor", "films")
    await api.apply("Fleet", "home", {"suspend": True})
    await api.until_ready("Fleet", "home")

    async def get(*words: str) -> list[list[str]]:
        process = await asyncio.create_subprocess_exec(
            *("kubectl", f"--kubeconfig={tmp_path / 'plugin-kubeconfig'}", "get", *words),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"HOME": str(tmp_path)},
        )
        out, _ = await process.communicate()
        lines = out.decode().splitlines()
        starts = [found.start() for found in re.finditer(r"\S+( \S+)*", lines[0])]  # a cell may be empty
        ends = [*starts[1:], None]
        return [[line[at:end].strip() for at, end in zip(starts, ends, strict=True)] for line in lines]

    head, fleet = await get("fl", "-o", "wide")
    assert head[0] == "NAME" and head[-2:] == ["AGE", "SUSPENDED"]
    row = dict(zip(head, fleet, strict=True))
    assert (row["NAME"], row["READY"], row["STATUS"], row["SUSPENDED"]) == ("home", "True", "kept", "true")
    head, fleet = await get("fleets")
    assert "SUSPENDED" not in head and "READY" in head
    head, floor = await get("floors")
    row = dict(zip(head, floor, strict=True))
    assert (row["MET"], row["TITLES"], row["READY"]) == ("2", "2", "True")
    head, host = await get("ho")
    row = dict(zip(head, host, strict=True))
    assert (row["CLASS"], row["STATE"], row["READY"], row["STATUS"]) == ("Server", "Up", "True", "answers")
    named = {line[0] for line in await get("telarchy", "-o", "name")}
    assert named == {
        "fleet.telarchy.dev/home",
        "host.telarchy.dev/attic",
        "custodyfloor.telarchy.dev/films",
    }


KUBECTL_WORDS = (
    ("hosts", "-o", "jsonpath={.items[*].metadata.name}"),
    (
        "host",
        "attic",
        "-o",
        "jsonpath={.metadata.labels.example\\.org/rack}|{.spec.mediaRoots[-1].name}|{.nope}",
    ),
    (
        "hosts",
        "-o=jsonpath={range .items[*]}{.metadata.name}{'\\t'}{range .spec.mediaRoots[*]}{.path} {end}{'\\n'}{end}",
    ),
    ("hosts", "-o", "jsonpath={.items[?(@.metadata.name=='black')].spec}{.items[?(@.metadata.labels)].kind}"),
    ("hosts", "-o", "jsonpath={.items[*]['metadata.name', 'spec.class']}|{.items..path}"),
    ("hosts", "-o", "jsonpath-as-json={.items[*].metadata.labels}"),
    ("hosts", "-o", "jsonpath={.items[7].kind}"),
    ("hosts", "--sort-by=.spec.mediaRoots[0].reserve", "-o", "jsonpath={.items[*].metadata.name}"),
    ("hosts", "--sort-by={.spec.nope}", "-o", "name"),
    ("hosts", "-o", "custom-columns=NAME:.metadata.name,ROOTS:.spec.mediaRoots[*].name,NOPE:.nope"),
    ("hosts", "-o=custom-columns=NAME:metadata.name,KIND:{.kind}", "-l=!rack", "--no-headers=true"),
    ("fleets", "-o", "custom-columns=NAME:.metadata.name"),
    ("host", "nope", "--ignore-not-found", "-o", "json"),
    ("host", "nope", "-o", "jsonpath={.kind}"),
    ("host", "black", "-A"),
)


async def test_templates_columns_and_order_are_those_of_kubectl(api, plugin, tmp_path):
    attic = {"name": "main", "path": "/srv/attic", "reserve": "50Gi"}
    black = {"name": "main", "path": "/srv/black", "reserve": "500Mi"}
    other = {"name": "other", "path": "/srv/other"}
    await api.apply("Host", "attic", HOST | {"mediaRoots": [attic, other]}, labels={"example.org/rack": "r1"})
    await api.apply("Host", "black", HOST | {"mediaRoots": [black]})
    for words in KUBECTL_WORDS:
        process = await asyncio.create_subprocess_exec(
            *("kubectl", f"--kubeconfig={tmp_path / 'plugin-kubeconfig'}", "get", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"HOME": str(tmp_path)},
        )
        theirs, _ = await process.communicate()
        code, ours, complaints = await plugin("get", *words)
        assert ours == theirs.decode(), (words, complaints)
        assert bool(code) == bool(process.returncode), (words, complaints)
    code, out, complaints = await plugin("get", "hosts", "-A", "--no-headers")
    assert code == 0, complaints
    assert [api.namespace, "black"] in [line.split()[:2] for line in out.splitlines()]


async def test_the_operator_itself_is_asked_for_every_step(tmp_path):
    """With a kubectl that knows a Lease, a pod, and what is said in it."""
    asked = tmp_path / "asked"
    plan = {
        "kind": "Plan",
        "apiVersion": "x",
        "settled": False,
        "unsettled": ["floor/a"],
        "holds": [],
        "steps": [],
    }
    plan |= {"at": 1, "beyond": {"count": 7, "bytes": 0}, "hosts": {}, "floors": [], "cutOff": False}
    pod = {
        "metadata": {"name": "telarchy-5d9-x", "namespace": "media"},
        "spec": {"containers": [{"args": ["operator", "--state=/elsewhere"]}]},
    }
    answers = {
        "leases.coordination.k8s.io": {"spec": {"holderIdentity": "telarchy-5d9-x"}},
        "pods": {"items": [pod]},
        "exec": plan,
    }
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f"#!{sys.executable}\nimport json, sys\nwords = sys.argv[1:]\n"
        f"open({str(asked)!r}, 'a').write(' '.join(words) + chr(10))\n"
        f"answers = {answers!r}\nprint(next((json.dumps(answers[one]) for one in answers if one in words), ''))\n"
        "sys.exit(2 if 'exec' in words else 0)\n"
    )
    kubectl.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from telarchy.cli.main import kubectl; kubectl()"),
        *("plan", "--live", "-o", "json", "--context=prod", "-n", "home"),
        cwd=ROOT / "controller",
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaints = await process.communicate()
    assert process.returncode == 2, complaints.decode()
    assert yaml.safe_load(out)["beyond"]["count"] == 7
    *_, last = asked.read_text().splitlines()
    assert last == (
        "--context=prod --namespace=media exec telarchy-5d9-x -c operator -- "
        "telarchy plan -o json --state /elsewhere/home"
    )


async def test_a_key_and_a_signed_url_for_a_stream_in_the_cluster(api, plugin):
    playback = {"secretRef": {"name": "garden-playback", "key": "new"}}
    await api.apply("Stream", "garden", {"ingest": {"rtmp": {}}, "playback": playback})
    await api.apply("Stream", "door", {"ingest": {"test": {}}})
    await api.apply(
        "MediaEndpoint",
        "cdn",
        {"role": "Edge", "hostRef": "vps", "publicURL": "https://live.example"}
        | {"sources": [{"endpointRef": "origin"}]},
    )
    path = f"/apis/telarchy.dev/v1alpha1/namespaces/{api.namespace}/streams"
    endpoints = [{"name": "cdn", "role": "Edge", "state": "Healthy"}]
    live = {"phase": "Live", "generation": "g1-0123abcd", "endpoints": endpoints}
    for name in ("garden", "door"):
        await api.call(
            "PATCH", f"{path}/{name}/status", {"status": live}, kind="application/merge-patch+json"
        )
    await put(api, "garden-playback", old=b"x")
    code, _, complaints = await plugin("playback-url", "garden")
    assert code == 1 and "the Secret garden-playback has no key new" in complaints
    await put(api, "garden-playback", new=b"s3cret")
    code, out, complaints = await plugin("playback-url", "garden", "--for", "1h")
    assert code == 0, complaints
    found = re.fullmatch(r"https://live\.example/p/([\w-]{43})/(\d{10})/live/garden/master\.m3u8\n", out)
    assert found is not None, out
    assert tokens.verify(["s3cret"], "garden", found[1], found[2], 0.0) is tokens.Verdict.VALID
    code, _, complaints = await plugin("playback-url", "door")
    assert code == 1 and "inside the operator's pod" in complaints

    code, out, complaints = await plugin("stream-key", "create", "garden")
    assert code == 0 and yaml.safe_load(out)["spec"]["streamRef"] == "garden"
    assert yaml.safe_load(out)["metadata"] == {"name": "garden-key", "namespace": api.namespace}
    assert re.search(r"^ {4}[0-9a-f]{64}$", complaints, re.M)
