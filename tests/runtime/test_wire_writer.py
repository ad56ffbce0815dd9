"""What ends a stream whose run goes on, in the words of each protocol."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dockrion.runs.reader import FORGOTTEN, Gap
from dockrion.runtime.wire_writer import Retold
from dockrion.testing import read_sse
from dockrion.wires.ag_ui.events import AgUiWire
from dockrion.wires.ag_ui.events import Told as AgUiTold
from dockrion.wires.ai_sdk.chunks import AiSdkWire
from dockrion.wires.ai_sdk.chunks import Told as AiSdkTold
from dockrion.wires.base import Wire
from dockrion.wires.openai.chat import ChatWire
from tests.wires.kit import chat_of, run_of

WIRES: list[Wire] = [
    AgUiWire(chat_of(), run_of(cursors=True), AgUiTold()),
    AiSdkWire(chat_of(), run_of(cursors=True), AiSdkTold()),
    ChatWire(chat_of(), run_of(cursors=True), with_usage=False),
]


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: type(wire).__name__)
@pytest.mark.parametrize(
    ("outcome", "read", "code"),
    [
        (None, Gap(0, 3), "GONE"),
        (None, None, "SHUTTING_DOWN"),
        (FORGOTTEN, None, FORGOTTEN.code),
    ],
)
def test_nobody_comes_back_after_what_is_no_event_of_the_run(
    wire: Wire, outcome: Any, read: Gap | None, code: str
) -> None:
    reader = SimpleNamespace(outcome=outcome, ended=True, heartbeat_due=False, position=4)
    retold = Retold(cast("Any", reader), wire, seen=0, timestamps=lambda: "2026-01-01T00:00:00Z")
    events = read_sse(retold.frames(read))
    assert code in str([event.data for event in events])
    assert [event.id for event in events if event.id] == []
