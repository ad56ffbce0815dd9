"""Adapters of other packages: what they are asked for, and how they are found."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dockrion.adapters import (
    ADAPTERS,
    is_framework_supported,
    list_supported_frameworks,
    register_adapter,
)
from dockrion.adapters.objects import ForeignAgent
from dockrion.errors import InvalidAgentError
from dockrion.events.context import StreamContext
from dockrion.events.filter import EventsFilter
from dockrion.events.model import Complete, Progress
from dockrion.spec import frameworks as frameworks_of_spec
from dockrion.testing import app_for, post, running
from tests.runs.kit import read_to_end, runner_for_agent, tokens

from .folders import Folder, failure, output_of


class Foreign:
    """An adapter of another package."""

    seen: EventsFilter | None = None

    def load(self, path: str) -> None:
        if path.startswith("bad"):
            raise RuntimeError("cannot load this")
        self.path = path

    def invoke(self, payload: Any) -> Any:
        return {"invoked": payload}

    def get_metadata(self) -> dict[str, Any]:
        return {"kind": "foreign", "path": self.path}


class ForeignStream(Foreign):
    def invoke_stream(
        self, payload: Any, *, context: StreamContext, events_filter: EventsFilter
    ) -> Any:
        type(self).seen = events_filter
        yield "a"
        if events_filter.is_allowed("progress"):
            yield {"type": "progress", "step": "s", "progress": 0.5}
        yield {"streamed": payload}


class ForeignAsync(Foreign):
    async def ainvoke(self, payload: Any) -> Any:
        return {"awaited": payload}

    async def invoke_stream(
        self, payload: Any, *, context: StreamContext, events_filter: EventsFilter
    ) -> Any:
        await context.emit_token("e")
        yield "y"


@pytest.fixture
def frameworks() -> Iterator[None]:
    register_adapter("foreign", Foreign)
    register_adapter("foreign-stream", ForeignStream)
    register_adapter("foreign-async", ForeignAsync)
    yield
    for name in ("foreign", "foreign-stream", "foreign-async"):
        ADAPTERS._registered.pop(name)
        frameworks_of_spec._declared.discard(name)


@pytest.mark.usefixtures("frameworks")
async def test_an_adapter_without_invoke_stream_is_invoked_once(folder: Folder) -> None:
    agent = await folder.load(entrypoint="some.where:graph", framework="foreign")
    assert await output_of(agent, 1) == {"invoked": 1}
    described = agent.describe()
    assert (described["kind"], described["path"]) == ("foreign", "some.where:graph")


@pytest.mark.usefixtures("frameworks")
async def test_an_adapter_gets_context_and_filter_and_its_events_flow(folder: Folder) -> None:
    agent = await folder.load(entrypoint="some.where:graph", framework="foreign-stream")
    events = await read_to_end(
        runner_for_agent(agent, allowed=["progress", "token"]).start(1, streams=True)
    )
    assert ForeignStream.seen == EventsFilter(["progress", "token"])
    assert tokens(events) == ["a"]
    assert Progress("s", 0.5) in events
    last = events[-1]
    assert isinstance(last, Complete)
    assert last.output == {"streamed": 1}


@pytest.mark.usefixtures("frameworks")
async def test_an_async_adapter_is_driven_on_the_loop(folder: Folder) -> None:
    agent = await folder.load(entrypoint="some.where:graph", framework="foreign-async")
    runner = runner_for_agent(agent)
    assert tokens(await read_to_end(runner.start(1, streams=True))) == ["e", "y"]
    last = (await read_to_end(runner.start(1, streams=False)))[-1]
    assert isinstance(last, Complete)
    assert last.output == {"awaited": 1}


@pytest.mark.usefixtures("frameworks")
async def test_an_adapter_that_cannot_load_says_why(folder: Folder) -> None:
    error = await failure(folder, entrypoint="bad.one:graph", framework="foreign")
    assert error.code == "ADAPTER_LOAD_ERROR"
    assert "cannot load this" in error.message


@pytest.mark.usefixtures("frameworks")
def test_frameworks_are_listed() -> None:
    assert {"custom", "foreign"} <= set(list_supported_frameworks())
    assert is_framework_supported("foreign")
    assert not is_framework_supported("nothing-like-it")


def test_a_class_that_is_no_adapter_is_refused() -> None:
    class Half:
        def load(self, path: str) -> None: ...

    with pytest.raises(InvalidAgentError, match="invoke, get_metadata"):
        register_adapter("half", Half)


async def test_the_re_exports_are_what_agents_import() -> None:
    import dockrion
    import dockrion_adapters
    import dockrion_events

    assert dockrion_events.StreamContext is dockrion.StreamContext
    assert dockrion_events.EventsFilter is EventsFilter
    assert {"complete", "error", "cancelled"} == dockrion_events.TERMINAL_EVENT_TYPES
    assert dockrion_events.RunStatus.RUNNING == "RUNNING"
    assert dockrion_adapters.serialize_for_json({1, 2}) == [1, 2]
    assert dockrion_adapters.deep_serialize is dockrion_adapters.serialize_for_json

    async def agent(payload: Any) -> dict[str, bool]:
        context = dockrion_events.get_current_context()
        dockrion_events.set_current_context(None)
        gone = dockrion_events.get_current_context() is None
        dockrion_events.set_current_context(context)
        return {"there": context is not None, "gone": gone}

    async with running(app_for(agent)) as app, post(app, "/invoke", {}) as exchange:
        assert (await exchange.json())["output"] == {"there": True, "gone": True}


async def test_a_sync_close_of_an_adapter_does_not_hold_up_the_loop() -> None:
    seen: list[int] = []

    class Adapter(Foreign):
        def close(self) -> None:
            seen.append(threading.get_ident())

    await ForeignAgent(Adapter(), framework="foreign").close()
    assert len(seen) == 1
    assert seen != [threading.get_ident()]
