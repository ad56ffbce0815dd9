"""SIGTERM under 200 open streams, however the app is served: each has its grace and a proper end; exit code 0."""

from __future__ import annotations

import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .frames import Stream
from .puppet import Puppet
from .server import DOCKRION_RUN, HOST, Server, agent_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Serve = Callable[..., Server]

STREAMS = 200
GRACE_SECONDS = 3.0

# Each stream says which process it is in, and ends once its file is there.
AGENT = """
import asyncio
import os
from pathlib import Path

async def handle(payload):
    yield str(os.getpid())
    while not Path(payload["until"]).exists():
        await asyncio.sleep(0.05)
"""
MAIN = """
from pathlib import Path
from dockrion import create_app
app = create_app(Path(__file__).with_name("Dockfile.yaml"))
"""
MOUNTED = """
from fastapi import FastAPI
parent = FastAPI()
parent.mount("/", app)
"""

UVICORN = (sys.executable, "-m", "uvicorn", "main:app")
# How it is served, by how many processes, and what its log has once for each when they are there.
SERVED = {
    "dockrion": (DOCKRION_RUN, 1, "is ready after"),
    "dockrion, 2 workers": ((*DOCKRION_RUN, "--workers", "2"), 2, "is ready after"),
    "uvicorn": (UVICORN, 1, "Application startup complete"),
    "uvicorn, 2 workers": ((*UVICORN, "--workers", "2"), 2, "Application startup complete"),
}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(
        command: tuple[str | Path, ...], agent: str = AGENT, *, grace: float = GRACE_SECONDS
    ) -> Server:
        sections = {
            "expose": {"shutdown_grace": grace},
            "streaming": {"async_runs": False},
        }
        folder = tmp_path / str(len(servers))
        folder.mkdir()
        (folder / "main.py").write_text(MAIN + MOUNTED)
        servers.append(Server(folder, agent, handler="handle", sections=sections, command=command))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def wait_for_log(server: Server, text: str, count: int) -> None:
    deadline = time.monotonic() + 30
    while server.log.count(text) < count:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.02)


@pytest.mark.parametrize("served", SERVED)
def test_streams_end_within_their_grace_or_with_it(
    serve: Serve, tmp_path: Path, served: str
) -> None:
    command, processes, sign = SERVED[served]
    server = serve(command)
    wait_for_log(server, sign, 1 if command[0] == DOCKRION_RUN[0] else processes)
    soon, never = tmp_path / "soon", tmp_path / "never"
    with ExitStack() as stack:
        streams = [
            stack.enter_context(Stream(server.port, {"until": str(soon if index % 2 else never)}))
            for index in range(STREAMS)
        ]
        pids: set[str] = set()
        for stream in streams:
            stream.open()
            assert stream.next().event == "started"
            pids.add(stream.next().data["content"])
        assert len(pids) == processes

        server.signal(signal.SIGTERM)
        signalled = time.monotonic()
        while server.get("/ready")[0] != 503:
            time.sleep(0.01)
        soon.touch()
        for stream in streams[1::2]:
            assert [frame.event for frame in stream.rest()] == ["complete"]
        assert time.monotonic() - signalled < GRACE_SECONDS
        for stream in streams[0::2]:
            [end] = stream.rest()
            assert time.monotonic() - signalled >= GRACE_SECONDS
            assert (end.event, end.data["code"]) == ("error", "SHUTTING_DOWN")

        assert server.wait() == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("served", [name for name in SERVED if "workers" in name])
def test_a_signal_to_the_whole_group_is_not_taken_for_two(
    serve: Serve, puppet: Puppet, served: str, number: signal.Signals
) -> None:
    command, _, sign = SERVED[served]
    server = serve(command, agent_source("puppet"))
    wait_for_log(server, sign, 1)
    with Stream(server.port, puppet.payload) as stream:
        stream.open()
        stream.next()
        server.signal_group(number)
        # The supervisor passes it on within this time; uvicorn's looks twice a second.
        passed_on = time.monotonic() + 1
        while time.monotonic() < passed_on:
            puppet.token("still here")
            assert stream.next().event == "token"
        puppet.finish()
        assert [frame.event for frame in stream.rest()] == ["complete"]
        assert server.wait() == 0


def test_a_second_signal_to_a_supervisor_ends_streams_at_once(serve: Serve, puppet: Puppet) -> None:
    command, _, sign = SERVED["dockrion, 2 workers"]
    server = serve(command, agent_source("puppet"))
    wait_for_log(server, sign, 1)
    with Stream(server.port, puppet.payload) as stream:
        stream.open()
        stream.next()
        server.signal(signal.SIGTERM)
        signalled = time.monotonic()
        wait_for_log(server, "draining", 2)
        server.signal(signal.SIGTERM)
        [end] = stream.rest()
        assert (end.event, end.data["code"]) == ("error", "SHUTTING_DOWN")
        assert time.monotonic() - signalled < GRACE_SECONDS
        assert server.wait() == 0


def test_one_signal_ends_even_processes_whose_agent_blocks_the_loop_for_ever(serve: Serve) -> None:
    servers = [
        serve(command, agent_source("blocking"), grace=0.1) for command, _, _ in SERVED.values()
    ]
    with ExitStack() as stack:
        for server in servers:
            puppet = stack.enter_context(socket.create_server((HOST, 0)))
            stream = stack.enter_context(Stream(server.port, {"puppet": puppet.getsockname()[1]}))
            stream.open()
            strings = stack.enter_context(puppet.accept()[0])
            assert strings.recv(5) == b"here\n"
            # The loop is blocked in this step, or in the next moment.
            server.signal(signal.SIGTERM)
        for server in servers:
            server.wait(20)
            assert "ending without the event loop" in server.log


def test_an_app_that_is_mounted_in_another_one_drains_too(serve: Serve, puppet: Puppet) -> None:
    command = (sys.executable, "-m", "uvicorn", "main:parent")
    server = serve(command, agent_source("puppet"), grace=30)
    with Stream(server.port, puppet.payload) as stream:
        stream.open()
        stream.next()
        server.signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        while server.get("/ready")[0] != 503:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        puppet.token("still here")
        assert stream.next().data["content"] == "still here"
        puppet.finish({"answer": "drained"})
        assert [frame.event for frame in stream.rest()] == ["complete"]
        assert server.wait() == 0
    assert "Traceback" not in server.log
