"""What statuses say about the plan: running copies, what titles wait for, what is held. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from telarchy.errors import TelarchyError

Objects = Sequence[Mapping[str, Any]]


def plan_of(objects: Objects) -> dict[str, Any]:
    """The shape of `runtime.snapshot`, as far as statuses reach: the worst titles, not all of them."""
    floors = [one for one in objects if one["kind"] == "CustodyFloor"]
    unready = [_name(one) for one in objects if _ready(one) != "True"]
    handled = [condition["lastTransitionTime"] for one in objects for condition in _conditions(one)]
    return {
        "at": max((_seconds(stamp) for stamp in handled), default=0.0),
        "revision": "",
        "settled": not unready and bool(objects),
        "unsettled": unready,
        "wakeAt": None,
        "steps": [*_running(objects), *_waiting(floors)],
        "beyond": {"count": 0, "bytes": 0},
        "holds": held(objects),
        "floors": [
            {"name": _short(one), "met": status.get("met", 0), "titles": status.get("titles", 0)}
            for one in floors
            if (status := one.get("status") or {}).get("titles") is not None
        ],
        "cutOff": False,
        "hosts": {
            _short(one): {
                "reached": {"True": True, "False": False}.get(str(status.get("reachable"))),
                "missingFor": 0,
                "endpoint": status.get("endpoint", ""),
                "reason": "",
                "message": _message(one),
                "looked": None,
            }
            for one in objects
            if one["kind"] == "Host" and (status := one.get("status") or {}) is not None
        },
    }


def held(objects: Objects) -> list[dict[str, Any]]:
    """Held changes of the Fleets. How many actions each releases is known, which ones is not."""
    return [
        {
            "hash": hold["hash"],
            "reason": hold.get("reason", ""),
            "summary": hold.get("summary", ""),
            "bytes": hold.get("bytes", 0),
            "actions": [hold["hash"]] * int(hold.get("actions", 1)),
            "for": _name(one),
        }
        for one in objects
        if one["kind"] == "Fleet"
        for hold in (one.get("status") or {}).get("held", [])
    ]


def reasons(objects: Objects, topic: str, name: str) -> list[str]:
    """Lines about a host, a floor, a stream, an endpoint, or a title that stands among a floor's worst. Raises
    TelarchyError."""
    if topic == "title":
        lines = [
            f"{worst['title']}: {worst.get('message') or worst.get('reason', '')} (floor {_short(one)})"
            for one in objects
            for worst in (one.get("status") or {}).get("worst", [])
            if worst["title"] == name
        ]
        return lines or [f"no floor's status names {name}: it is as declared, or not among the worst"]
    kind = {"host": "Host", "floor": "CustodyFloor", "stream": "Stream", "endpoint": "MediaEndpoint"}[topic]
    found = next((one for one in objects if one["kind"] == kind and _short(one) == name), None)
    if found is None:
        raise TelarchyError(f"there is no {topic} {name} in this namespace")
    lines = [
        f"{one['type']}: {one['status']} ({one['reason']}) {one.get('message', '')}".rstrip()
        for one in _conditions(found)
    ]
    lines += [
        f"{worst['title']}: {worst.get('message') or worst.get('reason', '')}"
        for worst in (found.get("status") or {}).get("worst", [])
    ]
    return lines or [f"nothing has been reported about {topic} {name} yet: does an operator run?"]


def _running(objects: Objects) -> list[dict[str, Any]]:
    """Copies under way, as hosts report them; each once, although both ends may tell of it."""
    steps: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in objects:
        for copy in (one.get("status") or {}).get("transfers", []) if one["kind"] == "Host" else ():
            source, target = copy.get("from", ""), copy.get("to") or _short(one)
            where = f" from {source} to {target}" if source else f" to {target}"
            steps[copy["title"], source, target] = {
                "id": f"{copy['title']}→{target}",
                "verb": "Copy",
                "decision": "Start",
                "summary": f"copy {copy['title']!r}{where}",
                "bytes": copy.get("total", 0),
                "removes": False,
                "running": {
                    "phase": copy.get("phase", ""),
                    "bytes": copy.get("bytes", 0),
                    "total": copy.get("total", 0),
                },
            }
    return list(steps.values())


def _waiting(floors: Objects) -> list[dict[str, Any]]:
    steps = []
    for one in floors:
        for worst in (one.get("status") or {}).get("worst", []):
            step = {
                "id": f"{_short(one)}/{worst['title']}",
                "verb": worst.get("state", ""),
                "decision": "Wait",
                "summary": f"{worst['title']}: {worst.get('message') or worst.get('state', '')}",
                "reason": worst.get("reason", ""),
                "removes": False,
            }
            if worst.get("nextAttempt"):
                step["notBefore"] = _seconds(worst["nextAttempt"])
            steps.append(step)
    return steps


def _conditions(one: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (one.get("status") or {}).get("conditions", [])
    return found


def _ready(one: Mapping[str, Any]) -> str:
    return next((str(each["status"]) for each in _conditions(one) if each["type"] == "Ready"), "Unknown")


def _message(one: Mapping[str, Any]) -> str:
    return next((str(each.get("message", "")) for each in _conditions(one) if each["type"] == "Ready"), "")


def _short(one: Mapping[str, Any]) -> str:
    return str(one["metadata"]["name"])


def _name(one: Mapping[str, Any]) -> str:
    return f"{one['kind'].lower()}/{_short(one)}"


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
