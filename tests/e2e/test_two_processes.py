"""Two processes on one SQLite file: what one of them executes, the other one shows, answers, cancels and resumes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from .frames import Frame, Stream, frames
from .puppet import Puppet
from .rawhttp import Connection, request
from .server import DOCKRION_RUN, Server, agent_source

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .conftest import StartServer

WINDOW_SECONDS = 1


class Pair(NamedTuple):
    """`worker` serves and executes, `front` only serves."""

    worker: Server
    front: Server


def sections(folder: Path, *, worker: bool) -> dict[str, Any]:
    return {
        "streaming": {
            "backend": "sqlite",
            "sqlite": {"path": str(folder / "runs.db")},
            "worker": worker,
            "connection": {"resume_window": WINDOW_SECONDS},
        },
        "runs": {"lease_seconds": 2},
        "expose": {"shutdown_grace": 0.5},
    }


@pytest.fixture(scope="module")
def pair(server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("shared")
    source = agent_source("puppet")
    return Pair(
        server(source, **sections(folder, worker=True)),
        server(source, **sections(folder, worker=False)),
    )


def call(server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = Connection(server.port)
    try:
        connection.send(request(method, path, body))
        head = connection.head()
        return head.status, json.loads(connection.body(head))
    finally:
        connection.close()


def text(server: Server, path: str) -> str:
    connection = Connection(server.port)
    try:
        connection.send(request("GET", path))
        return connection.body(connection.head()).decode()
    finally:
        connection.close()


def accept(server: Server, puppet: Puppet) -> str:
    status, body = call(server, "POST", "/runs", puppet.payload)
    assert status == 202, body
    return body["run_id"]


@contextmanager
def following(server: Server, run_id: str) -> Generator[Iterator[Frame]]:
    connection = Connection(server.port)
    try:
        connection.send(request("GET", f"/runs/{run_id}/events"))
        head = connection.head()
        assert head.status == 200
        _, began, first = connection.chunk().partition(b"\nevent: ")
        pieces = chain([began[1:] + first], iter(connection.chunk, b""), [b""])
        yield frames(pieces.__next__)
    finally:
        connection.close()


def events(read: Iterator[Frame]) -> list[tuple[str, int]]:
    return [(frame.event, frame.data["sequence"]) for frame in read]


def test_a_run_that_one_accepts_the_other_executes_and_both_show_it(
    pair: Pair, puppet: Puppet
) -> None:
    run_id = accept(pair.front, puppet)
    with ExitStack() as stack:
        reads = [stack.enter_context(following(server, run_id)) for server in pair]
        for word in ("a", "b"):
            puppet.token(word)
            # Each is there while the run goes on.
            for read in reads:
                while next(read).data.get("content") != word:
                    pass
        puppet.finish({"answer": 42})
        for read in reads:
            assert events(read) == [("complete", 3)]
    for server in pair:
        status, record = call(server, "GET", f"/runs/{run_id}")
        assert (status, record["status"]) == (200, "COMPLETED")
        assert record["output"] == {"answer": 42}


def test_a_run_of_the_other_process_is_cancelled_within_a_tenth_of_a_second(pair: Pair) -> None:
    taken: list[float] = []
    for _ in range(5):
        with Puppet() as puppet:
            run_id = accept(pair.front, puppet)
            puppet.token("here")
            began = time.monotonic()
            answer = call(pair.front, "DELETE", f"/runs/{run_id}?reason=enough")
            taken.append(time.monotonic() - began)
            assert answer == (200, {"run_id": run_id, "status": "CANCELLED"})
            assert puppet.left() == "CancelledError"
            assert call(pair.worker, "GET", f"/runs/{run_id}")[1]["status"] == "CANCELLED"

    # Of several, since others use this machine, too.
    assert min(taken) < 0.1, taken


def test_a_question_that_waits_in_the_other_process_is_answered(pair: Pair, puppet: Puppet) -> None:
    run_id = accept(pair.front, puppet)
    with following(pair.front, run_id) as read:
        puppet.tell("ask", question="how many?")
        asked = next(frame for frame in read if frame.event == "interrupt")
        status, body = call(pair.front, "POST", f"/runs/{run_id}/resume", 3)
        puppet.done("ask")
        puppet.finish({"answer": 3})
        rest = events(read)

    assert asked.data["value"] == "how many?"
    assert (status, body["run_id"]) == (202, run_id)
    assert rest == [("complete", asked.data["sequence"] + 1)]


def test_a_stream_that_was_cut_at_one_process_goes_on_at_the_other(
    pair: Pair, puppet: Puppet
) -> None:
    with Stream(pair.worker.port, puppet.payload) as first:
        first.open()
        assert first.next().event == "started"
        puppet.token("a")
        seen = first.next()
    with Stream(pair.front.port, puppet.payload, headers=[f"Last-Event-ID: {seen.id}"]) as second:
        second.open()
        puppet.token("b")
        assert second.next().data["content"] == "b"
        puppet.finish({"answer": 42})
        assert events(iter(second.rest())) == [("complete", 3)]


def test_a_reader_at_the_other_process_keeps_the_window_of_a_stream_open(
    pair: Pair, puppet: Puppet
) -> None:
    with Stream(pair.worker.port, puppet.payload) as first:
        first.open()
        started = first.next()
    with Stream(pair.front.port, {}, headers=[f"Last-Event-ID: {started.id}"]) as second:
        second.open()
        # Twice the window, in which nobody reads where the run is.
        end = time.monotonic() + 2 * WINDOW_SECONDS
        words = 0
        while time.monotonic() < end:
            puppet.token(str(words))
            assert second.next().data["content"] == str(words)
            words += 1
            time.sleep(0.05)
        puppet.finish({"answer": 42})
        assert events(iter(second.rest())) == [("complete", words + 1)]


def test_a_run_waits_in_the_file_until_a_worker_comes(tmp_path: Path, puppet: Puppet) -> None:
    folder = tmp_path / "front"
    folder.mkdir()
    front = Server(
        folder,
        agent_source("puppet"),
        handler="handle",
        sections=sections(tmp_path, worker=False),
    )
    command = (Path(sys.executable).with_name("dockrion"), "worker", "Dockfile.yaml")
    try:
        run_id = accept(front, puppet)
        cancelled = accept(front, puppet)
        assert call(front, "DELETE", f"/runs/{cancelled}")[0] == 200
        assert call(front, "GET", f"/runs/{run_id}")[1]["status"] == "ACCEPTED"
        with subprocess.Popen(
            command, cwd=folder, stderr=subprocess.DEVNULL, env=dict(os.environ)
        ) as worker:
            try:
                puppet.finish({"answer": 42})
                with following(front, run_id) as read:
                    assert events(read)[-1] == ("complete", 1)
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(20) == 0
            finally:
                worker.kill()
        front.signal(signal.SIGTERM)
        assert front.wait() == 0
    finally:
        front.kill()


def test_servers_of_one_port_tell_once_what_waits_for_a_worker(tmp_path: Path) -> None:
    server = Server(
        tmp_path,
        agent_source("puppet"),
        handler="handle",
        sections=sections(tmp_path, worker=False),
        command=(*DOCKRION_RUN, "--workers", "2"),
    )
    try:
        with Puppet() as puppet:
            for _ in range(3):
                accept(server, puppet)
        told = [text(server, "/metrics") for _ in range(6)]
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    finally:
        server.kill()

    for metrics in told:
        assert 'dockrion_runs{status="ACCEPTED"} 3.0\n' in metrics
        assert "dockrion_queue_depth 3.0\n" in metrics


def test_servers_of_one_port_follow_each_others_runs(tmp_path: Path) -> None:
    server = Server(
        tmp_path,
        agent_source("puppet"),
        handler="handle",
        sections=sections(tmp_path, worker=True),
        command=(*DOCKRION_RUN, "--workers", "2"),
    )
    try:
        for _ in range(4):
            with Puppet() as puppet:
                run_id = accept(server, puppet)
                with following(server, run_id) as read:
                    puppet.token("a")
                    puppet.finish({"answer": 42})
                    assert events(read) == [("started", 0), ("token", 1), ("complete", 2)]
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    finally:
        server.kill()
