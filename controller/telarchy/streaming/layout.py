"""Where things lie on a host and under which URLs they are served. Pure.

Everything that an endpoint has on its host lies in one folder, its base, so that removing the endpoint is removing
that folder. All paths here are relative to it, and it is the working directory of every service of the endpoint.

    services/<service>/            what runs (see `links.services`)
    spool/<stream>/<generation>/   master.m3u8, <rendition>/{index.m3u8,init*.mp4,s<MSN>.m4s}
    spool/<stream>/current         the generation that plays now
    progress/<stream>              how the encoder gets on
    publishing/<stream>            is there while a publisher is accepted; its text is the StreamKey's name
    stale/<stream>                 is there while viewers are better sent elsewhere (the origin answers 503)
    keys.json, keyuse/<key>        verifiers, and when each was last used or refused
    log/access.log                 one line per request, without addresses and tokens
"""

from __future__ import annotations

from telarchy.resources.mediaendpoint import health_port as health_port
from telarchy.resources.meta import DEFAULT_NAMESPACE

DEFAULT_SPOOL = "~/.local/state/telarchy/streaming"  # `~` is the host's affair
RTMP, HTTP, CACHE = "rtmp", "http", "cache"  # services of an endpoint
LADDER, RELAY = "ladder", "relay"  # and one of these for each stream
MASTER, PLAYLIST, AUDIO = "master.m3u8", "index.m3u8", "audio"
KEYS_FILE = "keys.json"
ACCESS_LOG = "log/access.log"


def base(endpoint: str, namespace: str = DEFAULT_NAMESPACE, spool: str | None = None) -> str:
    """The folder of an endpoint on its host. One given by a person is shared with other things.

    An endpoint's name has no dot, so no two of them share a folder: `c.a-b` is not `c-a.b`.
    """
    if spool is None:
        return f"{DEFAULT_SPOOL}/{namespace}.{endpoint}"
    return f"{spool.rstrip('/')}/telarchy-{namespace}.{endpoint}"


def ladder_service(stream: str) -> str:
    return f"{LADDER}-{stream.replace('.', '-')}"


def relay_service(stream: str) -> str:
    return f"{RELAY}-{stream.replace('.', '-')}"


def generation_folder(stream: str, generation: str) -> str:
    return f"spool/{stream}/{generation}"


def current_file(stream: str) -> str:
    return f"spool/{stream}/current"


def progress_file(stream: str) -> str:
    return f"progress/{stream}"


def publishing_flag(stream: str) -> str:
    return f"publishing/{stream}"


def stale_flag(stream: str) -> str:
    return f"stale/{stream}"


def source_path(endpoint: str, stream: str, generation: str) -> str:
    """The URL path on an edge's 127.0.0.1 under which it passes on what a source has of a generation."""
    return f"/source/{endpoint}/{stream}/{generation}"


def live_path(stream: str, generation: str, *rest: str) -> str:
    """The URL path under which a generation is played: `/live/garden/g1-…/720p/index.m3u8`."""
    return "/".join(("/live", stream, generation, *rest))


def entry_path(stream: str) -> str:
    """The URL path that stays when a generation follows another; it leads to the present one's master playlist."""
    return f"/live/{stream}/{MASTER}"
