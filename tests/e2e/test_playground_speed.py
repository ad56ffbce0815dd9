"""What the playground costs its browser: the first paint, and two thousand tokens a second.

Counted is the processor's time of the page's main thread, so that a busy machine changes little.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .browser import in_chromium
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer

pytestmark = [pytest.mark.chromium, pytest.mark.nightly]

MAX_FIRST_PAINT_MS = 300
MAX_TASK_MS = 50


@pytest.mark.parametrize("panel", ["Answer", "Timeline", "Events"])
def test_the_page_is_painted_soon_and_no_frame_of_a_fast_stream_is_late(
    server: StartServer, panel: str
) -> None:
    one = server(agent_source("rushing"))
    payload = {"rate": 2000, "count": 20_000}
    said = in_chromium("speed.mjs", url=f"{one.url}/", panel=panel, payload=payload)
    seen = json.loads(said)
    assert seen["tokens"] == "20,000"
    assert seen["first_paint_ms"] < MAX_FIRST_PAINT_MS, seen
    assert seen["longest_task_ms"] < MAX_TASK_MS, seen
