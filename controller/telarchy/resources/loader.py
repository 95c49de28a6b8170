"""Manifests: files and text → resources, and every problem at its place.

All problems are found at once, and one bad manifest never hides the others. What belongs to somebody else
(a kustomization.yaml, a Secret in the same git folder) is passed over with a warning. A `status` in a
manifest is ignored: desired state is all a person declares, and `kubectl get -o yaml` prints both.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from telarchy.errors import ConfigError, Problem
from telarchy.resources.complaints import did_you_mean, problems_of
from telarchy.resources.meta import API_VERSION, DEFAULT_NAMESPACE, GROUP, VERSION, Kind, Ref, Resource
from telarchy.resources.registry import KINDS
from telarchy.resources.yamltext import (
    MAX_FILE_BYTES,
    Entry,
    Node,
    Path,
    Positions,
    decode,
    read_documents,
    shown,
)

SUFFIXES = (".yaml", ".yml", ".json")
MAX_PROBLEMS = 500  # per file; beyond that it is not a manifest with slips but another file


@dataclass(frozen=True)
class LoadedResource:
    """A resource, and where its parts stand in which file."""

    resource: Resource
    file: str
    positions: Positions

    @property
    def ref(self) -> Ref:
        return self.resource.ref

    def problem(self, message: str, path: Path = (), *, rule: str, severity: str = "error") -> Problem:
        """A finding about this resource, at the value that stands at `path`."""
        line, column = self.positions.value(path)
        return Problem(message, self.file, line, column, severity, rule)


@dataclass
class Loaded:
    """What was read. `problems` has errors and warnings, in the order of the files.

    broken:  what is declared and cannot be used as written
    torn:    some text could not be read at all, and anything may be declared in it
    """

    resources: list[LoadedResource] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    broken: set[Ref] = field(default_factory=set)
    torn: bool = False

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "warning"]

    def may_declare(self, kind: str, namespace: str, name: str = "") -> bool:
        """Whether what is not among `resources` (by that name, or any of that kind) may be declared all the same."""
        unread = self.torn or any(problem.rule == "unreadable" for problem in self.problems)
        return unread or any(
            (one.kind, one.namespace) == (kind, namespace) and name in ("", one.name) for one in self.broken
        )

    def add(self, other: Loaded) -> None:
        self.resources += other.resources
        self.problems += other.problems
        self.broken |= other.broken
        self.torn = self.torn or other.torn


def load_paths(paths: Iterable[str | FilePath], *, known: set[str] | None = None) -> Loaded:
    """Read files and folders. A folder is walked for YAML and JSON files; hidden ones are passed over.

    Problems name files as the caller spelt them. What cannot be read is a problem, never an exception.

    known:  files that were read already, by their real paths, and are not read again; those read now are added
    """
    loaded = Loaded()
    for given in paths:
        path = FilePath(given)
        if not str(given):
            # an unset variable; pathlib takes it for `.`
            loaded.problems.append(Problem("the name of the file or folder is empty", rule="unreadable"))
            continue
        if not is_folder(path):
            if _is_news(path, known):
                loaded.add(_load_file(path, named=True))
            continue
        found, told = False, len(loaded.problems)
        for file in _manifest_files(path, loaded):
            found = True
            if _is_news(file, known):
                loaded.add(_load_file(file, named=False))
        if not found and len(loaded.problems) == told:
            message = f"no manifests here (no {', '.join('*' + suffix for suffix in SUFFIXES)} file)"
            loaded.problems.append(Problem(message, str(given), severity="warning", rule="nothing-found"))
    return loaded


def load_text(text: str | bytes, file: str, *, named: bool = True) -> Loaded:
    """Read the manifests of one text. `named`: a person pointed at it, so foreign content is an error."""
    loaded = Loaded()
    if isinstance(text, str):
        # the limit is one of bytes, and a lone surrogate would reach the parser
        text = text.encode("utf-8", "surrogatepass")
    decoded = decode(text, file)
    if isinstance(decoded, Problem):
        loaded.problems.append(decoded)
        loaded.torn = True
        return loaded
    documents = read_documents(decoded, file)
    loaded.problems += documents.problems
    loaded.torn = documents.torn
    for root in documents.roots:
        if root.value is None and not root.spelling:
            continue  # nothing between two `---`
        _load_document(root, Positions(root), (), file, named, loaded)
    loaded.problems.sort(key=lambda problem: (problem.line, problem.column))
    if (more := len(loaded.problems) - MAX_PROBLEMS) > 0:
        del loaded.problems[MAX_PROBLEMS:]
        loaded.problems.append(Problem(f"and {more} more problems in this file", file, rule="more-problems"))
    return loaded


def resource_from_manifest(manifest: Mapping[str, Any], origin: str = "") -> Resource:
    """A resource from plain data that a program wrote (the store, the Kubernetes API), status included.

    Raises ConfigError with every problem; `origin` stands in for the file.
    """
    kind = KINDS.get(str(manifest.get("kind")))
    if kind is None or manifest.get("apiVersion") != API_VERSION:
        raise ConfigError(
            [Problem(f"not a {API_VERSION} kind: {manifest.get('kind')}", origin, rule="unknown-kind")]
        )
    try:
        return kind.model.model_validate(manifest, by_alias=True, by_name=False)
    except ValidationError as error:
        nowhere = Positions(_node_of(manifest))
        raise ConfigError(list(problems_of(error, kind.model, nowhere, origin))) from None


def _node_of(data: Any) -> Node:
    """Plain data as a node tree without positions, so that the same sentences can be said about it."""
    if isinstance(data, Mapping):
        return Node({str(key): Entry(_node_of(value), 0, 0) for key, value in data.items()}, 0, 0)
    if isinstance(data, (list, tuple)):
        return Node([_node_of(value) for value in data], 0, 0)
    return Node(data, 0, 0, "" if data is None else str(data))


def _manifest_files(folder: FilePath, loaded: Loaded) -> Iterator[FilePath]:
    """The manifest files under a folder, sorted. Linked folders are followed, each once."""
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            about = here.stat()
            if (about.st_dev, about.st_ino) in visited:
                continue
            visited.add((about.st_dev, about.st_ino))
            entries = sorted(here.iterdir())
        except OSError as error:
            loaded.problems.append(Problem(_unreadable(error), str(here), rule="unreadable"))
            continue
        folders = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    folders.append(entry)
                elif entry.suffix.lower() in SUFFIXES:
                    yield entry
            except OSError as error:
                # whatever it is, manifests may be in it: what cannot be seen is not absent
                loaded.problems.append(Problem(_unreadable(error), str(entry), rule="unreadable"))
        waiting += reversed(folders)


def _is_news(path: FilePath, known: set[str] | None) -> bool:
    """Whether this file was not read before, by this or another name."""
    if known is None:
        return True
    real = os.path.realpath(path)
    if real in known:
        return False
    known.add(real)
    return True


def is_folder(path: FilePath) -> bool:
    """Whether a folder stands there that one may look at; reading it as a file says what is wrong otherwise."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _load_file(path: FilePath, *, named: bool) -> Loaded:
    try:
        # a pipe with a manifest's name would block for ever, unless a person named it
        if not named and not stat.S_ISREG(path.stat().st_mode):
            problem = Problem(
                "not a regular file; passed over", str(path), severity="warning", rule="not-a-file"
            )
            return Loaded(problems=[problem])
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return Loaded(problems=[Problem(_unreadable(error), str(path), rule="unreadable")])
    return load_text(data, str(path), named=named)


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {(error.strerror or str(error)).lower()}"


def _load_document(
    node: Node, positions: Positions, base: Path, file: str, named: bool, loaded: Loaded
) -> None:
    """One document, or one item of a List, at `base` within its document."""

    def note(message: str, at: Path, rule: str, severity: str = "error") -> None:
        line, column = positions.value(base + at)
        loaded.problems.append(Problem(message, file, line, column, severity, rule))

    if not isinstance(node.value, dict):
        what = "a list" if isinstance(node.value, list) else "one value"
        note(f"a manifest is a mapping that begins with `apiVersion:`, not {what}", (), "not-a-mapping")
        return
    version, kind_name = (_text(node, name) for name in ("apiVersion", "kind"))
    if kind_name == "List" and version in ("v1", API_VERSION):
        items = node.value["items"].node if "items" in node.value else None
        if items is None or not isinstance(items.value, list):
            note("a List has `items:`, a list of manifests", (), "list-without-items")
            return
        for index, item in enumerate(items.value):
            _load_document(item, positions, (*base, "items", index), file, named, loaded)
        return
    if not version and not kind_name:
        message = "not a manifest: `apiVersion` and `kind` are missing"
        note(
            message if named else f"{message}; passed over",
            (),
            "not-a-manifest",
            "error" if named else "warning",
        )
        return
    kind = _kind(node, version, kind_name, note)
    if kind is None:
        loaded.torn = loaded.torn or loaded.problems[-1].severity == "error"
        return
    data = node.plain()
    # desired state only: what the file says about the past is not read
    data.pop("status", None)
    try:
        resource = kind.model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        loaded.problems += problems_of(error, kind.model, positions, file, base)
        loaded.broken |= _named(kind, data)
        return
    if positions.root.flawed:
        loaded.broken.add(resource.ref)
    else:
        loaded.resources.append(LoadedResource(resource, file, Positions(node)))


def _named(kind: Kind, data: Any) -> set[Ref]:
    """Which resource a manifest would be that is not valid, if it says so."""
    metadata = data.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return set()
    namespace = metadata.get("namespace")
    return {Ref(kind.name, namespace if isinstance(namespace, str) else DEFAULT_NAMESPACE, metadata["name"])}


def _text(node: Node, name: str) -> str:
    entry = node.value.get(name)
    return str(entry.node.spelling) if entry is not None and entry.node.value is not None else ""


def _kind(node: Node, version: str, kind_name: str, note: Any) -> Kind | None:
    """The kind of a document, or None with a note of why there is none."""
    group, _, number = version.rpartition("/")
    ours = KINDS.get(kind_name)
    if not version:
        if ours is not None or _near(kind_name):
            note(f"apiVersion is missing; write `apiVersion: {API_VERSION}`", (), "missing-api-version")
        else:
            note("apiVersion is missing; passed over", (), "not-a-manifest", "warning")
        return None
    if group != GROUP:
        if ours is not None and ("telarchy" in group or did_you_mean(group, [GROUP])):
            note(
                f"apiVersion: `{shown(version)}` is not known; write `{API_VERSION}`",
                ("apiVersion",),
                "unknown-version",
            )
        else:
            note(
                f"{shown(kind_name) or 'this'} ({shown(version)}) is not Telarchy's; passed over",
                (),
                "foreign",
                "warning",
            )
        return None
    if number != VERSION:
        note(
            f"apiVersion: `{shown(version)}` is not known; write `{API_VERSION}`",
            ("apiVersion",),
            "unknown-version",
        )
        return None
    if not kind_name:
        note(f"kind is missing; it is one of {', '.join(KINDS)}", (), "missing-kind")
        return None
    if ours is None:
        suggestion = did_you_mean(kind_name, list(KINDS)) or f"; known are {', '.join(KINDS)}"
        note(f"kind: `{shown(kind_name)}` is not known{suggestion}", ("kind",), "unknown-kind")
    return ours


def _near(kind_name: str) -> bool:
    return bool(did_you_mean(kind_name, list(KINDS)))
