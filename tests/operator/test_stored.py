"""What the API server keeps of what it is given: all of it, or every tool that compares finds a difference for ever."""

from __future__ import annotations

import aiohttp
import pytest
import yaml

from telarchy.resources.meta import API_VERSION
from tests.operator.client import GROUP, PLURALS
from tests.operator.conftest import ROOT
from tests.operator.test_examples import EXAMPLES, AsKubectl
from tests.operator.test_objects import HOST, root
from tests.unit.resources.test_rules import CASES


@pytest.mark.parametrize("plural", PLURALS.values())
async def test_a_definition_is_stored_as_it_is_written(api, plural):
    wanted = yaml.safe_load((ROOT / f"crds/telarchy.dev_{plural}.yaml").read_text())["spec"]
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.telarchy.dev"
    found = (await api.call("GET", path))["spec"]
    assert found.pop("conversion", {"strategy": "None"}) == {"strategy": "None"}
    assert found == wanted


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name)
async def test_an_example_is_stored_as_it_is_written(api, example):
    for path in sorted(example.glob("*.yaml")):
        for one in yaml.load_all(path.read_text(), AsKubectl):
            await api.apply(one["kind"], spec=one["spec"], **one["metadata"])
            found = await api.get(one["kind"], one["metadata"]["name"])
            assert found["spec"] == one["spec"]
            assert found["status"] == {"observedGeneration": -1}


async def test_what_no_schema_describes_is_dropped(api):
    connection = {"local": {"sudo": True}, "vpn": "home"}
    await api.apply("Host", "attic", HOST | root("attic") | {"connection": connection, "colour": "red"})
    assert (await api.get("Host", "attic"))["spec"] == HOST | root("attic")


async def test_the_api_server_judges_every_case_as_the_models_do(api):
    """`test_rules.py` puts them to the models, and to a stand-in for the API server."""
    judged = []
    for case in CASES:
        body = {"apiVersion": API_VERSION, "kind": case["kind"], "metadata": {"name": case.get("name", "x")}}
        path = f"{GROUP}/namespaces/{api.namespace}/{PLURALS[case['kind']]}?dryRun=All&fieldValidation=Strict"
        try:
            await api.call("POST", path, body | {"spec": case["spec"]})
        except aiohttp.ClientResponseError as error:
            judged.append((case, error.message))
        else:
            judged.append((case, ""))
    assert [one for one in judged if bool(one[1]) != ("breaks" in one[0])] == []
    assert (await api.call("GET", f"{GROUP}/namespaces/{api.namespace}/hosts"))["items"] == []
