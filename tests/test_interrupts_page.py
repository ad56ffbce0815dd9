"""The agents of docs/interrupts.md do what is written there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from dockrion.adapters import load_agent
from dockrion.events.model import Complete, Interrupt
from dockrion.runs.accepted import Accepted
from dockrion.runs.run import Run
from dockrion.spec.agent import AgentSpec
from tests.runs.kit import next_batch, runner_for_agent

PAGE = (Path(__file__).parents[1] / "docs" / "interrupts.md").read_text()
[HANDLER, GRAPH] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PAYLOAD = {"text": "Hello"}
QUESTION = {"question": "Send it?", "text": "Hello"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def last_event(run: Run) -> Any:
    with anyio.fail_after(10):
        while not (batch := await next_batch(run)).is_last:
            pass
    return batch.events[-1]


@pytest.mark.parametrize(("answer", "sent"), [("yes", True), ("no", False)])
async def test_the_handler_waits_for_its_answer(answer: str, sent: bool, folder: Path) -> None:
    (folder / f"page_approving_{answer}.py").write_text(HANDLER)
    spec = AgentSpec.model_validate({"name": "page", "handler": f"page_approving_{answer}:handle"})
    agent = await load_agent(spec, folder=folder, arguments={})
    run = runner_for_agent(agent).start(PAYLOAD, streams=True)
    asked = await last_event(run)
    assert isinstance(asked, Interrupt)
    assert asked.value == QUESTION
    run.answer({asked.interrupt_id: answer})
    ended = await last_event(run)
    assert isinstance(ended, Complete)
    assert ended.output == {"sent": sent}


async def test_the_graph_goes_on_after_a_restart(folder: Path) -> None:
    (folder / "page_asking_graph.py").write_text(GRAPH)
    spec = AgentSpec.model_validate(
        {"name": "page", "framework": "langgraph", "entrypoint": "page_asking_graph:graph"}
    )

    async def executed(accepted: Accepted) -> Any:
        agent = await load_agent(spec, folder=folder, arguments={})
        try:
            run = runner_for_agent(agent).start(
                PAYLOAD, run_id="page", streams=True, accepted=accepted
            )
            return await last_event(run)
        finally:
            await agent.close()

    asked = await executed(Accepted())
    assert isinstance(asked, Interrupt)
    assert asked.value == QUESTION
    ended = await executed(Accepted(first=2, answers={asked.interrupt_id: "yes"}))
    assert isinstance(ended, Complete)
    assert ended.output == {"text": "Hello", "sent": True}
