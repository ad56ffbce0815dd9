"""Frames of many texts are the frames of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.events.jsonable import encode_text
from dockrion.events.model import Batch, Event, Started, Token
from dockrion.wires.a2a.tasks import A2aWire
from dockrion.wires.a2a.words import Words
from dockrion.wires.ag_ui.events import AgUiWire, Told
from dockrion.wires.ai_sdk import chunks
from dockrion.wires.ai_sdk.chunks import AiSdkWire
from dockrion.wires.base import Wire, WireRun
from dockrion.wires.mcp import events as mcp_events
from dockrion.wires.mcp.events import McpWire
from dockrion.wires.openai.chat import ChatWire
from dockrion.wires.openai.items import ResponsesWire
from dockrion.wires.texts import frames_of
from tests.wires.kit import chat_of, run_of
from tests.wires.mcp.test_mcp import tool_of

if TYPE_CHECKING:
    from collections.abc import Callable

TIME = "2026-11-24T11:00:00.000Z"
CHAT = chat_of()
WIRES: dict[str, Callable[[WireRun], Wire]] = {
    "ag-ui": lambda run: AgUiWire(CHAT, run, Told()),
    "chat completions": lambda run: ChatWire(CHAT, run, with_usage=False),
    "responses": lambda run: ResponsesWire(CHAT, run, "resp_r_1", echo={}),
    "ai-sdk": lambda run: AiSdkWire(CHAT, run, chunks.Told()),
    "a2a": lambda run: A2aWire(CHAT, run, Words(legacy=False, request_id="q")),
    "mcp": lambda run: McpWire(
        tool_of(), run, mcp_events.Told(1, "p", tokens=True), can_be_answered=True, stamp={}
    ),
}
texts = st.sampled_from(["a", "%", "%b%d", "\n", "é", '"', "\ud800"])
tokens = st.builds(
    Token,
    texts | st.just(""),
    st.sampled_from([None, None, "stop"]),
    st.sampled_from([None, "n"]),
    st.sampled_from([None, "m"]),
)


@given(said=st.lists(texts))
def test_each_text_has_its_frame(said: list[str]) -> None:
    assert frames_of(b"<%b>", said) == b"".join(b"<%b>" % encode_text(text) for text in said)
    numbered = frames_of(b"<%b %d>", said, 3)
    assert numbered == b"".join(b"<%b %d>" % (encode_text(t), n) for n, t in enumerate(said, 3))
    counted = frames_of(b"<%02d %b>", said, count=98)
    assert counted == b"".join(b"<%02d %b>" % (n, encode_text(t)) for n, t in enumerate(said, 98))
    both = frames_of(b"<%d %b %d>", said, 3, count=1)
    assert both == b"".join(
        b"<%d %b %d>" % (n, encode_text(t), n + 2) for n, t in enumerate(said, 1)
    )


@pytest.mark.parametrize("name", WIRES)
@given(events=st.lists(tokens), cursors=st.booleans(), cut=st.integers(0, 20))
def test_how_tokens_are_cut_into_batches_changes_no_byte(
    name: str, events: list[Event], cursors: bool, cut: int
) -> None:
    def told(*batches: list[Event]) -> bytes:
        wire, first, body = WIRES[name](run_of(cursors=cursors)), 0, b""
        for batch in batches:
            body += wire.encode(Batch(batch, first, TIME))
            first += len(batch)
        return body

    events = [Started("a", "custom"), *events]
    whole = told(events)
    assert whole == told(*([event] for event in events))
    assert whole == told(events[:cut], events[cut:])
    assert _said(whole) == "".join(encoded(event) for event in events[1:])


def encoded(event: Event) -> str:
    assert isinstance(event, Token)
    return json.loads(encode_text(event.content))


def _said(body: bytes) -> str:
    """Return the text of a stream, whichever of the protocols it speaks."""
    said = ""
    for line in body.decode().splitlines():
        if not line.startswith("data: "):
            continue
        data: dict[str, Any] = json.loads(line[6:])
        for one in data.get("choices", []):
            said += one["delta"]["content"]
        if isinstance(data.get("delta"), str):
            said += data["delta"]
        if "params" in data:
            said += data["params"]["message"]
        if "artifactUpdate" in data.get("result", {}):
            said += data["result"]["artifactUpdate"]["artifact"]["parts"][0]["text"]
    return said
