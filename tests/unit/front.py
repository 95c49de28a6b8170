"""A real nginx as people put it before a server, and clients that come from addresses of their own."""

from __future__ import annotations

import http.client
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.unit.streaming.running import PATHS, free_ports, listening, need, wait

CONFIGURATION = """worker_processes 1;
error_log stderr error;
pid run/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path run/a; proxy_temp_path run/b;
  fastcgi_temp_path run/c; uwsgi_temp_path run/d; scgi_temp_path run/e;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{behind};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto https;
    }}
  }}
}}
"""


@contextmanager
def proxy(folder: Path, behind: int) -> Iterator[int]:
    """Its port on 127.0.0.1, while inside. It says that it was asked by https."""
    need("nginx")
    (folder / "run").mkdir(parents=True)
    (port,) = free_ports()
    (folder / "nginx.conf").write_text(CONFIGURATION.format(port=port, behind=behind))
    program = shutil.which("nginx", path=PATHS) or "nginx"
    words = [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: listening(port), what="the proxy")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def ask(
    port: int, path: str, source: str = "127.0.0.1", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of what a client gets that has the address `source`, one of 127.0.0.0/8."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
    try:
        client.request("GET", path, headers=dict(headers or {}))
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()
