"""The conformance suite of MCP, `@modelcontextprotocol/conformance` from npm, against a real server.

It wants a server of many tools with names of its own; here there is one, which is told as which of them it is called.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from .readers import CLIENTS
from .test_mcp import CONTINUE, EXPOSE

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import StartServer

AGENT = """
FIELDS = {
    "test_elicitation": {"username": {"type": "string"}, "email": {"type": "string"}},
    "test_elicitation_sep1034_defaults": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
    "test_elicitation_sep1330_enums": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2"]},
        "titledSingle": {"type": "string", "oneOf": [{"const": "value1", "title": "First"}]},
        "legacyEnum": {"type": "string", "enum": ["opt1"], "enumNames": ["Option One"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2"]}},
        "titledMulti": {
            "type": "array",
            "items": {"anyOf": [{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}]},
        },
    },
}


async def handle(payload, context):
    name = payload["do"]
    if name == "test_tool_with_progress":
        for done in (0, 0.5, 1):
            await context.emit_progress("work", done)
    if name in FIELDS:
        schema = {"type": "object", "properties": FIELDS[name]}
        yield str(await context.ask({"message": "Please", "schema": schema}))
        return
    if name == "test_error_handling":
        # Refused by a policy, which is no bug: the log has no traceback of it.
        context.guard_tool(name)
    yield "This is a simple text."
"""
INPUT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}}}},
    "properties": {
        "do": {"type": "string"},
        "message": {"type": "string"},
        "prompt": {"type": "string"},
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
    },
    "required": ["do"],
    "additionalProperties": False,
}
SECTIONS: dict[str, Any] = {
    "expose": EXPOSE,
    "streaming": CONTINUE,
    "io_schema": {"input": INPUT},
    "policies": {"tools": {"allowed": []}},
}
PASSED = {
    "dns-rebinding-protection",
    "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums",
    "json-schema-2020-12",
    "ping",
    "server-initialize",
    "server-sse-multiple-streams",
    "server-sse-polling",
    "tools-call-elicitation",
    "tools-call-error",
    "tools-call-simple-text",
    "tools-call-with-progress",
    "tools-list",
}
# What an agent has no use for: it is one tool, and answers in text and JSON.
NOT_HERE = {
    "completion-complete",
    "logging-set-level",
    "prompts-get-embedded-resource",
    "prompts-get-simple",
    "prompts-get-with-args",
    "prompts-get-with-image",
    "prompts-list",
    "resources-list",
    "resources-read-binary",
    "resources-read-text",
    "resources-subscribe",
    "resources-templates-read",
    "resources-unsubscribe",
    "tools-call-audio",
    "tools-call-embedded-resource",
    "tools-call-image",
    "tools-call-mixed-content",
    "tools-call-sampling",
    "tools-call-with-logging",
}


@pytest.mark.node
def test_the_suite_finds_no_more_missing_than_is(server: StartServer, tmp_path: Path) -> None:
    tool = server(AGENT, **SECTIONS)
    ran = subprocess.run(
        [
            *["node", CLIENTS / "conformance.mjs", "server", "--url", f"{tool.url}/mcp"],
            *["--suite", "all", "--verbose"],
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    found = re.findall(r"(?m)^([✓✗]) ([a-z0-9-]+): (\d+) passed, (\d+) failed$", ran.stdout)
    assert {name for mark, name, _, _ in found if mark == "✓"} == PASSED, ran.stdout + ran.stderr
    assert {name for mark, name, _, _ in found if mark == "✗"} == NOT_HERE
