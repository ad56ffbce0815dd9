"""What a person reads when the server is ready: the agent, its addresses, a curl line that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockrion.runtime.front_ends import PROTOCOLS
from dockrion.runtime.sample import curl_line
from dockrion.runtime.traffic import SOCKET_PATH

if TYPE_CHECKING:
    from dockrion.spec import DockSpec

WILDCARD_HOSTS = ("", "0.0.0.0", "::")  # noqa: S104  (compared with, not bound to)


def banner(spec: DockSpec, *, host: str, port: int, seconds: float) -> str:
    url = base_url(host, port)
    expose = spec.expose
    lines = [
        f"{spec.agent.name} is ready after {seconds:.2f} s",
        "",
        f"  page    {url}/",
        *([f"  call    {curl_line(spec, url)}"] if expose.rest or expose.sse else []),
        *([f"  socket  {url.replace('http', 'ws', 1)}{SOCKET_PATH}"] if expose.websocket else []),
        *(f"  {name:<6}  {url}{PROTOCOLS[name].path}" for name in expose.protocols),
        "  stop    Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def base_url(host: str, port: int) -> str:
    """Return the address that a caller on this machine uses."""
    if host in WILDCARD_HOSTS:
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
