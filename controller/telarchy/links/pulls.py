"""Who may pull what from whom, arranged when a host is enrolled: at its first copy it is there already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from telarchy.errors import ActionFailed, HostUnreachable
from telarchy.links.pool import LinkPool
from telarchy.links.routes import Routes
from telarchy.resources.host import Host


def pulls(hosts: Sequence[Host], name: str) -> Iterator[tuple[str, str, str]]:
    """Target, source and root of every pull between the host of that name and the others. Who has no media root has
    nowhere to pull to, a Consumer keeps no copies, and who is not reached by ssh needs no key."""
    reached = [host for host in hosts if host.spec.connection.ssh is not None and host.spec.media_roots]
    new = [host for host in reached if host.metadata.name == name]
    others = [host for host in reached if host.metadata.name != name]
    for one in new:
        for other in others:
            for target, source in ((other, one), (one, other)):
                if target.spec.host_class == "Consumer":
                    continue
                for root in source.spec.media_roots:
                    yield target.metadata.name, source.metadata.name, root.path


async def authorise_pulls(
    pool: LinkPool,
    routes: Routes,
    hosts: Sequence[Host],
    name: str,
    *,
    dry_run: bool,
    say: Callable[[str], None],
) -> None:
    """Arrange the pulls of a host, telling of each. What cannot be arranged now the first copy arranges."""
    pool.configure(hosts)
    try:
        for target, source, root in pulls(hosts, name):
            what = f"let {target} read {root} of {source}, and nothing else there"
            try:
                new = await routes.authorise(target, source, root, dry_run=dry_run)
            except (HostUnreachable, ActionFailed, TimeoutError) as problem:
                say(f"not now, but at the first copy: {what} ({str(problem) or 'no answer in time'})")
                continue
            say(f"{('would-do' if dry_run else 'done') if new else 'already'}: {what}")
    finally:
        await pool.close()
