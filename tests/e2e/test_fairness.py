"""Nobody waits for somebody else's agent: one that computes, sync ones that block, ones that never pause."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from .frames import Stream
from .puppet import Puppet
from .server import HOST, agent_source

if TYPE_CHECKING:
    from collections.abc import Generator

    from .conftest import StartServer
    from .server import Server

# The budget is 100 ms in the middle; the bound leaves room for a machine that does other work as well.
IN_TIME_SECONDS = 1.0
BLOCKED = 64
HOT = 64


@pytest.mark.parametrize("computes_first", [True, False], ids=["computes-first", "emits-first"])
@pytest.mark.parametrize("shape", ["handle", "generate"])
def test_each_token_of_an_agent_that_computes_leaves_before_the_computation_ends(
    server: StartServer, shape: str, computes_first: bool
) -> None:
    busy = server(agent_source("busy"), handler=shape)
    with socket.create_server((HOST, 0)) as listener:
        payload = {
            "puppet": listener.getsockname()[1],
            "tokens": 3,
            "computes_first": computes_first,
        }
        with Stream(busy.port, payload) as stream:
            stream.open()
            assert stream.next().event == "started"
            agent, _ = listener.accept()
            with agent:
                for number in range(payload["tokens"]):
                    # The agent blocks the loop until it is told that this token has come.
                    assert stream.next().data["content"] == str(number)
                    agent.sendall(b"!")
            assert [frame.event for frame in stream.rest()] == ["complete"]


def test_sync_handlers_that_block_hold_up_nobody(server: StartServer, puppet: Puppet) -> None:
    strung = server(agent_source("puppet"), handler="sync_handle")
    with ExitStack() as stack:
        puppets = [stack.enter_context(Puppet()) for _ in range(BLOCKED)]
        blocked = [stack.enter_context(Stream(strung.port, one.payload)) for one in puppets]
        for stream, one in zip(blocked, puppets, strict=True):
            stream.open()
            assert stream.next().event == "started"
            one.token("and now I wait")
        _assert_others_are_served(strung, puppet)
        for stream, one in zip(blocked, puppets, strict=True):
            one.finish()
            assert stream.rest()[-1].event == "complete"


@pytest.mark.parametrize("shape", ["handle", "sync_handle"])
def test_agents_that_never_pause_hold_up_nobody(
    server: StartServer, puppet: Puppet, shape: str
) -> None:
    strung = server(agent_source("puppet"), handler=shape)
    with ExitStack() as stack:
        puppets = [stack.enter_context(Puppet()) for _ in range(HOT)]
        streams = [stack.enter_context(Stream(strung.port, one.payload)) for one in puppets]
        with _drained(streams) as received:
            for one in puppets:
                one.tell("flood", content="hot")
            _assert_others_are_served(strung, puppet)
            assert all(_grows(received, number) for number in range(HOT))
        for stream in streams:
            stream.close()
        assert {one.left() for one in puppets} <= {"CancelledError", "RunCancelled"}


def _assert_others_are_served(strung: Server, puppet: Puppet) -> None:
    """Health checks, a new stream, and each token of a paced agent are there in time."""
    for _ in range(5):
        with _in_time("health"):
            assert strung.get("/health")[0] == 200
    with Stream(strung.port, puppet.payload) as stream:
        with _in_time("started"):
            stream.open()
            assert stream.next().event == "started"
        for number in range(10):
            with _in_time(f"token {number}"):
                puppet.token(str(number))
                assert stream.next().data["content"] == str(number)
        puppet.finish()
        assert [frame.event for frame in stream.rest()] == ["complete"]


@contextmanager
def _in_time(what: str) -> Generator[None]:
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < IN_TIME_SECONDS, f"{what} took {took:.3f} s"


@contextmanager
def _drained(streams: list[Stream]) -> Generator[list[int]]:
    """Read all streams and throw away what comes; give the bytes that have come of each."""
    received = [0] * len(streams)
    stop = threading.Event()

    def drain() -> None:
        with selectors.DefaultSelector() as selector:
            for number, stream in enumerate(streams):
                selector.register(stream.connection.socket, selectors.EVENT_READ, number)
            while not stop.is_set():
                for key, _ in selector.select(timeout=0.05):
                    received[key.data] += len(streams[key.data].connection.socket.recv(1 << 20))

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield received
    finally:
        stop.set()
        thread.join()


def _grows(received: list[int], number: int) -> bool:
    """Wait until more has come of this stream: the hot ones share the server as well."""
    before = received[number]
    deadline = time.monotonic() + 5 * IN_TIME_SECONDS
    while received[number] == before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True
