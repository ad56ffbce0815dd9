"""MCP's client against two processes that share a backend: each of its requests goes to the other one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import pytest

from .cutting import cutting
from .server import agent_source
from .test_mcp import EXPOSE, Mode, User, accepted, client_of, mode, text_of

if TYPE_CHECKING:
    from .conftest import StartServer
    from .puppet import Puppet

__all__ = ["mode"]


class Pair(NamedTuple):
    ports: tuple[int, int]

    def in_turn(self, *cuts: int) -> Any:
        """Give a URL whose connections go to one and the other, the first ones cut after so many bytes."""
        one, two = self.ports
        return cutting(one, cuts, two)


@pytest.fixture(scope="module")
def pair(server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shared")

    def pair_of(agent: str) -> Pair:
        streaming = {
            "backend": "sqlite",
            "sqlite": {"path": str(folder / f"{agent}.db")},
            "connection": {"on_disconnect": "continue"},
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


async def test_a_call_at_one_is_cancelled_at_the_other(pair: Any, puppet: Puppet) -> None:
    with pair("puppet").in_turn() as url:
        async with client_of(url, "legacy") as client, anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "e2e", puppet.payload)
            await anyio.to_thread.run_sync(puppet.token, "Hello")
            tasks.cancel_scope.cancel()
        left = await anyio.to_thread.run_sync(lambda: puppet.left(within=5))
    assert left == "CancelledError"
