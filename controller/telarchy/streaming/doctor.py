"""What a host lacks for what is declared of it: facts from the host against needs from the manifests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from telarchy.core.words import format_bytes, format_span, listing
from telarchy.resources.host import Host
from telarchy.resources.mediaendpoint import MediaEndpoint, health_port
from telarchy.resources.meta import Resource
from telarchy.resources.stream import Stream
from telarchy.streaming import layout

CLOCK_SECONDS = 2.0  # apart: worth a word
CLOCK_WRONG_SECONDS = 30.0  # apart: expiry of keys and URLs, and the numbers of segments, are off
OPTIONAL = ("rsync", "mpv", "transmission-daemon", "curl")  # named even where nothing needs them
ASKS = "bash or curl"  # either asks an endpoint's server what viewers get

_PACKAGES = {
    "ngx_rtmp_module": "libnginx-mod-rtmp",
    "ngx_http_js_module": "libnginx-mod-http-js",
    "ffprobe": "ffmpeg",
    "varnishd": "varnish",
    ASKS: "curl",
}


class Verdict(StrEnum):
    """How a check came out. Only `MISSING` makes the whole fail."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"
    UNUSED = "not needed"


@dataclass(frozen=True)
class Check:
    """One line of the report. `needed_by`: resources that are not as declared without it."""

    about: str
    verdict: Verdict
    says: str
    needed_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What doctor.sh said. Versions by tool; rooms by folder: (path, state, free, total)."""

    user: str = ""
    clock: float | None = None
    manager: str = "none"
    tools: Mapping[str, str] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    can: frozenset[str] = frozenset()
    ports: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    rooms: Mapping[int, tuple[str, str, int | None, int | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Needs:
    """What is declared of a host: by name of a thing, the resources that need it."""

    things: Mapping[str, tuple[str, ...]]
    ports: Mapping[str, tuple[str, ...]]
    folders: Mapping[str, tuple[MediaEndpoint, ...]]
    services: tuple[str, ...]


def needs_of(host: Host, resources: Iterable[Resource]) -> Needs:
    """What `host` needs for what is declared in its namespace."""
    mine = [one for one in resources if one.namespace == host.namespace]
    streams = [one for one in mine if isinstance(one, Stream)]
    things: dict[str, list[str]] = {}
    ports: dict[str, list[str]] = {}
    folders: dict[str, list[MediaEndpoint]] = {}
    services: list[str] = []

    def need(where: dict[str, list[str]], name: str, ref: object) -> None:
        listed = where.setdefault(name, [])
        if str(ref) not in listed:
            listed.append(str(ref))

    if host.spec.media_roots:
        need(things, "rsync", host.ref)
    for one in mine:
        if not isinstance(one, MediaEndpoint) or one.spec.host_ref != host.name:
            continue
        spec = one.spec
        own = [each for each in streams if spec.stream_selector.matches(each.metadata.labels)]
        local = host.spec.connection.local is not None
        built_in = spec.server == "BuiltIn" or (spec.server is None and local)
        need(things, ASKS, one.ref)
        folders.setdefault(layout.base(one.name, one.namespace, spec.spool.path), []).append(one)
        if not built_in:
            for name in ("nginx", "ngx_http_js_module"):
                need(things, name, one.ref)
            for number in (spec.listen.http, health_port(spec.listen.http)):
                need(ports, f"tcp:{number}", one.ref)
            services.append(str(one.ref))
        if spec.role == "Origin":
            for name in ("ffmpeg", "libx264", "aac"):
                need(things, name, one.ref)
            if any(each.spec.ingest.rtmp is not None for each in own):
                for name in ("nginx", "ngx_rtmp_module", "ngx_http_js_module"):
                    need(things, name, one.ref)
                for number in (spec.listen.rtmp, health_port(spec.listen.rtmp)):
                    need(ports, f"tcp:{number}", one.ref)
            for each in own:
                if each.spec.ingest.srt is not None:
                    need(things, "srt", each.ref)
                    need(ports, f"udp:{each.spec.ingest.srt.port}", each.ref)
            services.append(str(one.ref))
        elif spec.mode == "Relay":
            need(things, "ffmpeg", one.ref)
            services.append(str(one.ref))
        elif spec.cache == "Varnish" and not built_in:
            need(things, "varnishd", one.ref)
    return Needs(
        {name: tuple(refs) for name, refs in things.items()},
        {name: tuple(refs) for name, refs in ports.items()},
        {path: tuple(several) for path, several in folders.items()},
        tuple(dict.fromkeys(services)),
    )


def arguments(needs: Needs) -> list[str]:
    """What doctor.sh is asked."""
    return [*needs.ports, "--", *needs.folders]


def read_facts(text: str) -> Facts:
    """The lines of doctor.sh; those of another version are passed over."""
    user, clock, manager = "", None, "none"
    tools: dict[str, str] = {}
    modules: set[str] = set()
    can: set[str] = set()
    ports: dict[str, tuple[str, str, str]] = {}
    paths: dict[int, str] = {}
    rooms: dict[int, tuple[str, str, int | None, int | None]] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "user":
            user = value
        elif name == "clock" and value.isdigit():
            clock = float(value)
        elif name == "manager":
            manager = value
        elif name == "tool":
            tool, _, version = value.partition(" ")
            tools[tool] = version
        elif name == "module":
            modules.add(value)
        elif name == "can":
            can.add(value)
        elif name == "port":
            words = [*value.split(" ", 3), "", "", ""]
            ports[words[0]] = (words[1], words[2], words[3])
        elif name in ("folder", "room"):
            number, _, rest = value.partition(" ")
            if not number.isdigit():
                continue
            if name == "folder":
                paths[int(number)] = rest
            else:
                state, *sizes = rest.split()
                free, total = (int(size) if size.isdigit() else None for size in [*sizes, "", ""][:2])
                rooms[int(number)] = (paths.get(int(number), ""), state, free, total)
    return Facts(user, clock, manager, tools, frozenset(modules), frozenset(can), ports, rooms)


def examine(facts: Facts, needs: Needs, now: float) -> list[Check]:
    """Every check, in the order in which they are shown. `now`: the controller's clock as the host answered."""
    checks = [_tool(name, facts, needs) for name in ("ffmpeg", "ffprobe")]
    checks += [_ability(name, facts.can, "ffmpeg can do it", needs) for name in ("libx264", "aac", "srt")]
    checks.append(_tool("nginx", facts, needs))
    for name in ("ngx_rtmp_module", "ngx_http_js_module"):
        checks.append(_ability(name, facts.modules, "there", needs))
    checks += [_tool(name, facts, needs) for name in ("varnishd", *OPTIONAL)]
    checks.append(_asks(facts, needs))
    checks += _manager(facts, needs)
    checks += [_port(port, facts, needs) for port in needs.ports]
    for number, path in enumerate(needs.folders):
        checks.append(_room(facts.rooms.get(number), path, needs.folders[path]))
    checks.append(_clock(facts, now))
    return checks


def packages(checks: Sequence[Check]) -> list[str]:
    """Debian's packages that would mend what is missing."""
    known = {*_PACKAGES, "ffmpeg", "nginx", "rsync"}
    missing = [one.about for one in checks if one.verdict is Verdict.MISSING and one.about in known]
    return list(dict.fromkeys(_PACKAGES.get(name, name) for name in missing))


def _tool(name: str, facts: Facts, needs: Needs) -> Check:
    by = needs.things.get(name, ())
    if name in facts.tools:
        return Check(name, Verdict.OK, facts.tools[name] or "there", by)
    return Check(name, Verdict.MISSING if by else Verdict.UNUSED, "not installed", by)


def _asks(facts: Facts, needs: Needs) -> Check:
    by = needs.things.get(ASKS, ())
    there = [one for one in ("bash", "curl") if one in facts.tools]
    if there:
        return Check(ASKS, Verdict.OK, " and ".join(there), by)
    return Check(ASKS, Verdict.MISSING if by else Verdict.UNUSED, "neither is installed", by)


def _ability(name: str, found: frozenset[str], says: str, needs: Needs) -> Check:
    by = needs.things.get(name, ())
    if name in found:
        return Check(name, Verdict.OK, says, by)
    return Check(name, Verdict.MISSING if by else Verdict.UNUSED, "not there", by)


def _manager(facts: Facts, needs: Needs) -> list[Check]:
    says = {
        "system": "systemd keeps services up, over reboots too",
        "user": "the user's systemd keeps services up, over reboots too",
        "nolinger": f"services would not come back after a reboot: `loginctl enable-linger {facts.user}`",
    }.get(
        facts.manager, "no systemd: services are kept up, but do not come back by themselves after a reboot"
    )
    good = facts.manager in ("system", "user")
    verdict = Verdict.OK if good else Verdict.WARNING if needs.services else Verdict.UNUSED
    return [Check("services", verdict, says, needs.services)]


def _port(port: str, facts: Facts, needs: Needs) -> Check:
    by = needs.ports[port]
    state, process, folder = facts.ports.get(port, ("unknown", "", ""))
    if state == "free":
        return Check(port, Verdict.OK, "free", by)
    if state == "unknown":
        return Check(port, Verdict.WARNING, "cannot be looked at: neither ss nor netstat is there", by)
    ours = {path for path, *_ in facts.rooms.values()}
    if folder and any(folder == path or folder.startswith(f"{path}/") for path in ours if path):
        return Check(port, Verdict.OK, f"held by its own {process}", by)
    if process in ("", "?"):
        return Check(port, Verdict.WARNING, "held by a process of another user", by)
    return Check(port, Verdict.MISSING, f"held by {process}, which is not Telarchy's", by)


def _room(
    room: tuple[str, str, int | None, int | None] | None, path: str, endpoints: Sequence[MediaEndpoint]
) -> Check:
    by = tuple(str(one.ref) for one in endpoints)
    if room is None:
        return Check(path, Verdict.WARNING, "was not looked at", by)
    _, state, free, total = room
    if state != "writable":
        says = "a file is in its place" if state == "notafolder" else "cannot be written to"
        return Check(path, Verdict.MISSING, says, by)
    if free is None or total is None:
        return Check(path, Verdict.WARNING, "writable; its space is not known", by)
    reserve = sum(one.spec.spool.reserve.bytes for one in endpoints)
    says = f"writable, {format_bytes(free)} of {format_bytes(total)} free"
    if free <= reserve:
        return Check(path, Verdict.MISSING, f"{says}, and {format_bytes(reserve)} are to stay free", by)
    return Check(path, Verdict.OK, says, by)


def _clock(facts: Facts, now: float) -> Check:
    if facts.clock is None:
        return Check("clock", Verdict.WARNING, "was not told")
    apart = facts.clock - now
    if abs(apart) <= CLOCK_SECONDS:
        return Check("clock", Verdict.OK, f"within {CLOCK_SECONDS:.0f} s of the controller's")
    which = "ahead of" if apart > 0 else "behind"
    wrong = abs(apart) > CLOCK_WRONG_SECONDS
    says = f"{format_span(abs(apart))} {which} the controller's: let both follow NTP"
    return Check("clock", Verdict.MISSING if wrong else Verdict.WARNING, says)


def summary(checks: Sequence[Check]) -> str:
    """One sentence for a person."""
    bad = [one.about for one in checks if one.verdict is Verdict.MISSING]
    return f"not in order: {listing(bad, most=20)}" if bad else "all that is declared can run here"
