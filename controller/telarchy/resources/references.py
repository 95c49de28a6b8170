"""What is wrong between resources: names that nobody has, two claims on one place, floors nobody can meet.

Each resource may be right by itself and the fleet still impossible. These findings need all of it, so they
are made after loading. They are advice about the declaration: the loop still does for each resource what can
be done.

Checks that need hosts are left out for a namespace in which none is declared (a person validates one file of
many), with a warning that says so. And nothing is called missing that may stand in a manifest with an error: that
is told already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from telarchy.errors import Problem
from telarchy.resources.complaints import did_you_mean
from telarchy.resources.custodyfloor import CustodyFloor, effective_numbers
from telarchy.resources.fleet import Custody, Fleet
from telarchy.resources.host import Host, parse_endpoint
from telarchy.resources.loader import Loaded, LoadedResource
from telarchy.resources.pattern_overlap import overlaps
from telarchy.resources.patterns import covers, depth
from telarchy.resources.references_streams import stream_problems


def check(loaded: Loaded, now: datetime | None = None) -> list[Problem]:
    """Every finding between the loaded resources, in the order of the files. `now` enables those about time."""
    problems = list(_twice(loaded.resources))
    namespaces: dict[str, list[LoadedResource]] = defaultdict(list)
    for one in loaded.resources:
        namespaces[one.ref.namespace].append(one)
    for members in namespaces.values():
        problems += _namespace_problems(members, loaded, now)
    order = {one.file: index for index, one in reversed(list(enumerate(loaded.resources)))}
    return sorted(problems, key=lambda one: (order.get(one.file, 0), one.line, one.column, one.message))


def _namespace_problems(
    members: Sequence[LoadedResource], loaded: Loaded, now: datetime | None
) -> Iterator[Problem]:
    fleets = [one for one in members if isinstance(one.resource, Fleet)]
    hosts = [one for one in members if isinstance(one.resource, Host)]
    floors = [one for one in members if isinstance(one.resource, CustodyFloor)]
    yield from _more_fleets(fleets)
    for fleet in fleets:
        yield from _time_zones(fleet)
    yield from _shared_places(hosts)
    yield from _shared_endpoints(hosts)
    if now is not None:
        for host in hosts:
            yield from _past_maintenance(host, now)
    for floor in floors:
        yield from _excluded_paths(floor)
    yield from overlaps(floors)
    yield from stream_problems(members, loaded, now)
    if not floors:
        return
    unread = loaded.may_declare("Host", floors[0].ref.namespace)
    if not hosts and unread:
        return
    if not hosts:
        yield floors[0].problem(
            f"no Host is declared here in namespace {floors[0].ref.namespace}; whether hosts can meet its floors "
            "is not checked",
            rule="no-hosts",
            severity="warning",
        )
        return
    custody = _fleet_custody(fleets)
    for floor in floors:
        yield from _host_names(floor, hosts, loaded)
        if not unread:
            yield from _unmeetable(floor, hosts, custody)


def _fleet_custody(fleets: Sequence[LoadedResource]) -> Custody:
    return next((one.resource.spec.custody for one in fleets if isinstance(one.resource, Fleet)), Custody())


def _place(one: LoadedResource) -> str:
    line, _ = one.positions.value(("metadata", "name"))
    return f"{one.file}:{line}"


def _twice(resources: Sequence[LoadedResource]) -> Iterator[Problem]:
    first: dict[object, LoadedResource] = {}
    for one in resources:
        before = first.setdefault(one.ref, one)
        if before is not one:
            yield one.problem(
                f"{one.ref} is declared twice in namespace {one.ref.namespace}; the other is {_place(before)}",
                ("metadata", "name"),
                rule="declared-twice",
            )


def _more_fleets(fleets: Sequence[LoadedResource]) -> Iterator[Problem]:
    named = {one.ref: one for one in reversed(fleets)}
    for one in list(reversed(named.values()))[1:]:
        yield one.problem(
            f"a namespace has one Fleet, and {one.ref.namespace} already has {fleets[0].ref} ({_place(fleets[0])})",
            ("metadata", "name"),
            rule="second-fleet",
        )


def _time_zones(loaded: LoadedResource) -> Iterator[Problem]:
    assert isinstance(loaded.resource, Fleet)
    for index, window in enumerate(loaded.resource.spec.transfers.windows):
        try:
            ZoneInfo(window.time_zone)
        except (KeyError, ValueError, OSError):
            known = available_timezones()
            if not known:
                return  # this machine has no time zone database; the one that runs the loop may
            yield loaded.problem(
                f"the time zone {window.time_zone} is not known{did_you_mean(window.time_zone, sorted(known))}",
                ("spec", "transfers", "windows", index, "timeZone"),
                rule="unknown-time-zone",
            )


def _past_maintenance(loaded: LoadedResource, now: datetime) -> Iterator[Problem]:
    assert isinstance(loaded.resource, Host)
    maintenance = loaded.resource.spec.maintenance
    if maintenance is not None and maintenance.until <= now:
        yield loaded.problem(
            f"the maintenance of {loaded.ref.name} is over; remove `maintenance`",
            ("spec", "maintenance", "until"),
            rule="maintenance-over",
            severity="warning",
        )


def _shared_places(hosts: Sequence[LoadedResource]) -> Iterator[Problem]:
    """Two media roots in one place would count one file as two copies."""
    local: list[tuple[str, LoadedResource, int]] = []
    for loaded in hosts:
        assert isinstance(loaded.resource, Host)
        spec = loaded.resource.spec
        own = [(root.path, loaded, index) for index, root in enumerate(spec.media_roots)]
        if spec.connection.local is not None:
            local += own
        else:
            yield from _nested(own)
    yield from _nested(local)


def _nested(roots: list[tuple[str, LoadedResource, int]]) -> Iterator[Problem]:
    """Roots of one file system that lie at the same place or inside one another."""
    # sorted by components, what lies inside a folder follows it directly
    ordered = sorted(roots, key=lambda root: (root[0].split("/"), root[1].file, root[2]))
    around: list[tuple[str, LoadedResource, int]] = []
    for path, loaded, index in ordered:
        while around and not (path == around[-1][0] or path.startswith(around[-1][0] + "/")):
            around.pop()
        if around:
            other, owner, other_index = around[-1]
            assert isinstance(owner.resource, Host)
            name = owner.resource.spec.media_roots[other_index].name
            of = "this host's" if owner is loaded else f"{owner.ref.name}'s"
            where = "the same folder as" if path == other else "inside"
            yield loaded.problem(
                f"{path} is {where} {of} media root `{name}` ({other}): one file would count twice",
                ("spec", "mediaRoots", index, "path"),
                rule="media-roots-overlap",
            )
        around.append((path, loaded, index))


def _shared_endpoints(hosts: Sequence[LoadedResource]) -> Iterator[Problem]:
    first: dict[object, LoadedResource] = {}
    for loaded in hosts:
        assert isinstance(loaded.resource, Host)
        ssh = loaded.resource.spec.connection.ssh
        for index, text in enumerate(ssh.endpoints if ssh is not None else ()):
            endpoint = parse_endpoint(text)
            machine = (endpoint.host.lower(), endpoint.port)
            before = first.setdefault(machine, loaded)
            if before.ref != loaded.ref:
                yield loaded.problem(
                    f"{text} is also an endpoint of {before.ref}; are they one machine?",
                    ("spec", "connection", "ssh", "endpoints", index),
                    rule="shared-endpoint",
                    severity="warning",
                )


def _excluded_paths(loaded: LoadedResource) -> Iterator[Problem]:
    assert isinstance(loaded.resource, CustodyFloor)
    select = loaded.resource.spec.select
    for index, path in enumerate(select.paths):
        by = next((one for one in select.exclude if covers(one, path)), None)
        if by is not None:
            yield loaded.problem(
                f"`{path}` is selected, and excluded by `{by}`: it selects nothing",
                ("spec", "select", "paths", index),
                rule="selected-and-excluded",
            )
    deepest = max(depth(path) for path in select.paths)
    for index, pattern in enumerate(select.exclude):
        if depth(pattern) > deepest:
            yield loaded.problem(
                f"`{pattern}` is deeper than any title selected, so it excludes nothing",
                ("spec", "select", "exclude", index),
                rule="excludes-nothing",
                severity="warning",
            )


def _host_names(floor: LoadedResource, hosts: Sequence[LoadedResource], loaded: Loaded) -> Iterator[Problem]:
    assert isinstance(floor.resource, CustodyFloor)
    declared = {one.ref.name: one.resource for one in hosts}
    rules = floor.resource.spec.hosts
    for role, selector in (
        ("required", rules.required),
        ("preferred", rules.preferred),
        ("excluded", rules.excluded),
    ):
        for index, name in enumerate(selector.names):
            path = ("spec", "hosts", role, "names", index)
            host = declared.get(name)
            if host is None and loaded.may_declare("Host", floor.ref.namespace, name):
                continue
            if host is None:
                yield floor.problem(
                    f"no Host is named {name}{did_you_mean(name, sorted(declared))}",
                    path,
                    rule="unknown-host",
                    # a preference for nobody costs nothing
                    severity="warning" if role == "preferred" else "error",
                )
            elif role != "excluded" and (reason := _never_holds(host)):
                yield floor.problem(f"{name} {reason}", path, rule="host-holds-nothing", severity="warning")


def _never_holds(host: object) -> str:
    """Why a host never holds copies, or nothing."""
    assert isinstance(host, Host)
    if host.spec.host_class == "Consumer":
        return "is a Consumer, which never holds copies"
    return "" if host.spec.media_roots else "has no mediaRoots, so it never holds copies"


def _unmeetable(
    floor: LoadedResource, hosts: Sequence[LoadedResource], custody: Custody
) -> Iterator[Problem]:
    """Copies count per failure domain; cordoned and absent hosts are counted, since that passes."""
    assert isinstance(floor.resource, CustodyFloor)
    spec = floor.resource.spec
    asked = effective_numbers(spec, custody)
    able = [
        host
        for host in (one.resource for one in hosts)
        if isinstance(host, Host)
        and not _never_holds(host)
        and not host.spec.drain
        and spec.hosts.allows(host.name, host.metadata.labels)
    ]
    domains = {host.failure_domain for host in able}
    awake = {host.failure_domain for host in able if host.spec.always_on}
    severity = "warning" if spec.suspend or spec.mode == "Observe" else "error"
    if len(domains) < asked.copies:
        yield floor.problem(
            f"no set of hosts can meet this floor: it asks for {_copies(asked.copies)}"
            f"{' on different failure domains' if asked.copies > 1 else ''}, and {_who(able, domains)}",
            ("spec", "copies"),
            rule="floor-unmeetable",
            severity=severity,
        )
    elif len(awake) < asked.always_on:
        sleepless = [host for host in able if host.spec.always_on]
        yield floor.problem(
            f"no set of hosts can meet this floor: it asks for {_copies(asked.always_on)} on always-on hosts, and "
            f"{_who(sleepless, awake)}",
            ("spec", "alwaysOn"),
            rule="floor-unmeetable",
            severity=severity,
        )


def _copies(count: int) -> str:
    return "1 copy" if count == 1 else f"{count} copies"


def _who(hosts: Sequence[Host], domains: set[str]) -> str:
    if not hosts:
        return "no host can hold one"
    names = sorted(host.name for host in hosts)
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    if len(domains) == len(names):
        return f"only {listed} can hold {'them' if len(names) > 1 else 'one'}"
    return f"{listed} are {len(domains)} failure domain{'s' if len(domains) > 1 else ''}"
