"""`kubectl telarchy …` with the kubectl that is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys

import pytest
import yaml

from tests.operator.client import until
from tests.operator.processes import ROOT, kubeconfig_for
from tests.operator.test_objects import FLOOR, HOST, root

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
    code, _, complaints = await plugin("apply", "-f", str(ROOT / "examples" / "quickstart"))
    assert code == 1 and "use kubectl apply" in complaints
