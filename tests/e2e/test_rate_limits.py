"""Rate limits on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .rawhttp import Connection, Head, request

if TYPE_CHECKING:
    from .conftest import StartServer

AGENT = "async def handle(payload):\n    return {'got': payload}\n"
LIMITED = {
    "mode": "none",
    "rate_limits": {"default": "2/day"},
    "trusted_proxies": ["127.0.0.1"],
}


def test_each_address_behind_a_trusted_proxy_has_its_own_count(server: StartServer) -> None:
    port = server(AGENT, auth=LIMITED).port
    heads: list[Head] = []
    with Connection(port) as connection:
        for address in ("198.51.100.1",) * 3 + ("198.51.100.2", "203.0.113.1, 198.51.100.1"):
            connection.send(request("POST", "/invoke", {}, headers=[f"X-Forwarded-For: {address}"]))
            heads.append(connection.head())
            connection.body(heads[-1])
    assert [head.status for head in heads] == [200, 200, 429, 200, 429]
    (seconds,) = heads[-1].values(b"retry-after")
    assert heads[-1].values(b"ratelimit-reset") == [seconds]
    assert 0 < int(seconds) <= 86400
