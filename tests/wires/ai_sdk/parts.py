"""Parts of messages, as a page of the AI SDK has them: a question of the agent's, and a tool that was called."""

from __future__ import annotations

from typing import Any, Final

ASKED: Final = {"type": "dynamic-tool", "toolName": "question", "toolCallId": "r:i", "input": {}}
CALLED: Final[dict[str, Any]] = {
    "type": "dynamic-tool",
    "toolName": "add",
    "toolCallId": "c",
    "state": "output-available",
    "input": {"a": 1},
    "output": 3,
    "providerExecuted": True,
}
