"""From the `agent` section to an agent, and what its author is told when that fails."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from dockrion.adapters import (
    ADAPTERS,
    is_framework_supported,
    list_supported_frameworks,
    load_agent,
    register_adapter,
)
from dockrion.adapters.base import Agent
from dockrion.adapters.objects import ForeignAgent
from dockrion.errors import AdapterError, InvalidAgentError
from dockrion.events.context import StreamContext
from dockrion.events.filter import EventsFilter
from dockrion.events.model import Complete, Progress
from dockrion.runs.threads import WorkerThreads
from dockrion.spec import frameworks as frameworks_of_spec
from dockrion.spec.agent import AgentSpec
from dockrion.testing import app_for, post, running
from tests.runs.kit import read_to_end, runner_for_agent, tokens

numbers = itertools.count()


class Folder:
    """A Dockfile's folder; each module gets a name of its own, since the interpreter keeps modules."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def module(self, source: str, *, package: str = "") -> str:
        name = f"agent_module_{next(numbers)}"
        folder = self.path / package
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(source)
        return f"{package}.{name}" if package else name

    async def load(self, **agent: Any) -> Agent:
        arguments = agent.pop("arguments", {})
        spec = AgentSpec.model_validate({"name": "test", **agent})
        return await load_agent(spec, folder=self.path, arguments=arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    yield Folder(tmp_path)
    with contextlib.suppress(ValueError):
        sys.path.remove(str(tmp_path))


async def output_of(agent: Agent, payload: Any = None) -> Any:
    with anyio.fail_after(5):
        events = await read_to_end(runner_for_agent(agent).start(payload, streams=True))
    assert isinstance(events[-1], Complete), events[-1]
    return events[-1].output


async def failure(folder: Folder, **agent: Any) -> AdapterError:
    with pytest.raises(AdapterError) as caught:
        await folder.load(**agent)
    return caught.value


async def test_a_handler_is_found_relative_to_the_dockfile(folder: Folder) -> None:
    module = folder.module("def handle(payload):\n    return {'got': payload}\n", package="app")
    agent = await folder.load(handler=f"{module}:handle")
    assert await output_of(agent, 1) == {"got": 1}


async def test_a_missing_module_is_named_with_the_nearest_one(folder: Folder) -> None:
    (folder.path / "service.py").write_text("")
    error = await failure(folder, handler="servise:handle")
    assert error.code == "MODULE_NOT_FOUND"
    assert "agent.handler" in error.message
    assert "did you mean 'service'?" in error.message


async def test_a_missing_callable_is_named_with_the_nearest_one(folder: Folder) -> None:
    module = folder.module("def handle(payload): ...\n")
    error = await failure(folder, handler=f"{module}:handel")
    assert error.code == "CALLABLE_NOT_FOUND"
    assert "did you mean 'handle'?" in error.message


async def test_an_import_error_of_the_agent_itself_is_not_hidden(folder: Folder) -> None:
    module = folder.module("import a_package_that_is_not_there\n")
    error = await failure(folder, handler=f"{module}:handle")
    assert error.code == "ADAPTER_LOAD_ERROR"
    assert "a_package_that_is_not_there" in error.message
    assert isinstance(error.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("1 / 0\n", "ZeroDivisionError"),
        ("def broken(:\n", "SyntaxError"),
        ("import sys\nsys.exit(4)\n", "sys.exit(4)"),
        ("raise RuntimeError('no key')\n", "RuntimeError: no key"),
    ],
)
async def test_what_a_module_raises_is_said(folder: Folder, source: str, part: str) -> None:
    error = await failure(folder, handler=f"{folder.module(source)}:handle")
    assert error.code == "ADAPTER_LOAD_ERROR"
    assert part in error.message


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("handle = 3\n", "must be a function"),
        ("class handle:\n    pass\n", "the class handle"),
        ("def handle():\n    pass\n", "payload as its first parameter"),
        ("def handle(payload, other):\n    pass\n", "'other'"),
    ],
)
async def test_what_is_no_handler_is_refused(folder: Folder, source: str, part: str) -> None:
    error = await failure(folder, handler=f"{folder.module(source)}:handle")
    assert error.code == "INVALID_AGENT"
    assert part in error.message


CONTEXTS = [
    "def handle(payload, context):\n    return {'id': context.run_id}\n",
    "def handle(payload, *, context=None):\n    return {'id': context.run_id}\n",
    "def handle(payload, ctx: StreamContext):\n    return {'id': ctx.run_id}\n",
    "def handle(payload, ctx: 'StreamContext'):\n    return {'id': ctx.run_id}\n",
    "def handle(payload, ctx: StreamContext | None = None):\n    return {'id': ctx.run_id}\n",
    "def handle(payload, context, /):\n    return {'id': context.run_id}\n",
    "async def handle(payload, context):\n    return {'id': context.run_id}\n",
    "class Handler:\n    def __call__(self, payload, context):\n        return {'id': context.run_id}\nhandle = Handler()\n",
    "class Handler:\n    async def __call__(self, payload, context):\n        return {'id': context.run_id}\nhandle = Handler()\n",
    "import functools\ndef f(x, payload, context):\n    return {'id': context.run_id}\nhandle = functools.partial(f, 1)\n",
    "class Handler:\n    def run(self, payload, context):\n        return {'id': context.run_id}\nhandle = Handler().run\n",
]


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("source", CONTEXTS)
async def test_a_handler_gets_the_context_by_name_or_annotation(
    folder: Folder, future: str, source: str
) -> None:
    module = folder.module(f"{future}from dockrion import StreamContext\n{source}")
    agent = await folder.load(handler=f"{module}:handle")
    run = runner_for_agent(agent).start({}, run_id="r1", streams=True)
    last = (await read_to_end(run))[-1]
    assert isinstance(last, Complete), last
    assert last.output == {"id": "r1"}


async def test_a_handler_without_context_is_not_given_one(folder: Folder) -> None:
    module = folder.module("def handle(payload, **options):\n    return {'options': options}\n")
    agent = await folder.load(handler=f"{module}:handle")
    assert await output_of(agent) == {"options": {}}


STRANGE = [
    "asyncio.CancelledError()",
    "GeneratorExit()",
    "KeyboardInterrupt()",
    "StopIteration()",
    "SystemExit(3)",
]

OBJECT = "class Agent:\n    def invoke(self, payload):\n        return {'got': payload}\n"


@pytest.mark.parametrize(
    "source",
    [
        f"{OBJECT}made = Agent()\n",
        f"{OBJECT}made = Agent\n",
        f"{OBJECT}def made():\n    return Agent()\n",
        f"{OBJECT}async def made():\n    return Agent()\n",
        f"{OBJECT}import contextlib\n@contextlib.contextmanager\ndef made():\n    yield Agent()\n",
        f"{OBJECT}import contextlib\n@contextlib.asynccontextmanager\nasync def made():\n    yield Agent()\n",
    ],
)
async def test_an_entrypoint_is_a_factory_of_any_kind_or_the_object(
    folder: Folder, source: str
) -> None:
    agent = await folder.load(entrypoint=f"{folder.module(source)}:made", framework="custom")
    assert await output_of(agent, 1) == {"got": 1}
    await agent.close()


async def test_a_context_manager_is_closed_at_shutdown(folder: Folder) -> None:
    module = folder.module(
        f"{OBJECT}import contextlib\nclosed = []\n"
        "@contextlib.asynccontextmanager\nasync def made():\n"
        "    try:\n        yield Agent()\n    finally:\n        closed.append(1)\n"
    )
    agent = await folder.load(entrypoint=f"{module}:made", framework="custom")
    assert sys.modules[module].closed == []
    await agent.close()
    assert sys.modules[module].closed == [1]


async def test_an_async_context_manager_is_entered_and_left_in_one_task(folder: Folder) -> None:
    module = folder.module(
        f"{OBJECT}import anyio\nfrom contextlib import asynccontextmanager\nleft = []\n"
        "@asynccontextmanager\nasync def made():\n"
        "    async with anyio.create_task_group() as tasks:\n"
        "        tasks.start_soon(anyio.sleep_forever)\n        yield Agent()\n"
        "        tasks.cancel_scope.cancel()\n    left.append(1)\n"
    )
    agent = await asyncio.create_task(folder.load(entrypoint=f"{module}:made", framework="custom"))
    await asyncio.create_task(agent.close())
    assert sys.modules[module].left == [1]


async def test_a_sync_context_manager_is_left_in_a_thread(folder: Folder) -> None:
    module = folder.module(
        f"{OBJECT}import threading\nfrom contextlib import contextmanager\nleft = []\n"
        "@contextmanager\ndef made():\n    yield Agent()\n    left.append(threading.get_ident())\n"
    )
    agent = await folder.load(entrypoint=f"{module}:made", framework="custom")
    await agent.close()
    [ident] = sys.modules[module].left
    assert ident != threading.get_ident()


@pytest.mark.parametrize("raised", [*STRANGE, "ValueError('no')"])
async def test_what_an_async_context_manager_raises_is_said(folder: Folder, raised: str) -> None:
    module = folder.module(
        "import asyncio\n"
        f"class made:\n    async def __aenter__(self):\n        raise {raised}\n"
        "    async def __aexit__(self, *_):\n        pass\n"
    )
    error = await failure(folder, entrypoint=f"{module}:made", framework="custom")
    assert f"the factory {module}:made raised" in error.message


@pytest.mark.parametrize("raised", STRANGE)
@pytest.mark.parametrize("made", ["def made():", "async def made():"])
async def test_a_factory_may_raise_anything(folder: Folder, made: str, raised: str) -> None:
    asyncio.get_running_loop().set_default_executor(WorkerThreads(1))
    module = folder.module(f"import asyncio\n{made}\n    raise {raised}\n")
    with anyio.fail_after(5):
        error = await failure(folder, entrypoint=f"{module}:made", framework="custom")
    assert f"the factory {module}:made raised" in error.message


@pytest.mark.parametrize("raised", STRANGE)
async def test_a_module_may_raise_anything(folder: Folder, raised: str) -> None:
    module = folder.module(f"import asyncio\nraise {raised}\n")
    with anyio.fail_after(5):
        error = await failure(folder, handler=f"{module}:handle")
    assert f"agent.handler: module {module!r}" in error.message


async def test_loading_can_be_cancelled(folder: Folder) -> None:
    module = folder.module(
        f"{OBJECT}import asyncio\nbegun = asyncio.Event()\n"
        "async def made():\n    begun.set()\n    await asyncio.Event().wait()\n"
    )
    loading = asyncio.create_task(folder.load(entrypoint=f"{module}:made", framework="custom"))
    with anyio.fail_after(5):
        while module not in sys.modules or not hasattr(sys.modules[module], "made"):
            await asyncio.sleep(0.001)
        await sys.modules[module].begun.wait()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading


async def test_a_factory_gets_the_arguments_it_takes(folder: Folder) -> None:
    module = folder.module(
        "class Agent:\n    def __init__(self, model):\n        self.model = model\n"
        "    def invoke(self, payload):\n        return {'model': self.model}\n"
        "def made(model, size=1):\n    return Agent(f'{model}-{size}')\n"
    )
    agent = await folder.load(
        entrypoint=f"{module}:made",
        framework="custom",
        arguments={"model": "m", "timeout_sec": 3},
    )
    assert await output_of(agent) == {"model": "m-1"}


async def test_a_factory_that_raises_is_said(folder: Folder) -> None:
    module = folder.module("def made():\n    raise KeyError('no key')\n")
    error = await failure(folder, entrypoint=f"{module}:made", framework="custom")
    assert error.code == "ADAPTER_LOAD_ERROR"
    assert "KeyError" in error.message


async def test_an_object_without_invoke_is_refused(folder: Folder) -> None:
    module = folder.module("def made():\n    return object()\n")
    error = await failure(folder, entrypoint=f"{module}:made", framework="custom")
    assert error.code == "INVALID_AGENT"
    assert ".invoke(payload)" in error.message


async def test_an_object_gets_a_config_where_it_takes_one(folder: Folder) -> None:
    module = folder.module(
        "class Agent:\n    def invoke(self, payload, config=None):\n        return config\nmade = Agent()\n"
    )
    agent = await folder.load(entrypoint=f"{module}:made", framework="custom")
    run = runner_for_agent(agent).start({}, run_id="r1", thread_id="t1", streams=True)
    last = (await read_to_end(run))[-1]
    assert isinstance(last, Complete)
    assert last.output == {"configurable": {"thread_id": "t1", "run_id": "r1"}}


@pytest.mark.parametrize(
    "method",
    [
        "    def stream(self, payload):\n        yield from ['a', 'b']\n",
        "    async def astream(self, payload):\n        yield 'a'\n        yield 'b'\n",
    ],
)
async def test_an_object_with_stream_streams_and_without_events_is_invoked(
    folder: Folder, method: str
) -> None:
    module = folder.module(f"{OBJECT}{method}made = Agent()\n")
    agent = await folder.load(entrypoint=f"{module}:made", framework="custom")
    runner = runner_for_agent(agent)
    assert tokens(await read_to_end(runner.start({}, streams=True))) == ["a", "b"]
    last = (await read_to_end(runner.start(5, streams=False)))[-1]
    assert isinstance(last, Complete)
    assert last.output == {"got": 5}


async def test_with_both_the_handler_serves_and_the_entrypoint_is_shown(folder: Folder) -> None:
    module = folder.module(
        f"{OBJECT}made = Agent()\ndef handle(payload):\n    return {{'by': 'handler'}}\n"
    )
    agent = await folder.load(handler=f"{module}:handle", entrypoint=f"{module}:made")
    assert await output_of(agent) == {"by": "handler"}
    assert agent.describe()["entrypoint"]["class"] == "Agent"


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


async def test_a_module_that_another_one_hides_is_refused_and_not_the_other_one_run(
    tmp_path: Path,
) -> None:
    folders = [Folder(tmp_path / name) for name in ("a", "b")]
    for folder in folders:
        folder.path.mkdir()
        (folder.path / "hidden_service.py").write_text("def handle(payload):\n    return {}\n")
        (folder.path / "email.py").write_text("def handle(payload):\n    return {}\n")
    await folders[0].load(handler="hidden_service:handle")
    again = await folders[0].load(handler="hidden_service:handle")
    assert await output_of(again) == {}
    hidden = await failure(folders[1], handler="hidden_service:handle")
    assert "'hidden_service'" in hidden.message
    import email as _loaded

    assert _loaded
    builtin = await failure(folders[0], handler="email:handle")
    assert "'email'" in builtin.message
    for folder in folders:
        sys.path.remove(str(folder.path))


async def test_text_of_a_subclass_of_str_streams_as_text() -> None:
    class Text(str):
        pass

    def agent(payload: Any) -> Any:
        yield Text("Hel")
        yield Text("lo")

    async with running(app_for(agent)) as app, post(app, "/invoke/stream", {}) as exchange:
        contents = [e.json().get("content") async for e in exchange.events() if e.event == "token"]
    assert contents == ["Hel", "lo"]


async def test_a_sync_close_of_an_adapter_does_not_hold_up_the_loop() -> None:
    seen: list[int] = []

    class Adapter(Foreign):
        def close(self) -> None:
            seen.append(threading.get_ident())

    await ForeignAgent(Adapter(), framework="foreign").close()
    assert len(seen) == 1
    assert seen != [threading.get_ident()]
