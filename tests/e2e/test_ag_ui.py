"""The real client of AG-UI, `@ag-ui/client` from npm, against a real server."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .asking import ask
from .chatting import KEY, chatting
from .cutting import cutting
from .puppet import CHAT, Puppet
from .readers import CLIENTS
from .server import Server, agent_source

if TYPE_CHECKING:
    from .conftest import StartServer

EXPOSE = {"protocols": ["ag-ui"]}
PAGE = Path(__file__).parents[2] / "docs" / "ag-ui.md"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with chatting(tmp_path_factory, "ag-ui") as one:
        yield one


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose runs are kept."""
    streaming = {"connection": {"on_disconnect": "continue"}}
    with chatting(tmp_path_factory, "ag-ui", streaming=streaming) as one:
        yield one


@pytest.fixture(scope="module")
def seen(served: Server, server: StartServer) -> dict[str, Any]:
    """What the client has seen; the run that it left has ended by then."""
    strung = server(agent_source("puppet") + CHAT, handler="chat", expose=EXPOSE)
    with cutting(served.port, [400]) as cut, Puppet() as puppet:
        told = {
            "url": served.url,
            "key": KEY,
            "cutting": cut,
            "strung": strung.url,
            "port": str(puppet.payload["puppet"]),
        }
        ran = _node(["ag-ui.mjs"], json.dumps(told))
        assert puppet.left(within=2) == "CancelledError"
    return json.loads(ran)


def _node(arguments: list[str], given: str = "") -> str:
    ran = subprocess.run(
        ["node", *arguments],
        cwd=CLIENTS,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


SUCCESS = {"type": "success"}
START = "TEXT_MESSAGE_START"
CONTENT = "TEXT_MESSAGE_CONTENT"
END = "TEXT_MESSAGE_END"


def message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "tools": []}


@pytest.mark.node
def test_the_text_grows_into_a_message(seen: dict[str, Any]) -> None:
    said = seen["said"]
    assert said["types"] == ["RUN_STARTED", START, CONTENT, CONTENT, END, "RUN_FINISHED"]
    assert said["added"] == [message("one two ")]
    assert (said["end"], said["error"]) == (SUCCESS, None)


@pytest.mark.node
def test_tools_of_the_agent_have_their_results(seen: dict[str, Any]) -> None:
    call, result, text = seen["tool"]["added"]
    assert call["tools"] == [["add", '{"a":1,"b":2}']]
    assert (result["role"], result["content"]) == ("tool", "3")
    assert text == message("It is 3.")
    assert seen["tool"]["end"] == SUCCESS


@pytest.mark.node
def test_an_agent_that_fails_is_a_run_error_after_what_it_said(seen: dict[str, Any]) -> None:
    failed = seen["failed"]
    assert failed["types"][:3] == ["RUN_STARTED", START, CONTENT]
    assert failed["types"][-1] == "RUN_ERROR"
    assert failed["error"] == ["AGENT_EXECUTION_ERROR", "RuntimeError: I cannot"]


@pytest.mark.node
def test_a_caller_without_a_key_is_told_so(seen: dict[str, Any]) -> None:
    assert "401" in seen["refused"]["error"][1]
    assert seen["refused"]["types"] == []


@pytest.mark.node
def test_a_cut_connection_is_an_error_and_no_end(seen: dict[str, Any]) -> None:
    assert seen["cut"]["error"] is not None
    assert seen["cut"]["end"] is None
    assert "RUN_FINISHED" not in seen["cut"]["types"]


@pytest.mark.node
def test_a_question_is_answered_by_the_client(seen: dict[str, Any]) -> None:
    [question] = seen["asked"]["end"]["interrupts"]
    assert question["message"] == "Really?"
    assert seen["answered"]["added"] == [message("You said yes.")]
    assert seen["answered"]["end"] == SUCCESS


@pytest.mark.node
def test_a_question_that_nobody_answers_ends_the_run(seen: dict[str, Any]) -> None:
    assert seen["givenUp"]["end"] == {"type": "cancelled"}
    assert seen["givenUp"]["error"] is None


@pytest.mark.node
def test_usage_is_what_the_agent_has_told(seen: dict[str, Any]) -> None:
    counts = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
    assert seen["counted"]["usage"] == [counts]
    assert seen["said"]["usage"] is None


def test_whoever_sends_the_post_again_goes_on_after_the_last_id(
    held: Server, served: Server
) -> None:
    body = {"threadId": "t", "runId": "r", "messages": [{"role": "user", "content": "one two"}]}
    key = [("Authorization", f"Bearer {KEY}")]
    whole = ask(held, "POST", "/ag-ui", key, json.dumps(body).encode()).body.decode()
    [cursor] = re.findall(r'"delta":"one "}\nid: (.*)\n', whole)
    again = [*key, ("Last-Event-ID", cursor)]
    rest = ask(held, "POST", "/ag-ui", again, json.dumps(body).encode()).body.decode()
    assert rest == whole.partition(f"id: {cursor}\n\n")[2]
    assert '"delta":"two "' in rest
    assert ask(served, "POST", "/ag-ui", again, json.dumps(body).encode()).status == 410


@pytest.mark.node
def test_a_client_that_aborts_stops_the_agent(seen: dict[str, Any]) -> None:
    assert seen["left"]["types"][0] == "RUN_STARTED"
    assert seen["left"]["end"] is None


@pytest.mark.node
def test_the_snippet_of_the_page_runs(served: Server) -> None:
    [snippet] = re.findall(r"(?ms)^```js\n(.*?)^```$", PAGE.read_text())
    code = snippet.replace("http://127.0.0.1:8080", served.url).replace("<your key>", KEY)
    assert _node(["--input-type=module", "-e", code]) == "one two \none two \n"
