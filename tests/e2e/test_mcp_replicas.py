"""MCP's client against two processes that share a backend: each of its requests goes to the other one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import httpx
import pytest

from .cutting import cutting
from .server import agent_source
from .test_mcp import EXPOSE, Mode, User, accepted, client_of, mode, text_of

if TYPE_CHECKING:
    from .conftest import StartServer
    from .puppet import Puppet

__all__ = ["mode"]


HEADERS = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
    "mcp-session-id": "session-of-the-test",
}


class Pair(NamedTuple):
    ports: tuple[int, int]

    def in_turn(self, *cuts: int) -> Any:
        """Give a URL whose connections go to one and the other, the first ones cut after so many bytes."""
        one, two = self.ports
        return cutting(one, cuts, two)


@pytest.fixture(scope="module")
def pair(server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shared")

    def pair_of(agent: str, *, on_disconnect: str = "continue") -> Pair:
        streaming = {
            "backend": "sqlite",
            "sqlite": {"path": str(folder / f"{agent}-{on_disconnect}.db")},
            "connection": {"on_disconnect": on_disconnect},
        }
        one, two = (
            server(
                agent_source(agent),
                expose=EXPOSE,
                streaming=streaming,
                metadata={"tags": [name]},
                runs={"lease_seconds": 2},
            )
            for name in ("one", "two")
        )
        return Pair((one.port, two.port))

    return pair_of


async def test_a_question_of_one_is_answered_at_the_other(pair: Any, mode: Mode) -> None:
    user = User(accepted(answer="yes"), accepted(answer="no"))
    with pair("tooling").in_turn() as url:
        async with client_of(url, mode, user=user) as client:
            said = [text_of(await client.call_tool("e2e", {"do": "ask"})) for _ in range(2)]
    assert said == ["You said yes.", "You said no."]


async def test_a_cut_stream_of_one_goes_on_at_the_other(pair: Any, mode: Mode) -> None:
    words = " ".join(f"w{number}" for number in range(8))
    with pair("tooling").in_turn(200, 200, 200, 200) as url:
        async with client_of(url, mode) as client:
            result = await client.call_tool("e2e", {"text": words}, meta={"dockrion/tokens": True})
    assert text_of(result) == f"{words} "


@pytest.mark.parametrize("on_disconnect", ["continue", "cancel"])
async def test_a_call_at_one_is_cancelled_at_the_other(
    pair: Any, puppet: Puppet, on_disconnect: str
) -> None:
    """Its stream stays open, so that nothing else ends it."""
    one, two = pair("puppet", on_disconnect=on_disconnect).ports
    async with httpx.AsyncClient(timeout=20) as client:

        def post(port: int, **message: Any) -> Any:
            body = {"jsonrpc": "2.0", **message}
            return client.stream("POST", f"http://127.0.0.1:{port}/mcp", json=body, headers=HEADERS)

        params = {"name": "e2e", "arguments": puppet.payload, "_meta": {"progressToken": 7}}
        async with post(one, id=7, method="tools/call", params=params) as calling:
            assert calling.status_code == 200
            await anyio.to_thread.run_sync(puppet.token, "Hello")
            given = {"requestId": 7}
            async with post(two, method="notifications/cancelled", params=given) as cancelling:
                assert cancelling.status_code == 202
            left = await anyio.to_thread.run_sync(lambda: puppet.left(within=5))
            answer = (await calling.aread()).decode()
    assert left == "CancelledError"
    assert '"dockrion/code":"CANCELLED"' in answer
