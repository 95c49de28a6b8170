"""Reading manifests: every problem at its place, in a person's words, and nothing hidden by anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telarchy.resources import load_paths, load_text
from telarchy.resources.loader import MAX_PROBLEMS
from telarchy.resources.yamltext import MAX_DEPTH, MAX_FILE_BYTES

STORY = Path(__file__).with_name("story.yaml")
FLEET = "apiVersion: telarchy.dev/v1alpha1\nkind: Fleet\nmetadata: {name: home}\n"
HOST = "apiVersion: telarchy.dev/v1alpha1\nkind: Host\nmetadata: {name: black}\nspec:\n  connection: {local: {}}\n"
FLOOR = "apiVersion: telarchy.dev/v1alpha1\nkind: CustodyFloor\nmetadata: {name: twice}\nspec:\n"

# text, then what is said about it: line:column: the sentence, or the part of it that matters.
TABLE: dict[str, tuple[str | bytes, list[str]]] = {
    "misspelt field": (
        HOST + "  class: Server\n  alwayson: true\n",
        ["7:3: spec.alwayson: unknown field; did you mean `alwaysOn`?"],
    ),
    "snake case": (
        FLOOR + "  select: {paths: [a]}\n  always_on: 1\n",
        ["6:3: spec.always_on: unknown field; did you mean `alwaysOn`?"],
    ),
    "field of another level": (
        FLEET + "spec: {maxParallel: 4}\n",
        ["4:8: spec.maxParallel: unknown field; it belongs under `spec.transfers`"],
    ),
    "field beside spec": (
        FLOOR.replace("spec:\n", "copies: 2\nspec:\n") + "  select: {paths: [a]}\n",
        ["4:1: copies: unknown field; it belongs under `spec`"],
    ),
    "unknown field without a neighbour": (
        FLEET + "spec: {trash: {xyz: 1}}\n",
        ["4:16: spec.trash.xyz: unknown field; known here: keep"],
    ),
    "missing field": (HOST, ["4:1: spec.class: is missing"]),
    "missing name": (FLEET.replace("{name: home}", "{}"), ["3:1: metadata.name: is missing"]),
    "missing spec": (
        HOST.split("spec:")[0],
        ["1:1: spec: is missing"],
    ),
    "wrong case": (
        HOST + "  class: server\n",
        ["Server, Roamer, Consumer, Seedbox or Broadcast, not server; did you mean `Server`?"],
    ),
    "number in quotes": (
        FLEET + "spec: {custody: {copies: '2'}}\n",
        ["4:26: spec.custody.copies: must be a whole number; remove the quotes around 2"],
    ),
    "fraction": (FLEET + "spec: {custody: {copies: 1.5}}\n", ["custody.copies: must be a whole number, not 1.5"]),
    "out of range": (FLEET + "spec: {custody: {copies: 0}}\n", ["custody.copies: must be at least 1, not 0"]),
    "a number beyond all": (
        FLEET + "spec: {custody: {copies: " + "9" * 5000 + "}}\n",
        ["4:26: spec.custody.copies: must be a whole number, not 99999"],
    ),
    "one item instead of a list": (
        FLOOR + "  select: {paths: tv/*}\n",
        ["5:19: spec.select.paths: must be a list (`- …` lines); for one item write `[tv/*]`"],
    ),
    "text instead of a mapping": (
        FLEET + "spec: {custody: two}\n",
        ["4:17: spec.custody: must be a mapping (`key: value` lines), not two"],
    ),
    "empty mapping": (FLEET + "spec:\n  custody:\n", ["5:3: spec.custody: is empty; write `custody: {}`, or"]),
    "no is false": (
        FLEET.replace("{name: home}", "{name: no}"),
        ['3:18: metadata.name: `no` is read as false in YAML; put it in quotes: "no"'],
    ),
    "a label that is a number": (
        FLEET.replace("{name: home}", "{name: home, labels: {rack: 12}}"),
        ['3:39: metadata.labels.rack: `12` is read as a number in YAML; put it in quotes: "12"'],
    ),
    "a key that is true": (
        FLEET.replace("{name: home}", "{name: home, labels: {on: x}}"),
        ['3:33: `on` is read as true in YAML; put the key in quotes: "on"'],
    ),
    "octal": (FLEET + "spec: {custody: {copies: 02}}\n", ["4:26: `02` is a number in base eight"]),
    "duration without a unit": (
        FLEET + "spec: {grace: {server: 15}}\n",
        ["4:24: spec.grace.server: a duration needs a unit: write 15s, 15m, 15h or 15d"],
    ),
    "a time of day needs no quotes": (FLEET + "spec: {transfers: {windows: [{start: 23:00, end: 06:00}]}}\n", []),
    "a time": (
        HOST + "  class: Server\n  maintenance: {until: 2026-11-20}\n",
        ["7:24: spec.maintenance.until: a time is written with its zone"],
    ),
    "a time needs no quotes": (HOST + "  class: Server\n  maintenance: {until: 2026-11-20T18:30:00Z}\n", []),
    "duplicate key": (
        HOST + "  class: Server\n  class: Roamer\n",
        ["7:3: `class` is given twice; the first is on line 6"],
    ),
    "tab": (HOST + "\tclass: Server\n", ["6:1: a tab cannot indent YAML; use spaces"]),
    "quote never closed": (FLEET + "spec: 'x\n", ["4:7: a quote is opened here and never closed"]),
    "colon in a value": (FLEET + "spec: a: b\n", ["4:8: a `:` is not expected here"]),
    "bracket never closed": (FLEET + "spec: [1, 2\nx: y\n", ["a `,` or the closing `]` of a list is missing"]),
    "at sign": (FLEET + "spec: @x\n", ["4:7: this character cannot begin a value"]),
    "control character": ("a: b\nc: \x07\n", ["2:4: a control character (U+0007) cannot stand in YAML"]),
    "not UTF-8": (b"a: b\nc: \xe9t\xe9\n", ["2:4: the file is not UTF-8 text (byte 0xe9)"]),
    "too large": (b"#" * (MAX_FILE_BYTES + 1), ["the file is larger than 4 MiB"]),
    "a list": ("- a\n", ["1:1: a manifest is a mapping that begins with `apiVersion:`, not a list"]),
    "one word": ("hello", ["1:1: a manifest is a mapping that begins with `apiVersion:`, not one value"]),
    "nothing": ("", []),
    "empty documents": ("---\n---\n# only a comment\n---\n", []),
    "directive": ("%YAML 1.1\n---\n" + FLEET, []),
    "byte order mark": ("\ufeff" + FLEET, []),
    "carriage returns": (FLEET.replace("\n", "\r\n"), []),
    "unknown kind": (FLEET.replace("Fleet", "Hosts"), ["2:7: kind: `Hosts` is not known; did you mean `Host`?"]),
    "unknown version": (
        FLEET.replace("v1alpha1", "v2"),
        ["1:13: apiVersion: `telarchy.dev/v2` is not known; write `telarchy.dev/v1alpha1`"],
    ),
    "misspelt group": (
        FLEET.replace("telarchy.dev", "telarky.dev"),
        ["1:13: apiVersion: `telarky.dev/v1alpha1` is not known; write `telarchy.dev/v1alpha1`"],
    ),
    "no apiVersion": ("kind: Fleet\nmetadata: {name: x}\n", ["1:1: apiVersion is missing; write"]),
    "no kind": ("apiVersion: telarchy.dev/v1alpha1\n", ["1:1: kind is missing; it is one of Fleet, Host,"]),
    "somebody else's": ("apiVersion: v1\nkind: Secret\n", ["1:1: warning: Secret (v1) is not Telarchy's; passed over"]),
    "no manifest": ("resources: [a.yaml]\n", ["1:1: not a manifest: `apiVersion` and `kind` are missing"]),
    "tag": ("a: !!python/object:os.system x\n", ["1:4: the tag `tag:yaml.org,2002:python/object:os.system` is not"]),
    "complex key": ("? [a]\n: b\n", ["1:3: a key is a word, not a list or a mapping"]),
    "alias without an anchor": ("a: *b\n", ["1:4: `*b` has no anchor"]),
    "alias inside itself": ("a: &a [*a]\n", ["1:8: `*a` stands inside itself"]),
    "alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        ["more than 500000 values once its aliases are expanded"],
    ),
    "deep nesting": ("[" * 100_000, [f"1:{MAX_DEPTH + 1}: nested deeper than {MAX_DEPTH} levels"]),
    "status is not desired state": (FLEET + "status: {made: up}\n", []),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), TABLE.values(), ids=TABLE)
def test_what_is_said(text: str | bytes, said: list[str]) -> None:
    problems = [str(problem) for problem in load_text(text, "fleet.yaml").problems]
    assert len(problems) == len(said), problems
    for problem, sentence in zip(problems, said, strict=True):
        assert problem.startswith("fleet.yaml:")
        assert sentence in problem


def test_every_problem_at_once() -> None:
    text = HOST + "  class: Toaster\n  cordon: maybe\n  mediaRoots: [{path: media, reserve: 1XB}]\n  x: 1\n"
    assert [(p.line, p.column, p.rule) for p in load_text(text, "x.yaml").problems] == [
        (6, 10, "unknown-value"),
        (7, 11, "wrong-type"),
        (8, 16, "missing-field"),
        (8, 23, "shape-broken"),
        (8, 39, "quantity"),
        (9, 3, "unknown-field"),
    ]


def test_a_bad_document_hides_no_other() -> None:
    good = FLEET.replace("home", "NAME")
    text = "---\n".join(
        [
            good.replace("NAME", "one"),
            "a: [\n",
            good.replace("NAME", "two"),
            "b: *c\n",
            HOST,
            good.replace("NAME", "three"),
        ]
    )
    loaded = load_text(text, "x.yaml")
    assert [one.ref.name for one in loaded.resources] == ["one", "two", "three"]
    assert [problem.line for problem in loaded.problems] == [6, 11, 16]
    assert loaded.resources[1].positions.value(("metadata", "name")) == (9, 18)


def test_a_manifest_that_says_something_twice_is_not_used() -> None:
    assert load_text(HOST + "  class: Server\n  class: Roamer\n", "x.yaml").resources == []


def test_a_list_of_manifests() -> None:
    item = FLEET.replace("\n", "\n  ").rstrip()
    text = f"apiVersion: v1\nkind: List\nitems:\n- {item}\n- {item}\n  spec: {{custody: {{copies: 0}}}}\n"
    loaded = load_text(text, "x.yaml")
    assert [str(one.ref) for one in loaded.resources] == ["fleet/home"]
    assert [(p.line, p.column) for p in loaded.problems] == [(10, 28)]
    assert loaded.resources[0].positions.value(("metadata", "name")) == (6, 20)


def test_merge_keys_and_aliases() -> None:
    text = FLEET + "spec:\n  grace: &g {server: 1m}\n  custody: {<<: {copies: 3, alwaysOn: 2}, copies: 4}\n"
    loaded = load_text(text.replace("&g ", ""), "x.yaml")
    assert loaded.problems == []
    assert loaded.resources[0].resource.manifest()["spec"]["custody"] == {"copies": 4, "alwaysOn": 2}


def test_json() -> None:
    text = '{\n\t"apiVersion":"telarchy.dev/v1alpha1","kind":"Fleet",\n\t"metadata":{"name":"home"},"spec":{"x":1}}'
    (problem,) = load_text(text, "fleet.json").problems
    assert (problem.line, problem.rule) == (3, "unknown-field")


def test_a_file_full_of_slips_is_cut_short() -> None:
    text = FLEET + "spec:\n" + "".join(f"  x{number}: 1\n" for number in range(MAX_PROBLEMS + 50))
    problems = load_text(text, "x.yaml").problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].message == "and 50 more problems in this file"


def test_messages_stay_on_one_line_and_short() -> None:
    text = FLEET + 'spec: {"a\\nb' + "x" * 10_000 + '": 1}\n'
    (problem,) = load_text(text, "x.yaml").problems
    assert "\n" not in str(problem)
    assert len(str(problem)) < 400


def test_the_story_loads() -> None:
    loaded = load_paths([STORY])
    assert loaded.problems == []
    assert [str(one.ref) for one in loaded.resources] == [
        "fleet/home",
        "host/black",
        "host/plum",
        "custodyfloor/series-twice",
    ]


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(FLEET)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "host.yaml").write_text(HOST + "  class: Server\n")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "a" / "dead.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("broken: [")
    (tmp_path / ".hidden.yaml").write_text("broken: [")
    (tmp_path / "kustomization.yaml").write_text("resources: [b.yml]\n")
    (tmp_path / "README.md").write_text("# hello")
    os.mkfifo(tmp_path / "pipe.yaml")
    loaded = load_paths([tmp_path])
    assert sorted(str(one.ref) for one in loaded.resources) == ["fleet/home", "host/black"]
    assert [(p.file.removeprefix(f"{tmp_path}/"), p.severity, p.rule) for p in loaded.problems] == [
        ("kustomization.yaml", "warning", "not-a-manifest"),
        ("pipe.yaml", "warning", "not-a-file"),
        ("a/dead.yaml", "error", "unreadable"),
    ]


def test_what_cannot_even_be_looked_at_is_a_problem(tmp_path: Path) -> None:
    # as below a folder of somebody else's, which does not stop root
    (tmp_path / "host.yaml").write_text(HOST + "  class: Server\n")
    (tmp_path / "shared").symlink_to("x" * 300)
    (tmp_path / "floor.yaml").symlink_to("x" * 300)
    loaded = load_paths([tmp_path, "y" * 300])
    assert [str(one.ref) for one in loaded.resources] == ["host/black"]
    assert [(Path(one.file).name, one.rule) for one in loaded.errors] == [
        ("floor.yaml", "unreadable"),
        ("shared", "unreadable"),
        ("y" * 300, "unreadable"),
    ]


def test_a_folder_of_which_nothing_can_be_read_is_not_called_empty(tmp_path: Path) -> None:
    (tmp_path / "shared").symlink_to("x" * 300)
    assert [one.rule for one in load_paths([tmp_path]).problems] == ["unreadable"]


def test_an_empty_name_is_not_the_folder_one_happens_to_be_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)
    loaded = load_paths([""])
    assert loaded.resources == []
    assert [one.message for one in loaded.problems] == ["the name of the file or folder is empty"]


def test_what_is_named_must_be_there_and_be_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    (tmp_path / "empty").mkdir()
    loaded = load_paths([tmp_path / "kustomization.yaml", tmp_path / "gone.yaml", tmp_path / "empty"])
    assert [(p.severity, p.rule) for p in loaded.problems] == [
        ("error", "not-a-manifest"),
        ("error", "unreadable"),
        ("warning", "nothing-found"),
    ]
    assert "no such file" in loaded.problems[1].message


@given(st.text(alphabet="ab:-[]{}&*?!|>'\"#%@` \n\t0.,~<", max_size=60) | st.text(max_size=40))
def test_no_text_is_a_traceback(text: str) -> None:
    load_text(text, "x.yaml")


@given(st.binary(max_size=60))
def test_no_bytes_are_a_traceback(data: bytes) -> None:
    load_text(data, "x.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["spec", "metadata", "name", "select", "paths", "copies", "hosts", "labels", "x"]
                ),
                inner,
            )
        ),
    )
)
def test_no_value_is_a_traceback(value: object) -> None:
    import json

    for kind in ("Fleet", "Host", "CustodyFloor"):
        manifest = {
            "apiVersion": "telarchy.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": "x"},
            "spec": value,
        }
        loaded = load_text(json.dumps(manifest), "x.yaml")
        assert all(problem.line >= 1 for problem in loaded.problems)
        nameless = load_text(json.dumps({**manifest, "metadata": value}), "x.yaml")
        assert all(problem.line >= 1 for problem in nameless.problems)
