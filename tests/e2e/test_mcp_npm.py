"""The real clients of MCP for JavaScript against a real server: `@modelcontextprotocol/sdk` from npm, which begins with
a handshake, and `@modelcontextprotocol/client`, which knows the newest revision too.
"""

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


CLIENTS_AND_REVISIONS = [
    ("sdk", "2025-11-25"),
    ("client", "2025-11-25"),
    ("client", "2026-07-28"),
]


@pytest.fixture(scope="module", params=CLIENTS_AND_REVISIONS, ids=" ".join)
def seen(request: pytest.FixtureRequest, tooling: Server, server: StartServer) -> dict[str, Any]:
    """What a client has seen; the run that it gave up has ended by then."""
    client, revision = request.param
    strung = server(agent_source("puppet"), expose=EXPOSE)
    guarded = server(
        agent_source("tooling"),
        expose=EXPOSE,
        auth={"mode": "none", "rate_limits": {"default": "2/day"}},
        policies={"safety": {"redact_patterns": ["secret[0-9]+"], "block_prompt_injection": True}},
        # One for each client, who is known by its address alone.
        metadata={"version": f"{client}, {revision}"},
    )
    (tooling.folder / "calls").write_text("")
    with cutting(tooling.port, [400] * 6) as cut, Puppet() as puppet:
        told = {
            "client": client,
            "revision": revision,
            "url": tooling.url,
            "key": KEY,
            "cutting": cut,
            "strung": strung.url,
            "guarded": guarded.url,
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
    calls = (tooling.folder / "calls").read_text().splitlines()
    return {**json.loads(out), "revision": revision, "calls": [json.loads(one) for one in calls]}


def text_of(seen: dict[str, Any]) -> str:
    [content] = seen["result"]["content"]
    return content["text"]


def is_newest(seen: dict[str, Any]) -> bool:
    return seen["revision"] == "2026-07-28"


def test_the_agent_is_the_one_tool(seen: dict[str, Any]) -> None:
    [tool] = seen["listed"]["tools"]
    assert (tool["name"], tool["inputSchema"]) == ("e2e", INPUT)
    assert seen["listed"]["server"]["name"] == "e2e"
    # The older package does not tell.
    assert seen["listed"].get("revision", seen["revision"]) == seen["revision"]


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
    # In the newest revision the client has words of its own.
    assert ("requires authorization" if is_newest(seen) else "API key required") in message
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


def test_no_call_runs_the_agent_twice(seen: dict[str, Any]) -> None:
    asked = [call.get("do", "") for call in seen["calls"]]
    assert asked == ["", "fail", "ask", "both", "ask", "ask", ""]


def test_nothing_of_a_match_leaves(seen: dict[str, Any]) -> None:
    assert text_of(seen["redacted"]) == "a [REDACTED] b "
    told = "".join(message for *_, message in seen["redacted"]["told"])
    assert "[REDACTED]" in told
    assert "secret" not in told
    assert text_of(seen["injected"]).startswith("POLICY_VIOLATION: ")


def test_whoever_calls_too_often_is_told_so(seen: dict[str, Any]) -> None:
    code, message = seen["limited"]["error"]
    assert code == 429
    assert "Too many calls: 2 per day are allowed." in message


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
