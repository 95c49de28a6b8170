"""The verbs against a Kubernetes cluster: `kubectl telarchy …`, or `--context` and `--kubeconfig` with any verb.

Answers come from the objects themselves, read through kubectl, which knows every way to log in. What statuses do not
hold (every single step of a plan, a title's copies) only the operator knows; its pod answers that, and a note says
how to ask it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from telarchy.cli import exits
from telarchy.cli.address import Address, kubectl
from telarchy.core.words import rfc3339
from telarchy.errors import ConfigError, TelarchyError
from telarchy.resources.meta import ALL_NAMESPACES, API_VERSION, GROUP
from telarchy.resources.registry import KINDS, resolve_kind

if TYPE_CHECKING:
    from telarchy.resources.loader import Loaded

POLL_SECONDS = 2.0
HASH_DIGITS_AT_LEAST = 4
STATE_IN_POD = "/var/lib/telarchy"  # where the chart puts it


class ClusterClient:
    """`cli.client.Client` over the objects of one namespace."""

    live = True

    def __init__(self, address: Address) -> None:
        self._address = address
        self._asked = ""  # the request to reconcile that was made

    def ask(self, question: str, **arguments: Any) -> Any:
        answers: dict[str, Callable[..., Any]] = {
            "resources": self._resources,
            "events": self._events,
            "plan": self._plan,
            "holds": self._holds,
            "why": self._why,
            "source": dict,
            "settled": self._settled,
            "history": self._in_the_pod,
            "playback": self._playback,
        }
        return answers[question](**arguments)

    def tell(self, command: str, **arguments: Any) -> Any:
        if command == "approve":
            return self._approve(**arguments)
        if command == "reconcile":
            return self._reconcile()
        raise TelarchyError(f"use kubectl {command}: desired state is in the cluster")

    def follow(self, question: str, **arguments: Any) -> Iterator[Any]:
        last = self.ask(question, **arguments)
        yield last
        while True:
            time.sleep(POLL_SECONDS)
            answer = self.ask(question, **arguments)
            if answer != last:
                last = answer
                yield answer

    def _run(self, *words: str, namespace: str = "") -> str:
        if namespace == ALL_NAMESPACES:
            return kubectl(self._address.options, *words, "--all-namespaces")
        return kubectl(self._address.options, f"--namespace={namespace or self._address.namespace}", *words)

    def _resources(self, *, kinds: Sequence[str] = (), namespace: str = "") -> list[dict[str, Any]]:
        wanted = [kind for text in kinds if (kind := resolve_kind(text)) is not None] or list(KINDS.values())
        names = ",".join(f"{kind.plural}.{GROUP}" for kind in wanted)
        items: list[dict[str, Any]] = json.loads(self._run("get", names, "-o", "json", namespace=namespace))[
            "items"
        ]
        for one in items:
            one["metadata"].pop("managedFields", None)
        order = list(KINDS)
        return sorted(
            items,
            key=lambda one: (
                order.index(one["kind"]),
                one["metadata"].get("namespace", ""),
                one["metadata"]["name"],
            ),
        )

    def loaded(self) -> Loaded:
        """The objects of the namespace as manifests are loaded, for `validate`; `host/black` stands for the file."""
        from telarchy.resources.loader import Loaded, LoadedResource, resource_from_manifest
        from telarchy.resources.yamltext import Node, Positions

        found, nowhere = Loaded(), Positions(Node({}, 0, 0))
        for one in self._resources():
            if "deletionTimestamp" in one["metadata"]:
                continue
            place = f"{one['kind'].lower()}/{one['metadata']['name']}"
            manifest = {name: value for name, value in one.items() if name != "status"}
            try:
                found.resources.append(LoadedResource(resource_from_manifest(manifest), place, nowhere))
            except ConfigError as error:
                found.problems += [
                    replace(problem, file=place, line=0, column=0) for problem in error.problems
                ]
        return found

    def _events(
        self, *, namespace: str = "", kind: str = "", name: str = "", limit: int = 500
    ) -> list[dict[str, Any]]:
        found = json.loads(self._run("get", "events", "-o", "json", namespace=namespace))["items"]
        resolved = resolve_kind(kind) if kind else None
        events = []
        for one in found:
            about = one["involvedObject"]
            if about.get("apiVersion") != API_VERSION:
                continue
            if resolved is not None and (about["kind"], about["name"]) != (resolved.name, name):
                continue
            first = one.get("firstTimestamp") or one["metadata"]["creationTimestamp"]
            events.append(
                {
                    "id": one["metadata"]["uid"],
                    "kind": about["kind"],
                    "namespace": about.get("namespace", ""),
                    "name": about["name"],
                    "type": one.get("type", "Normal"),
                    "reason": one.get("reason", ""),
                    "message": one.get("message", ""),
                    "first": _moment(first),
                    "last": _moment(one.get("lastTimestamp") or first),
                    "count": one.get("count") or 1,
                }
            )
        return sorted(events, key=lambda event: event["last"])[-limit:]

    def _plan(self, *, live: bool = False) -> dict[str, Any]:
        """What the statuses say, in the shape of `runtime.snapshot`. `live`: what the operator itself says."""
        from telarchy.cli.clusterplan import plan_of

        if live:
            return self._live_plan()
        self._note("plan")
        return plan_of(self._resources())

    def _settled(self, *, since: float) -> bool:
        from telarchy.cli.clusterplan import plan_of

        objects = self._resources()
        handled = [(one.get("status") or {}).get("lastHandledReconcileAt") for one in objects]
        return bool(plan_of(objects)["settled"]) and self._asked in handled

    def _live_plan(self) -> dict[str, Any]:
        """Asked in the pod that holds the namespace's Lease. RBAC: getting Leases and pods, and `pods/exec`."""
        namespace = self._address.namespace
        lease = json.loads(self._run("get", "leases.coordination.k8s.io", "telarchy", "-o", "json"))
        holder = lease["spec"].get("holderIdentity")
        if not holder:
            raise TelarchyError(f"no operator acts on namespace {namespace} at present")
        found = json.loads(
            kubectl(
                self._address.options,
                *("get", "pods", "--all-namespaces", "-o", "json"),
                *("-l", "app.kubernetes.io/name=telarchy", f"--field-selector=metadata.name={holder}"),
            )
        )["items"]
        if not found:
            raise TelarchyError(f"{holder} acts on namespace {namespace}, and is no pod of this cluster")
        pod = found[0]
        arguments = pod["spec"]["containers"][0].get("args") or []
        given = (one.partition("=")[2] for one in arguments if one.startswith("--state="))
        state = f"{next(given, STATE_IN_POD)}/{namespace}"
        where = (f"--namespace={pod['metadata']['namespace']}", "exec", holder, "-c", "operator", "--")
        asked = ("telarchy", "plan", "-o", "json", "--state", state)
        plan: dict[str, Any] = json.loads(
            kubectl(self._address.options, *where, *asked, ends=(exits.OK, exits.CHANGES))
        )
        return {name: value for name, value in plan.items() if name not in ("apiVersion", "kind")}

    def _holds(self) -> dict[str, Any]:
        from telarchy.cli.clusterplan import held

        fleets = self._resources(kinds=["fleets"])
        return {"waiting": held(fleets), "approved": []}

    def _why(self, *, topic: str, name: str, namespace: str = "") -> list[str]:
        from telarchy.cli.clusterplan import reasons

        lines = reasons(self._resources(namespace=namespace), topic, name)
        self._note(f"why {topic} {name!r}")
        return lines

    def _playback(
        self, *, stream: str, seconds: float, here: str = "", namespace: str = ""
    ) -> dict[str, Any]:
        from telarchy.cli.clusterplayback import playback

        found = self._resources(kinds=["Stream", "MediaEndpoint", "Host"], namespace=namespace)
        return playback(found, stream, int(time.time() + seconds), here, self._run)

    def _approve(self, *, prefix: str, who: str = "") -> dict[str, Any]:
        """An annotation on the Fleet. RBAC: whoever may patch Fleets may approve."""
        from telarchy.cli.clusterplan import held

        fleets = self._resources(kinds=["fleets"])
        waiting = held(fleets)
        found = [hold for hold in waiting if hold["hash"].startswith(prefix)]
        if len(prefix) < HASH_DIGITS_AT_LEAST or len(found) != 1:
            known = ", ".join(hold["hash"] for hold in waiting) or "none"
            raise TelarchyError(f"`{prefix}` does not name one held change; held now: {known}")
        hold = found[0]
        fleet = next(one for one in fleets if one["metadata"]["name"] == hold["for"].partition("/")[2])
        name = fleet["metadata"]["name"]
        before = (fleet["metadata"].get("annotations") or {}).get(f"{GROUP}/approve", "").split()
        words = [word for word in before if not word.startswith(hold["hash"])][-9:]
        words.append(f"{hold['hash']}@{rfc3339(time.time())}")
        self._run("annotate", f"fleets.{GROUP}", name, f"{GROUP}/approve={' '.join(words)}", "--overwrite")
        return {**hold, "running": True}

    def _reconcile(self) -> dict[str, Any]:
        fleets = self._resources(kinds=["fleets"])
        if not fleets:
            raise TelarchyError(f"there is no Fleet in namespace {self._address.namespace} to say it to")
        name, stamp = fleets[0]["metadata"]["name"], rfc3339(time.time())
        self._asked = stamp
        self._run("annotate", f"fleets.{GROUP}", name, f"{GROUP}/reconcile-at={stamp}", "--overwrite")
        return {"status": "asked"}

    def _in_the_pod(self, **_: Any) -> Any:
        raise TelarchyError(
            "the operator's own store has this: run `telarchy` inside its pod with kubectl exec"
        )

    def _note(self, verb: str) -> None:
        namespace = self._address.namespace
        click.echo(
            "(from the objects' statuses; all that the operator knows: "
            + (
                "kubectl telarchy plan --live)"
                if verb == "plan"
                else "kubectl exec -n <its namespace> <its pod> "
                f"-- telarchy {verb} --state {STATE_IN_POD}/{namespace})"
            ),
            err=True,
        )


def _moment(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
