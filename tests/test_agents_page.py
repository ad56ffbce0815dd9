"""The agents of docs/agents.md do what is written there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import anyio
import pytest

from dockrion.adapters import load_agent
from dockrion.adapters.base import StreamingAdapter
from dockrion.adapters.loading import import_object
from dockrion.adapters.objects import ForeignAgent
from dockrion.adapters.shapes import shapes_of
from dockrion.runtime.app import build_app
from dockrion.spec import DockSpec, load_dockspec
from dockrion.testing import SSEEvent, post, running

PAGE = (Path(__file__).parents[1] / "docs" / "agents.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
DOCKFILE = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
QUERY = {"query": "why not"}
TEXT = {"text": "hi"}
LETTERS = {"letters": 7}


def name_of(source: str) -> str:
    found = re.match(r"# (\w+)\.py\n", source)
    assert found is not None, source
    return found[1]


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The modules of the page, under names that no other test's modules have; databases go there, too."""
    folder = tmp_path_factory.mktemp("page")
    for source in PYTHON:
        (folder / f"page_{name_of(source)}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        yield folder


def spec_for(target: str, framework: str, **sections: Any) -> DockSpec:
    agent: dict[str, Any] = {"name": "test", "entrypoint": f"page_{target}", "framework": framework}
    if framework == "handler":
        agent = {"name": "test", "handler": f"page_{target}"}
    document = {"version": "1.0", "agent": agent, "io_schema": {}, "expose": {}, **sections}
    return DockSpec.model_validate(document)


async def stream(agent: Any, spec: DockSpec, payload: Any, path: str = "") -> list[SSEEvent]:
    app = build_app(spec, agent)
    with anyio.fail_after(10):
        async with running(app), post(app, f"/invoke/stream{path}", payload) as exchange:
            return [event async for event in exchange.events()]


async def events_of(
    folder: Path, target: str, framework: str, payload: Any, path: str = "", **sections: Any
) -> list[SSEEvent]:
    spec = spec_for(target, framework, **sections)
    arguments = spec.arguments or {}
    agent = await load_agent(spec.agent, folder=folder, arguments=arguments, shapes=shapes_of(spec))
    return await stream(agent, spec, payload, path)


async def serve(
    folder: Path, target: str, framework: str, payload: Any = QUERY, **options: Any
) -> tuple[list[str], Any]:
    return told(await events_of(folder, target, framework, payload, **options))


def told(events: list[SSEEvent]) -> tuple[list[str], Any]:
    """Return the types of the events between the first and the last, a row of equal ones once, and the output."""
    assert events[-1].event == "complete", events[-1]
    between = [kind for kind, _ in groupby(event.event for event in events[1:-1])]
    return between, events[-1].json()["output"]


@pytest.mark.parametrize(
    ("target", "types", "output"),
    [
        ("handlers:count", [], LETTERS),
        ("handlers:count_async", [], LETTERS),
        ("handlers:words", ["token"], {"content": "why not "}),
        ("handlers:report", ["progress", "token"], LETTERS),
    ],
)
async def test_handlers(folder: Path, target: str, types: list[str], output: Any) -> None:
    assert await serve(folder, target, "handler") == (types, output)


async def test_the_context_tells_from_the_handler_and_from_below(folder: Path) -> None:
    types, output = await serve(folder, "told:answer", "handler")
    assert types == ["progress", "custom:found", "token", "checkpoint"]
    assert output == {"documents": 3}


@pytest.mark.parametrize(
    ("name", "text"), [("shouter", "WHY NOT!"), ("make", "WHY NOT!!"), ("opened", "WHY NOT?")]
)
async def test_entrypoints(folder: Path, name: str, text: str) -> None:
    arguments = {"mark": "!!"}
    served = await serve(folder, f"entrypoints:{name}", "custom", arguments=arguments)
    assert served == (["token"], {"content": text})


def test_the_dockfile_of_the_page_is_valid(folder: Path) -> None:
    (folder / "Dockfile.yaml").write_text(DOCKFILE)
    spec = load_dockspec(folder / "Dockfile.yaml")
    assert (spec.agent.entrypoint, spec.arguments) == ("entrypoints:make", {"mark": "!!"})


async def test_a_graph_tells_what_the_table_says(folder: Path) -> None:
    types, output = await serve(folder, "graph:graph", "langgraph", {"question": "life"})
    assert types == ["step", "progress", "tool_call", "tool_result", "custom:data", "token", "step"]
    assert output == {"question": "life", "plan": "Yes.", "answer": "Yes."}


async def test_a_conversation_is_remembered_and_a_question_ends_the_stream(folder: Path) -> None:
    thread = "?thread_id=one"
    for visits in (1, 2):
        _, output = await serve(folder, "remembers:counting", "langgraph", TEXT, path=thread)
        assert output == {"text": "hi", "visits": visits}
    _, output = await serve(folder, "remembers:counting", "langgraph", TEXT)
    assert output["visits"] == 1

    events = await events_of(folder, "remembers:asking", "langgraph", TEXT, path="?thread_id=two")
    assert [event.event for event in events] == ["started", "step", "interrupt"]
    assert events[-1].json()["value"] == {"question": "Send 'hi'?"}


async def test_a_chain_takes_its_one_property_and_streams_its_model(folder: Path) -> None:
    schema = {"input": {"properties": {"topic": {"type": "string"}}}}
    payload = {"topic": "rain"}
    served = await serve(folder, "chain:chain", "langchain", payload, io_schema=schema)
    assert served == (["token"], {"content": "A haiku."})


async def test_an_adapter_of_another_package(folder: Path) -> None:
    adapter = import_object("page_pipelines:PipelineAdapter", field="adapter", folder=folder)()
    assert isinstance(adapter, StreamingAdapter)
    adapter.load("my_package.pipelines:find_tell")
    agent = ForeignAgent(adapter, framework="pipelines")

    events = await stream(agent, spec_for("pipelines:x", "handler"), {"query": "it"})
    assert told(events) == (["token"], {"content": "find ittell it"})
    assert agent.describe()["steps"] == 2
    assert adapter.invoke({"query": "it"}) == {"answer": "find it tell it"}
