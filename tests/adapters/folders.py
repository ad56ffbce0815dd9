"""A Dockfile's folder with agents in it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import anyio
import pytest

from dockrion.adapters import load_agent
from dockrion.adapters.base import Agent
from dockrion.errors import AdapterError
from dockrion.events.model import Complete
from dockrion.spec.agent import AgentSpec
from tests.runs.kit import read_to_end, runner_for_agent

# What code of an agent may raise that is no `Exception`, or that means something to whoever drives it.
STRANGE = [
    "asyncio.CancelledError()",
    "GeneratorExit()",
    "KeyboardInterrupt()",
    "StopIteration()",
    "SystemExit(3)",
]

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


async def output_of(agent: Agent, payload: Any = None) -> Any:
    with anyio.fail_after(5):
        events = await read_to_end(runner_for_agent(agent).start(payload, streams=True))
    assert isinstance(events[-1], Complete), events[-1]
    return events[-1].output


async def failure(folder: Folder, **agent: Any) -> AdapterError:
    with pytest.raises(AdapterError) as caught:
        await folder.load(**agent)
    return caught.value
