"""An entrypoint gives the agent: factories and context managers of all kinds, and objects."""

from __future__ import annotations

import asyncio
import sys
import threading

import anyio
import pytest

from dockrion.events.model import Complete
from dockrion.runs.threads import WorkerThreads
from tests.runs.kit import read_to_end, runner_for_agent, tokens

from .folders import STRANGE, Folder, failure, output_of

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
