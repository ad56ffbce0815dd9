"""From the `agent` section to an agent, and what its author is told when that fails."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from dockrion.events.model import Complete
from dockrion.testing import app_for, post, running
from tests.runs.kit import read_to_end, runner_for_agent

from .folders import STRANGE, Folder, failure, output_of


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


@pytest.mark.parametrize("raised", STRANGE)
async def test_a_module_may_raise_anything(folder: Folder, raised: str) -> None:
    module = folder.module(f"import asyncio\nraise {raised}\n")
    with anyio.fail_after(5):
        error = await failure(folder, handler=f"{module}:handle")
    assert f"agent.handler: module {module!r}" in error.message


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
