"""What every wire must do; one suite, all implementations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dockrion.events.model import Batch, Cancelled, Complete, Event, Failed, Started, Token
from dockrion.testing import read_sse
from dockrion.wires.a2a.tasks import A2aWire
from dockrion.wires.a2a.words import Words
from dockrion.wires.ag_ui.events import AgUiWire, Told
from dockrion.wires.ai_sdk.chunks import AiSdkWire
from dockrion.wires.ai_sdk.chunks import Told as Page
from dockrion.wires.base import Wire
from dockrion.wires.native import NativeWire
from dockrion.wires.openai.chat import ChatWire
from dockrion.wires.openai.items import ResponsesWire
from tests.wires.kit import EVERYTHING, chat_of, run_of
from tests.wires.mcp.test_mcp import wire_of as mcp

TIME = "2026-11-24T11:00:00.000Z"
CHAT = chat_of()
WIRES: dict[str, Callable[[], Wire]] = {
    "native": lambda: NativeWire("r1", heartbeat_events=True, timestamps=lambda: TIME),
    "native, comments": lambda: NativeWire("r1", heartbeat_events=False, timestamps=lambda: TIME),
    "a2a": lambda: A2aWire(CHAT, run_of(), Words(legacy=False, request_id=1)),
    "a2a, kept": lambda: A2aWire(CHAT, run_of(cursors=True), Words(legacy=False, request_id="%d")),
    "a2a 0.3": lambda: A2aWire(CHAT, run_of(), Words(legacy=True, request_id=None)),
    "ag-ui": lambda: AgUiWire(CHAT, run_of(), Told("t", "r")),
    "ag-ui, held": lambda: AgUiWire(CHAT, run_of(cursors=True), Told("t", "r")),
    "ai-sdk": lambda: AiSdkWire(CHAT, run_of(), Page()),
    "ai-sdk, held": lambda: AiSdkWire(CHAT, run_of(cursors=True), Page()),
    "mcp": lambda: mcp(tokens=True),
    "mcp, held": lambda: mcp(run_of(cursors=True), tokens=True, primes=True),
    "openai, chat": lambda: ChatWire(CHAT, run_of(), with_usage=True),
    "openai, chat, held": lambda: ChatWire(CHAT, run_of(cursors=True), with_usage=True),
    "openai, responses": lambda: ResponsesWire(CHAT, run_of(), "resp_r_1", echo={}),
}
every = pytest.mark.parametrize("make", WIRES.values(), ids=WIRES)
TOKENS: list[Event] = [Token("a"), Token('"\n'), Token("\u2028é😀")]


@every
def test_cutting_a_batch_in_two_changes_no_byte(make: Callable[[], Wire]) -> None:
    events = [*EVERYTHING[:4], *TOKENS, *EVERYTHING[4:]]
    whole = make().encode(Batch(events, 0, TIME))
    for cut in range(1, len(events)):
        wire = make()
        parts = wire.encode(Batch(events[:cut], 0, TIME)) + wire.encode(
            Batch(events[cut:], cut, TIME)
        )
        assert parts == whole


@every
@pytest.mark.parametrize(
    "terminal",
    [Complete({"a": 1}, 0.1, {}), Failed("no", "AGENT_EXECUTION_ERROR"), Cancelled("left")],
)
def test_every_ending_is_written(make: Callable[[], Wire], terminal: Event) -> None:
    wire = make()
    wire.encode(Batch([Started("a", "custom")], 0, TIME))
    assert wire.encode(Batch([terminal], 5, TIME))


@every
def test_a_heartbeat_between_batches_changes_no_event(make: Callable[[], Wire]) -> None:
    wire = make()
    first = wire.encode(Batch(TOKENS[:1], 0, TIME))
    beat = wire.heartbeat()
    second = wire.encode(Batch(TOKENS[1:], 1, TIME))
    events = [event for event in read_sse(first + beat + second) if event.event != "heartbeat"]
    assert events == read_sse(first + second)
    assert events


@every
def test_a_heartbeat_is_never_empty(make: Callable[[], Wire]) -> None:
    assert make().heartbeat().endswith(b"\n")
