"""Findings about manifests, for people and for programs: plain, GitHub annotations, JSON, SARIF."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from telarchy import __version__
from telarchy.errors import Problem

FORMATS = ("text", "github", "json", "sarif")


def render(problems: Sequence[Problem], form: str) -> str:
    """All findings in one form; "" when there is nothing to say in it."""
    match form:
        case "github":
            return "\n".join(_annotation(problem) for problem in problems)
        case "json":
            return json.dumps([vars(problem) for problem in problems], indent=2)
        case "sarif":
            return json.dumps(_sarif(problems), indent=2)
        case _:
            return "\n".join(str(problem) for problem in problems)


def _annotation(problem: Problem) -> str:
    """A workflow command of GitHub Actions."""
    places = {"file": problem.file, "line": problem.line, "col": problem.column, "title": problem.rule}
    shown = ",".join(f"{key}={_escape(str(value), ',:')}" for key, value in places.items() if value)
    level = "warning" if problem.severity == "warning" else "error"
    return f"::{level}{' ' if shown else ''}{shown}::{_escape(problem.message)}"


def _escape(text: str, also: str = "") -> str:
    for char in "%\r\n" + also:
        text = text.replace(char, f"%{ord(char):02X}")
    return text


def _sarif(problems: Sequence[Problem]) -> dict[str, Any]:
    """SARIF 2.1.0, as code hosts take it."""
    rules = sorted({problem.rule or "problem" for problem in problems})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "telarchy",
                        "version": __version__,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem) for problem in problems],
            }
        ],
    }


def _rule(rule: str) -> dict[str, Any]:
    return {"id": rule, "shortDescription": {"text": rule.replace("-", " ").capitalize()}}


def _result(problem: Problem) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": problem.rule or "problem",
        "level": "warning" if problem.severity == "warning" else "error",
        "message": {"text": _message(problem.message)},
    }
    if problem.file:
        place: dict[str, Any] = {"artifactLocation": {"uri": _uri(problem.file)}}
        if problem.line:
            place["region"] = {"startLine": problem.line, "startColumn": max(problem.column, 1)}
        result["locations"] = [{"physicalLocation": place}]
    return result


def _message(text: str) -> str:
    """As SARIF has it: a lone brace would begin a placeholder, and bytes that are no UTF-8 are no JSON."""
    return text.encode("utf-8", "backslashreplace").decode().replace("{", "{{").replace("}", "}}")


def _uri(file: str) -> str:
    """A file's name as a URI: what has a meaning there (`#`, `%`, a colon, a space) is escaped."""
    path = quote(os.fsencode(file))
    return f"file://{path}" if file.startswith("/") else path
