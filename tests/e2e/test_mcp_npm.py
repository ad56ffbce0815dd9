"""The real client of MCP for JavaScript, `@modelcontextprotocol/sdk` from npm, against a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from .cutting import cutting
from .puppet import Puppet
from .readers import CLIENTS
from .server import Server, agent_source
from .test_mcp import EXPOSE, INPUT, KEY, SECTIONS, snippet

if TYPE_CHECKING:
    from .conftest import StartServer

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def tooling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, since its log has what the agent raises when it is told to fail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKRION_API_KEY", KEY)
        folder = tmp_path_factory.mktemp("tooling")
        one = Server(folder, agent_source("tooling"), handler="handle", sections=SECTIONS)
    yield one
    one.kill()


@pytest.fixture(scope="module")
def seen(tooling: Server, server: StartServer) -> dict[str, Any]:
    """What the client has seen; the run that it gave up has ended by then."""
    strung = server(agent_source("puppet"), expose=EXPOSE)
    with cutting(tooling.port, [400] * 6) as cut, Puppet() as puppet:
        told = {
            "url": tooling.url,
            "key": KEY,
            "cutting": cut,
            "strung": strung.url,
            "port": puppet.payload["puppet"],
        }
        process = subprocess.Popen(
            ["node", "mcp.mjs"],
            cwd=CLIENTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(told))
        process.stdin.close()
        process.stdin = None
        try:
            # Far down in what the client does, so that this waits for all before it.
            puppet.token("Hello")
            assert puppet.left(within=5) == "CancelledError"
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    return json.loads(out)


def text_of(seen: dict[str, Any]) -> str:
    [content] = seen["result"]["content"]
    return content["text"]


def test_the_agent_is_the_one_tool(seen: dict[str, Any]) -> None:
    [tool] = seen["listed"]["tools"]
    assert (tool["name"], tool["inputSchema"]) == ("e2e", INPUT)
    assert seen["listed"]["server"]["name"] == "e2e"


def test_a_call_tells_its_progress_and_gives_text_and_output(seen: dict[str, Any]) -> None:
    said = seen["said"]
    assert text_of(said) == "one two "
    assert said["result"]["structuredContent"] == {"content": "one two "}
    assert said["told"] == [[0.5, 1, "word 1"], [1, 1, "word 2"]]


def test_what_goes_wrong_is_a_result_for_the_model(seen: dict[str, Any]) -> None:
    assert seen["failed"]["result"]["isError"]
    assert text_of(seen["failed"]) == "AGENT_EXECUTION_ERROR: RuntimeError: I cannot"
    assert text_of(seen["wrong"]) == 'VALIDATION_ERROR: /do: 1 is not of type "string"'
    assert seen["unknown"]["error"][0] == -32602


def test_a_caller_without_the_key_is_told_so(seen: dict[str, Any]) -> None:
    code, message = seen["refused"]["error"]
    assert code == 401
    assert "API key required" in message
    assert "error" not in seen["pinged"]


def test_the_user_answers_what_the_agent_asks(seen: dict[str, Any]) -> None:
    assert (seen["answered"]["asked"], text_of(seen["answered"])) == (["Really?"], "You said yes.")
    assert sorted(seen["both"]["asked"]) == ["One?", "Two?"]
    assert text_of(seen["both"]) == "You said yes and yes."
    assert text_of(seen["declined"]).startswith("CANCELLED: ")
    assert text_of(seen["unasked"]).startswith("INTERRUPTED: ")


def test_a_cut_connection_loses_nothing(seen: dict[str, Any]) -> None:
    cut = seen["cut"]
    words = [f"w{number}" for number in range(8)]
    assert text_of(cut) == "".join(f"{word} " for word in words)
    assert [message for *_, message in cut["told"]] == [
        part for number, word in enumerate(words, 1) for part in (f"word {number}", f"{word} ")
    ]
    assert "SSE stream disconnected: TypeError: terminated" in cut["errors"]


def test_a_call_that_is_given_up_stops_the_agent(seen: dict[str, Any]) -> None:
    assert "enough" in seen["left"]["error"][1]


def test_the_javascript_of_the_page_runs(tooling: Server) -> None:
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", snippet("js", tooling)],
        cwd=CLIENTS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "0.5 word 1\n1 word 2\none two \n"
