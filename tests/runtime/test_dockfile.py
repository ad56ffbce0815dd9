"""Python's way to an agent: by the path of its Dockfile."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockrion import ValidationError, invoke_local
from dockrion.errors import AgentExecutionError, ConflictError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a Dockfile and its module, which no other test has imported; return the Dockfile's path."""

    def write(source: str, **sections: Any) -> Path:
        module = f"service_{uuid.uuid4().hex}"
        (tmp_path / f"{module}.py").write_text(source)
        dockfile = {
            "version": "1.0",
            "agent": {"name": "local", "handler": f"{module}:answer"},
            "io_schema": {},
            "expose": {},
            **sections,
        }
        path = tmp_path / "Dockfile.yaml"
        path.write_text(json.dumps(dockfile))
        return path

    return write


def test_invoke_local_returns_the_output(write: Write) -> None:
    path = write("async def answer(payload): return {'doubled': payload['n'] * 2}")

    assert invoke_local(path, {"n": 21}) == {"doubled": 42}
    assert invoke_local(str(path), {"n": 1}) == {"doubled": 2}


async def _invoke_from_a_loop(path: Path) -> Any:
    return invoke_local(path, {"n": 1})


ASKS = "async def answer(payload, context): return await context.ask('?')"
INTERRUPTS = """
from typing import TypedDict
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

class State(TypedDict):
    n: int

def asks(state):
    return {"n": interrupt("?")}

builder = StateGraph(State)
builder.add_node(asks)
builder.add_edge(START, "asks")
answer = builder.compile(checkpointer=InMemorySaver())
"""


def test_invoke_local_has_nobody_who_answers(write: Write) -> None:
    with pytest.raises(AgentExecutionError, match=r"context.ask\(\) needs somebody who answers"):
        invoke_local(write(ASKS), {})


def test_invoke_local_of_a_graph_that_asks_says_so(write: Write) -> None:
    path = write(INTERRUPTS)
    dockfile = json.loads(path.read_text())
    target = dockfile["agent"].pop("handler")
    dockfile["agent"] |= {"framework": "langgraph", "entrypoint": target}
    path.write_text(json.dumps(dockfile))

    with pytest.raises(ConflictError, match="waits for an answer, which nobody can give here"):
        invoke_local(path, {"n": 1})


def test_invoke_local_works_where_a_loop_runs_already(write: Write) -> None:
    path = write("def answer(payload): return payload")

    assert asyncio.run(_invoke_from_a_loop(path)) == {"n": 1}


def test_invoke_local_checks_the_payload(write: Write) -> None:
    path = write("def answer(payload): return payload", io_schema={"input": {"required": ["n"]}})

    with pytest.raises(ValidationError, match='"n" is a required property'):
        invoke_local(path, {})


def test_invoke_local_gives_the_agent_the_variables_of_its_env_files(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_TEST_KEY", "so that it is taken away again at the end")
    monkeypatch.delenv("LOCAL_TEST_KEY")
    path = write("import os\ndef answer(payload): return {'key': os.environ['LOCAL_TEST_KEY']}")
    (tmp_path / "given.env").write_text("LOCAL_TEST_KEY=from the file\n")

    assert invoke_local(path, None, env_file=tmp_path / "given.env") == {"key": "from the file"}


# As people write scripts: without a main guard.
SCRIPT = """
import sys
from dockrion import run_local
run_local(sys.argv[1], "127.0.0.1", 0, True)
"""


def test_run_local_reloads_from_a_plain_script(write: Write) -> None:
    path = write("def answer(payload): return payload")
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            ready = 0
            for line in process.stderr:
                if "local is ready after" in line:
                    ready += 1
                    if ready == 2:
                        break
                    path.write_text(path.read_text())
            process.send_signal(signal.SIGINT)
            code = process.wait(20)
        finally:
            process.kill()

    assert (ready, code) == (2, 0)
