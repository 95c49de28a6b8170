"""The generated files: up to date, and such that an API server and an editor take them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import Field

from telarchy.resources.crd import crd, crd_documents, structural_schema
from telarchy.resources.jsonschema import json_schema_documents
from telarchy.resources.meta import Kind, Resource, ResourceStatus, Spec
from telarchy.resources.registry import KINDS

from .api_server import structural_flaws

REPOSITORY = Path(__file__).parents[3]
STORY = Path(__file__).with_name("story.yaml")


@pytest.mark.parametrize(
    ("folder", "documents"),
    [("crds", crd_documents), ("schemas", json_schema_documents)],
    ids=["crds", "schemas"],
)
def test_generated_files_are_up_to_date(folder: str, documents: Any) -> None:
    wanted = documents()
    # A Kustomization lies there too, for `kubectl apply -k`; what is generated has a suffix.
    there = {path.name: path.read_text() for path in (REPOSITORY / folder).glob("*.*")}
    assert sorted(there) == sorted(wanted)
    stale = [name for name, text in wanted.items() if there[name] != text]
    assert not stale, f"run `telarchy schema`: {', '.join(stale)} in {folder}/ is not what the models say"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.plural)
def test_schema_is_structural_and_its_rules_bounded(kind: Kind) -> None:
    schema = structural_schema(kind)
    for part in ("spec", "status"):
        assert list(structural_flaws(schema["properties"][part], part)) == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.plural)
def test_definition_follows_the_conventions(kind: Kind) -> None:
    definition = crd(kind)
    assert definition["metadata"]["name"] == f"{kind.plural}.telarchy.dev"
    names = definition["spec"]["names"]
    assert names["categories"] == ["telarchy"]
    (version,) = definition["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    columns = {column["name"]: column for column in version["additionalPrinterColumns"]}
    assert {"Ready", "Status", "Age", "Suspended"} <= set(columns)
    assert columns["Suspended"]["priority"] == 1
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert status["default"] == {"observedGeneration": -1}
    assert status["properties"]["conditions"]["x-kubernetes-list-type"] == "map"
    assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_names_of_kinds_do_not_collide() -> None:
    taken = [name for kind in KINDS.values() for name in {kind.plural, kind.singular, *kind.short_names}]
    assert len(taken) == len(set(taken))


def test_printer_columns_point_at_fields() -> None:
    for kind in KINDS.values():
        schema = structural_schema(kind)
        for column in kind.columns:
            here = schema
            for step in column.path.removeprefix(".").split("."):
                here = here["properties"][step]
            assert here["type"] == column.type


def test_written_yaml_has_no_anchors_and_reads_back() -> None:
    for name, text in crd_documents().items():
        assert "&id" not in text, name
        plural = name.removeprefix("telarchy.dev_").removesuffix(".yaml")
        (kind,) = (kind for kind in KINDS.values() if kind.plural == plural)
        assert yaml.safe_load(text) == crd(kind)


def test_a_union_is_refused_when_generating() -> None:
    class OddSpec(Spec):
        either: int | bool = Field(default=0)

    class Odd(Resource):
        """Odd."""

        spec: OddSpec
        status: ResourceStatus

    with pytest.raises(TypeError, match=r"spec\.either: a union"):
        structural_schema(Kind(Odd, "odds", "odd", ()))


@pytest.mark.parametrize("name", json_schema_documents())
def test_json_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(json_schema_documents()[name]))


def test_editors_accept_the_story_and_refuse_slips() -> None:
    documents = {name: json.loads(text) for name, text in json_schema_documents().items()}
    everything = jsonschema.Draft7Validator(documents["all.json"])
    for manifest in yaml.safe_load_all(STORY.read_text()):
        alone = jsonschema.Draft7Validator(documents[f"{manifest['kind'].lower()}_v1alpha1.json"])
        alone.validate(manifest)
        everything.validate(manifest)
        slip = {**manifest, "spec": {**manifest["spec"], "copys": 2}}
        assert not alone.is_valid(slip)
        assert not everything.is_valid(slip)
        assert not everything.is_valid({**manifest, "kind": "Toaster"})
