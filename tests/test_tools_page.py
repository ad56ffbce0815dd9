"""The handler of docs/tools.md does what is written there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from dockrion.events.model import Complete, Policy
from dockrion.policy.tools import ToolRules
from tests.runs.kit import read_to_end, runner_for

PAGE = (Path(__file__).parents[1] / "docs" / "tools.md").read_text()
[SOURCE] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

ANSWERS = [
    ({"search", "read_file"}, "read_file", "read_file has run", []),
    (
        {"search"},
        "rm",
        "The tool 'rm' is not allowed.",
        [Policy("tools", "The tool 'rm' is not allowed.", "rm")],
    ),
    (set[str](), "rm", "I cannot search.", []),
]


@pytest.mark.parametrize(("allowed", "tool", "answer", "policies"), ANSWERS)
async def test_the_handler_asks(
    allowed: set[str], tool: str, answer: str, policies: list[Policy]
) -> None:
    page: dict[str, Any] = {}
    exec(SOURCE, page)
    runner = runner_for(page["handle"], tools=ToolRules(allowed=frozenset(allowed)))
    with anyio.fail_after(10):
        events = await read_to_end(runner.start({"tool": tool}, streams=True))
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"answer": answer}
    assert [event for event in events if isinstance(event, Policy)] == policies
