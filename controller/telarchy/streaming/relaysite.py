"""The server of an edge that fills its own spool: it serves that, and asks the sources for the copying encoder. Pure.

    ffmpeg → 127.0.0.1, /source/<endpoint>/<stream>/<generation>/… → a hop (`edge`) → the source

So what is asked for and signed, with a token that lasts minutes and is made anew for each request, stands in no file
and in no argument; https is checked here, and the source sees an endpoint of ours and no viewer. The host's own
listener asks nobody for a token, as it does not for /health/. All sources that an edge may use are there at any time:
to take another is an affair of the encoder alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from telarchy.core.service import Service
from telarchy.streaming import edge, nginx, serving
from telarchy.streaming.serving import OriginSite


@dataclass(frozen=True, kw_only=True)
class RelaySite(OriginSite):
    """An origin's server that passes on besides.

    upstreams:    name and base URL of each endpoint from which its streams are copied
    authorities:  certificates by which those with https are checked
    """

    upstreams: tuple[tuple[str, str], ...] = ()
    authorities: str = edge.DEBIAN_AUTHORITIES


def service(site: RelaySite) -> Service:
    return serving.http_service(site, configuration(site))


def configuration(site: RelaySite) -> str:
    """Raises ConfigError."""
    edge.check_authorities(site.authorities)
    named = sorted(site.upstreams)
    sources = [edge.source(url) for _, url in named]
    ways = "".join(
        f"  upstream from-{nginx.name(name)} {{\n    server unix:{edge.hop(at)} max_fails=0;\n    keepalive 4;\n  }}\n"
        for at, (name, _) in enumerate(named)
    )
    cases = "".join(f"    {name} from-{name};\n" for name, _ in named)
    return serving.frame(
        site,
        serving.Parts(
            gate=serving.SPOOL_GATE,
            locations=serving.SPOOL,
            local=_PASSED_ON,
            upstreams=ways
            + f'  map $t_from $t_way {{\n    default "";\n{cases}  }}\n'
            + edge.lasting(site)
            + "".join(edge.kept(at, one) for at, one in enumerate(sources)),
            servers="".join(edge.hop_server(at, one, site.authorities) for at, one in enumerate(sources)),
        ),
    )


_PASSED_ON = """    location /source/ {
      if ($t_way = "") { return 404; }
      rewrite ^ /live/$t_stream/$t_gen/$t_rest break;
      proxy_http_version 1.1;
      proxy_set_header Host telarchy;
      proxy_set_header Connection "";
      proxy_max_temp_file_size 0;
      proxy_connect_timeout 1s;
      proxy_read_timeout 6s;
      proxy_pass http://$t_way;
    }
"""
