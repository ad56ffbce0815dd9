"""Which agents may start when the Dockfile has rules for tools."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI

from dockrion import create_app
from dockrion.adapters import ADAPTERS, load_agent, register_adapter
from dockrion.adapters.base import Agent
from dockrion.errors import InvalidAgentError
from dockrion.events.context import get_current_context
from dockrion.events.model import Complete, Failed, Policy
from dockrion.policy.tools import ToolRules
from dockrion.spec import frameworks as frameworks_of_spec
from dockrion.spec.agent import AgentSpec
from dockrion.testing import post, running
from dockrion.testing.exchange import request
from tests.runs.kit import read_to_end, runner_for_agent

RULES = ToolRules(allowed=frozenset({"search"}))
numbers = itertools.count()

SOURCE = """
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from dockrion import get_current_context

closed = []
ran = []

class Made:
    def invoke(self, payload):
        return {}

class Manager:
    def __enter__(self):
        return Made()

    def __exit__(self, *_):
        closed.append(True)

def handle(payload, context):
    context.guard_tool(payload["tool"])
    return {"used": payload["tool"]}

@tool
def rm(path: str) -> str:
    "Remove."
    ran.append(path)
    return "gone"

def graph():
    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([rm]))
    builder.add_edge(START, "tools")
    return builder.compile()
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    name = f"gated_agent_{next(numbers)}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    yield name
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


class Foreign:
    """An adapter of another package, whose agent has one tool."""

    def load(self, path: str) -> None: ...

    def invoke(self, payload: Any) -> Any:
        context = get_current_context()
        assert context is not None
        context.guard_tool("rm")
        return {"ran": "rm"}

    def get_metadata(self) -> dict[str, Any]:
        return {}


class Gating(Foreign):
    gates_tools = True


class Pretending(Foreign):
    gates_tools = "yes, surely"


@pytest.fixture(autouse=True)
def _frameworks() -> Iterator[None]:
    known = {"foreign": Foreign, "gating": Gating, "pretending": Pretending}
    for name, cls in known.items():
        register_adapter(name, cls)
    yield
    for name in known:
        ADAPTERS._registered.pop(name)
        frameworks_of_spec._declared.discard(name)


async def load(folder: Path, *, tools: ToolRules | None = RULES, **agent: Any) -> Agent:
    spec = AgentSpec.model_validate({"name": "test", **agent})
    return await load_agent(spec, folder=folder, arguments={}, tools=tools)


@pytest.mark.parametrize("framework", ["custom", "foreign", "pretending"])
async def test_an_entrypoint_whose_tools_nobody_can_stop_is_refused_and_told_what_to_do(
    tmp_path: Path, module: str, framework: str
) -> None:
    with pytest.raises(InvalidAgentError) as caught:
        await load(tmp_path, entrypoint=f"{module}:Made", framework=framework)
    message = caught.value.message
    assert message.startswith("policies.tools: ")
    assert repr(framework) in message
    assert "context.guard_tool(name)" in message
    assert "gates_tools" in message


@pytest.mark.parametrize("framework", ["custom", "foreign"])
async def test_without_rules_it_starts(tmp_path: Path, module: str, framework: str) -> None:
    agent = await load(tmp_path, tools=None, entrypoint=f"{module}:Made", framework=framework)
    await agent.close()


async def test_what_a_refused_entrypoint_has_opened_is_closed(tmp_path: Path, module: str) -> None:
    with pytest.raises(InvalidAgentError):
        await load(tmp_path, entrypoint=f"{module}:Manager", framework="custom")
    assert sys.modules[module].closed == [True]


@pytest.mark.parametrize(
    "agent",
    [
        {"handler": "{}:handle"},
        {"handler": "{}:handle", "framework": "foreign"},
        {"handler": "{}:handle", "entrypoint": "{}:Made", "framework": "custom"},
        {"entrypoint": "{}:Made", "framework": "gating"},
        {"entrypoint": "{}:graph", "framework": "langgraph"},
        {"entrypoint": "{}:rm", "framework": "langchain"},
    ],
)
async def test_handlers_and_what_can_gate_start(
    tmp_path: Path, module: str, agent: dict[str, str]
) -> None:
    named: Any = {key: value.format(module) for key, value in agent.items()}
    loaded = await load(tmp_path, **named)
    assert loaded.gates_tools or "foreign" in agent.values()
    await loaded.close()


async def test_an_adapter_that_gates_asks_the_context(tmp_path: Path) -> None:
    agent = await load(tmp_path, entrypoint="some.where:it", framework="gating")
    with anyio.fail_after(10):
        events = await read_to_end(runner_for_agent(agent, tools=RULES).start({}, streams=True))
        assert Policy("tools", "The tool 'rm' is not allowed.", "rm") in events
        assert isinstance(events[-1], Failed)
        assert events[-1].code == "POLICY_VIOLATION"
        events = await read_to_end(runner_for_agent(agent).start({}, streams=True))
        assert isinstance(events[-1], Complete)


def app_of(folder: Path, agent: dict[str, str]) -> FastAPI:
    spec = {
        "version": "1.0",
        "agent": {"name": "test", **agent},
        "io_schema": {},
        "expose": {},
        "policies": {"tools": {"allowed": ["search"]}},
    }
    path = folder / "Dockfile.yaml"
    path.write_text(json.dumps(spec))
    return create_app(path)


async def test_an_app_with_rules_says_why_it_does_not_start(tmp_path: Path, module: str) -> None:
    app = app_of(tmp_path, {"entrypoint": f"{module}:Made", "framework": "custom"})
    async with running(app), post(app, "/invoke", {}) as exchange:
        answer = await exchange.json()
        assert exchange.status == 503
    assert "policies.tools: " in answer["error"]


async def test_over_http_a_refused_tool_is_an_event_and_counted(
    tmp_path: Path, module: str
) -> None:
    call = {"name": "rm", "args": {"path": "/"}, "id": "1", "type": "tool_call"}
    payload = {"messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}
    app = app_of(tmp_path, {"entrypoint": f"{module}:graph", "framework": "langgraph"})
    async with running(app):
        async with post(app, "/invoke/stream", payload) as exchange:
            events = [event.json() async for event in exchange.events()]
        async with post(app, "/invoke", payload) as exchange:
            answer = await exchange.json()
        async with request(app, "GET", "/metrics") as exchange:
            metrics = (await exchange.read()).decode()
    assert [event["type"] for event in events if "tool" in event] == [
        "tool_call",
        "policy",
        "tool_result",
    ]
    assert answer["output"]["messages"][-1]["status"] == "error"
    assert re.search(r'dockrion_policy_violations_total\{.*rule="tools".*\} 2\.0', metrics)
    assert sys.modules[module].ran == []


async def test_over_http_a_handler_that_does_not_catch_it_answers_with_a_violation(
    tmp_path: Path, module: str
) -> None:
    app = app_of(tmp_path, {"handler": f"{module}:handle"})
    async with running(app):
        async with post(app, "/invoke", {"tool": "search"}) as exchange:
            assert (await exchange.json())["output"] == {"used": "search"}
        async with post(app, "/invoke", {"tool": "rm"}) as exchange:
            answer = await exchange.json()
            assert exchange.status == 400
    assert (answer["code"], answer["details"]) == ("POLICY_VIOLATION", {"tool": "rm"})
