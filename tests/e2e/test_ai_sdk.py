"""The real clients of the AI SDK, `ai` and `@ai-sdk/react` from npm, against a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of

from dockrion.events.model import (
    Batch,
    Cancelled,
    Complete,
    Custom,
    Event,
    Failed,
    Interrupt,
    Started,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.wires.ai_sdk.chunks import AiSdkWire, Told

from .cutting import cutting
from .puppet import Puppet
from .readers import CLIENTS
from .server import Server, agent_source

if TYPE_CHECKING:
    from .conftest import StartServer

pytestmark = pytest.mark.node
KEY = "key-of-the-test"
STRUNG = """

async def chat(payload, context):
    said = payload["messages"][-1]["content"]
    return await handle({"puppet": int(said)}, context)
"""
EXPOSE = {"protocols": ["ai-sdk"]}
POLICIES = {"safety": {"redact_patterns": ["ses.?ame"]}}
ONE = {"mode": "none", "rate_limits": {"default": "1/hour"}}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two of one agent, the second of which holds its runs: of their own, since the log has what the agent raises."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKRION_API_KEY", KEY)
        source, auth = agent_source("showing"), {"mode": "api_key"}
        continues = {"connection": {"on_disconnect": "continue"}}
        both = [
            Server(
                tmp_path_factory.mktemp("showing"),
                source,
                handler="handle",
                sections={"expose": EXPOSE, "auth": auth, "policies": POLICIES, **more},
            )
            for more in ({}, {"streaming": continues})
        ]
    yield both
    for one in both:
        one.kill()


@pytest.fixture(scope="module")
def seen(servers: list[Server], server: StartServer) -> dict[str, Any]:
    """What the clients have seen; the run that one left has ended by then."""
    strung = server(agent_source("puppet") + STRUNG, handler="chat", expose=EXPOSE, auth=ONE)
    one, held = servers
    with cutting(one.port, [600]) as cut, Puppet() as puppet:
        told = {
            "url": one.url,
            "key": KEY,
            "cutting": cut,
            "held": {"url": held.url, "go": str(held.folder / "go")},
            "strung": strung.url,
            "port": str(puppet.payload["puppet"]),
        }
        node = subprocess.Popen(
            ["node", "ai-sdk.mjs"], cwd=CLIENTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with node:
            assert node.stdin is not None
            node.stdin.write(json.dumps(told).encode())
            node.stdin.close()
            puppet.token("So, ")
            assert puppet.left() == "CancelledError"
            assert node.stdout is not None
            ran = node.stdout.read()
        assert node.returncode == 0
    return json.loads(ran)


def parts_of(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of the last message, but for where its steps begin."""
    return [part for part in seen["messages"][-1]["parts"] if part["type"] != "step-start"]


def text_of(parts: list[dict[str, Any]]) -> str:
    return "".join(part["text"] for part in parts if part["type"] == "text")


def test_the_text_grows_into_a_message(seen: dict[str, Any]) -> None:
    read = seen["read"]["text"]
    assert text_of(read["message"]["parts"]) == "one two end"
    assert read["message"]["id"] == f"msg_{read['message']['metadata']['runId']}"
    assert read["states"] >= 3
    assert read["errors"] == []
    assert seen["read"]["failed"]["errors"] == ["RuntimeError: I cannot"]


def test_tools_of_the_agent_have_their_results_or_errors(seen: dict[str, Any]) -> None:
    add, find, text = parts_of(seen["tool"])
    assert (add["type"], add["toolName"], add["state"]) == (
        "dynamic-tool",
        "add",
        "output-available",
    )
    assert (add["input"], add["output"]) == ({"a": 1, "b": 2}, 3)
    assert (find["state"], find["errorText"]) == ("output-error", "not there")
    assert (text["text"], text["state"]) == ("It is 3.", "done")
    assert seen["tool"]["status"] == "ready"


def test_data_is_in_the_message_or_passes_by(seen: dict[str, Any]) -> None:
    data = seen["data"]
    assert [part["type"] for part in parts_of(data)] == [
        "data-weather",
        "text",
        "data-step",
        "data-checkpoint",
    ]
    assert parts_of(data)[0]["data"] == {"id": "w", "sky": "blue"}
    assert [part["type"] for part in data["data"] if part.get("transient")] == [
        "data-progress",
        "data-output",
    ]


def test_an_agent_that_fails_is_the_chat_s_error_after_what_it_said(seen: dict[str, Any]) -> None:
    failed = seen["failed"]
    assert (failed["status"], failed["error"]) == ("error", "RuntimeError: I cannot")
    assert text_of(parts_of(failed)) == "Well, "


def test_a_caller_without_a_key_is_told_so(seen: dict[str, Any]) -> None:
    refused = seen["refused"]
    assert refused["status"] == "error"
    assert json.loads(refused["error"]) == {
        "type": "error",
        "errorText": "API key required",
        "code": "AUTH_ERROR",
    }


def test_what_is_redacted_does_not_come_in_the_output_either(seen: dict[str, Any]) -> None:
    redacted = seen["redacted"]
    assert text_of(parts_of(redacted)) == "open [REDACTED] now end"
    assert "sesame" not in json.dumps([redacted["data"], redacted["messages"][1:]])


def test_a_caller_who_has_called_too_often_is_told_so(seen: dict[str, Any]) -> None:
    assert seen["limited"]["status"] == "error"
    assert json.loads(seen["limited"]["error"])["code"] == "RATE_LIMIT_EXCEEDED"


def test_a_run_that_somebody_cancels_is_over_and_no_error(seen: dict[str, Any]) -> None:
    cancelled = seen["cancelled"]
    assert (cancelled["status"], cancelled["error"]) == ("ready", None)
    assert parts_of(cancelled) == [{"type": "text", "text": "wait for nothing ", "state": "done"}]


def test_a_cut_connection_is_an_error_and_no_end(seen: dict[str, Any]) -> None:
    cut = seen["cut"]
    assert cut["status"] == "error"
    assert cut["finishes"][-1]["isError"]
    assert "end" not in text_of(parts_of(cut))


def test_questions_are_approved_and_answered_and_the_same_run_goes_on(seen: dict[str, Any]) -> None:
    text, send, question = parts_of(seen["asked"])
    assert (send["toolName"], send["state"]) == ("send", "input-available")
    assert text["text"] == "Hm. "
    assert (question["toolName"], question["input"]) == ("question", "Really?")
    assert question["state"] == "approval-requested"
    assert seen["asked"]["finishes"][-1]["finishReason"] == "tool-calls"
    answered = seen["answered"]
    assert len(answered["messages"]) == 2
    assert answered["messages"][-1]["id"] == seen["asked"]["messages"][-1]["id"]
    _, send, first, second, last = parts_of(answered)
    assert (send["state"], send["output"]) == ("output-available", "sent")
    assert (first["output"], first["approval"]["approved"]) == (True, True)
    assert (second["input"], second["output"]) == ({"which": "colour"}, "blue")
    assert last["text"] == "You said True and blue."


def test_what_was_said_is_heard_and_not_what_was_asked(seen: dict[str, Any]) -> None:
    assert text_of(parts_of(seen["history"])) == (
        "user:ask assistant:Hm.  tool:sent assistant:You said True and blue. user:history"
    )


def test_an_answer_can_be_given_anew(seen: dict[str, Any], servers: list[Server]) -> None:
    regenerated = seen["regenerated"]
    assert [message["role"] for message in regenerated["messages"]] == ["user", "assistant"]
    assert regenerated["isNew"]
    assert (servers[0].folder / "calls").read_text().splitlines().count("one") == 2


def test_a_chat_that_is_stopped_stops_the_agent(seen: dict[str, Any]) -> None:
    assert (seen["left"]["status"], seen["left"]["error"]) == ("ready", None)
    assert text_of(parts_of(seen["left"])) == "So, "


def test_a_chat_comes_back_to_a_run_that_is_held(
    seen: dict[str, Any], servers: list[Server]
) -> None:
    assert seen["nothing"] is None
    assert "end" not in text_of(parts_of(seen["gone"]))
    resumed = seen["resumed"]
    assert text_of(parts_of(resumed)) == "wait a bit end"
    assert [message["role"] for message in resumed["messages"]] == ["user", "assistant"]
    assert resumed["messages"][-1]["id"] == seen["gone"]["messages"][-1]["id"]
    assert (servers[1].folder / "calls").read_text().splitlines().count("wait a bit") == 1


def recorded(*events: Event, pauses: bool = False, **told: Any) -> str:
    wire = AiSdkWire(chat_of(), run_of(cursors=True), Told(**told))
    body = wire.encode(Batch([*events], 0, TIME)) + wire.heartbeat()
    return (body + (wire.paused() if pauses else b"")).decode()


START = Started("a", "langgraph")
STREAMS: list[tuple[str, dict[str, Any]]] = [
    (recorded(*EVERYTHING), {}),
    (recorded(START, Token("a"), Failed("no", "TIMEOUT")), {}),
    (recorded(START, Token("a"), Cancelled("enough")), {}),
    (recorded(START, Complete(None, 0.1, {"truncated": True})), {}),
    (recorded(START, Interrupt(None, "i"), pauses=True), {}),
    (recorded(START, Custom("a", None), Custom("b", {"id": "x"}), Started("a", "b", 2)), {}),
    (recorded(ToolResult("a", None, None), ToolCall("b", None, None), Complete("", 0.1, {})), {}),
]


def test_every_chunk_is_one_of_the_client_s_own_schema() -> None:
    ran = subprocess.run(
        ["node", "ai-sdk-chunks.mjs"],
        cwd=CLIENTS,
        input=json.dumps([body for body, _ in STREAMS]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    read = json.loads(ran.stdout)
    assert [one["refused"] for one in read] == [[]] * len(STREAMS)
    assert [one["errors"] for one in read if one["errors"]] == [["no"]]
    # All that the wire can say is among them.
    assert {kind for one in read for kind in one["types"]} >= {
        "abort",
        "data-b",
        "error",
        "reset-step",
        "tool-approval-request",
        "tool-output-error",
    }
