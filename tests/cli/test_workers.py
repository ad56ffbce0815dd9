"""`dockrion run --workers`: processes that share a port, and are replaced, drained and given up together."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .conftest import Running, dockrion, running

Agent = Callable[..., Path]

SHARED = {"async_runs": False}
SERVICE = """
import os

def answer(payload):
    return {"pid": os.getpid()}
"""


@pytest.fixture
def pid_agent(agent: Agent, tmp_path: Path) -> Path:
    """An agent that says which process answers."""
    path = agent(io_schema={}, streaming=SHARED)
    (tmp_path / "service.py").write_text(SERVICE)
    return path


def pids(server: Running, *, but: frozenset[int] = frozenset()) -> set[int]:
    """Ask, on new connections, until two processes have answered that are none of `but`."""
    found: set[int] = set()
    while len(found) < 2:
        pid = server.invoke({})["pid"]
        if pid not in but:
            found.add(pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_two_workers_serve_one_port_and_end_with_0(pid_agent: Path, number: signal.Signals) -> None:
    with running(pid_agent, "-w", "2") as server:
        said = server.until_ready()
        workers = pids(server)
        code = server.end(number)

    assert code == 0
    assert said.count("is ready after") == 1
    assert server.process.pid not in workers
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_each_worker_answers_for_the_metrics_and_the_log_of_all(
    pid_agent: Path, tmp_path: Path
) -> None:
    with running(pid_agent, "-w", "2") as server:
        server.until_ready()
        workers = pids(server)
        calls = 10
        for _ in range(calls):
            server.invoke({})
        # A worker tells the others a tenth of a second late.
        deadline = time.monotonic() + 10
        while (counted := answered(server)) < calls + len(workers):
            assert time.monotonic() < deadline, counted
        code = server.end(signal.SIGTERM)

    log = tmp_path / ".dockrion_runtime" / "logs" / "speller.log"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert code == 0
    assert sum(line["event"] == "request" for line in lines) >= counted


def answered(server: Running) -> float:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=20) as response:
        text = response.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "dockrion_requests_total"
    )


def test_a_worker_that_dies_is_replaced(pid_agent: Path) -> None:
    with running(pid_agent, "-w", "2") as server:
        server.until_ready()
        dead, other = pids(server)
        os.kill(dead, signal.SIGKILL)
        server.until("worker is replaced.*was ended by SIGKILL")
        after = pids(server, but=frozenset({dead}))
        code = server.end(signal.SIGTERM)

    assert other in after
    assert code == 0


def test_an_agent_that_no_worker_can_load_is_1_and_told_once(agent: Agent, tmp_path: Path) -> None:
    path = agent("anwser", streaming=SHARED)

    result = dockrion("run", path, "-w", "2", "--host", "127.0.0.1", "--port", "0")

    assert (result.code, result.out) == (1, "")
    assert result.err.count("Error: agent.handler: ") == 1
    assert "did you mean 'answer'?" in result.err
    assert result.err.endswith(
        "check agent.handler and agent.entrypoint; --debug shows the traceback\n"
    )
    assert "Traceback" not in result.err


def test_a_worker_that_ends_while_it_loads_is_no_worker(agent: Agent, tmp_path: Path) -> None:
    path = agent(streaming=SHARED)
    (tmp_path / "service.py").write_text("import os; os._exit(7)")

    result = dockrion("run", path, "-w", "2", "--host", "127.0.0.1", "--port", "0")

    assert result.code == 1
    assert "Error: the server process ended with code 7 before its agent was loaded\n" in result.err


def test_workers_end_with_their_supervisor(pid_agent: Path) -> None:
    with running(pid_agent, "-w", "2") as server:
        server.until_ready()
        pids(server)
        server.process.kill()
        assert server.process.stderr is not None
        # Its end of the pipe closes when the last process that holds it has ended.
        server.process.stderr.read()


def test_workers_that_would_hold_runs_apart_are_refused(agent: Agent) -> None:
    result = dockrion("run", agent(), "-w", "2", "--port", "0")

    assert result.code == 1
    assert result.err == (
        "Error: 2 workers cannot share runs with `streaming.backend: memory`: each would have its own; "
        "set streaming.backend to sqlite or redis, or set streaming.async_runs: false\n"
        "Hint: or serve with one worker\n"
    )


def test_the_environment_is_the_same_in_every_worker(agent: Agent, tmp_path: Path) -> None:
    path = agent(io_schema={}, streaming=SHARED)
    (tmp_path / "service.py").write_text(
        "import os\ndef answer(payload): return {'pid': os.getpid(), 'key': os.environ['KEY']}"
    )
    (tmp_path / "given.env").write_text("KEY=from the file\n")

    with running(path, "-w", "2", "-e", tmp_path / "given.env") as server:
        server.until_ready()
        seen: dict[int, str] = {}
        while len(seen) < 2:
            output = server.invoke({})
            seen[output["pid"]] = output["key"]

    assert set(seen.values()) == {"from the file"}


def test_workers_on_one_file_share_runs_tickets_and_rates(agent: Agent, tmp_path: Path) -> None:
    path = agent(
        io_schema={},
        streaming={"backend": "sqlite", "sqlite": {"path": "runs.db"}},
        auth={"mode": "api_key", "rate_limits": {"default": "7/hour"}},
    )
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / ".env").write_text("DOCKRION_API_KEY=a-s3cret\n")
    with running(path, "-w", "2") as server:
        said = server.until_ready()
        statuses: list[int] = []
        while len(statuses) < 9:
            statuses.append(send(server, "/invoke", b"{}", key="a-s3cret")[0])
        tickets: list[int] = []
        for _ in range(6):
            _, issued = send(server, "/auth/ticket", b'{"path": "/runs"}', key="a-s3cret")
            listed = f"/runs?ticket={issued['ticket']}"
            tickets += [send(server, listed)[0], send(server, listed)[0]]
        code = server.end(signal.SIGTERM)

    assert statuses == [200] * 7 + [429] * 2
    # Each counts once, whichever of the two it comes to.
    assert tickets == [200, 401] * 6
    assert "counts by itself" not in said
    assert code == 0


def send(
    server: Running, path: str, body: bytes | None = None, *, key: str | None = None
) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **({"X-API-Key": key} if key else {})}
    request = urllib.request.Request(f"{server.url}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, json.load(exc)


def test_workers_ask_for_keys_and_give_out_no_tickets_that_the_next_one_would_not_know(
    agent: Agent, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DOCKRION_API_KEY=a-s3cret\n")
    with running(agent(streaming=SHARED, auth={"mode": "api_key"}), "-w", "2") as server:
        server.until_ready()
        refused = server.ask("/invoke", b"{}")
        ticket = server.ask("/auth/ticket", b"{}")
        document = server.ask("/openapi.json")

    assert refused == {"detail": {"message": "API key required", "code": "AUTH_ERROR"}}
    assert ticket["code"] == "NOT_FOUND"
    assert "/auth/ticket" not in document["paths"]
