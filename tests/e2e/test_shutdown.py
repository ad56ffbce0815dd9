"""SIGTERM: the server says that it is draining, lets streams end, ends those that do not, and leaves with code 0."""

from __future__ import annotations

import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from .frames import Stream
from .puppet import Puppet
from .rawhttp import Connection, request
from .server import HOST, agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

PUPPET = agent_source("puppet")
SHAPES = ["handle", "sync_handle"]
LONG_GRACE = {"shutdown_grace": 30}
SHORT_GRACE = {"shutdown_grace": 1}


def drain(server: Server, number: signal.Signals = signal.SIGTERM) -> None:
    """Send the signal; return when `/ready` says so, on a connection that is made after it."""
    server.signal(number)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        status, answer = server.get("/ready")
        if status == 503:
            assert answer["success"] is False
            assert answer["status"] == "draining"
            return
        time.sleep(0.01)
    raise AssertionError(f"the server does not say that it is draining\n{server.log}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_leaves_at_once_with_code_0(
    own_server: StartServer, number: signal.Signals
) -> None:
    server = own_server(PUPPET, expose=LONG_GRACE)
    server.signal(number)
    assert server.wait() == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("shape", SHAPES)
def test_streams_that_end_within_the_grace_are_not_cut(
    own_server: StartServer, puppet: Puppet, shape: str
) -> None:
    server = own_server(PUPPET, handler=shape, expose=LONG_GRACE)
    with Puppet() as other, Stream(server.port, puppet.payload) as stream:
        stream.open()
        stream.next()
        with Connection(server.port) as plain:
            plain.send(request("POST", "/invoke", other.payload))
            other.token("I have begun")
            drain(server)
            puppet.token("still here")
            assert stream.next().data["content"] == "still here"
            assert server.get("/health")[0] == 200
            other.finish({"answer": "plain"})
            head = plain.head()
            assert head.status == 200
            assert b'"plain"' in plain.body(head)
        puppet.finish()
        assert [frame.event for frame in stream.rest()] == ["complete"]
        assert server.wait() == 0
    assert "Traceback" not in server.log


def test_a_server_that_drains_starts_no_run(own_server: StartServer, puppet: Puppet) -> None:
    server = own_server(PUPPET, expose=LONG_GRACE)
    with Stream(server.port, puppet.payload) as stream:
        stream.open()
        stream.next()
        drain(server)
        for path in ("/invoke", "/invoke/stream"):
            with Connection(server.port) as late:
                late.send(request("POST", path, {}))
                head = late.head()
                assert head.status == 503
                assert b'"SHUTTING_DOWN"' in late.body(head)
        puppet.finish({})
        assert stream.rest()[-1].event == "complete"
        assert server.wait() == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_streams_that_outlast_the_grace_end_with_an_error_and_a_proper_end_of_body(
    own_server: StartServer, shape: str
) -> None:
    server = own_server(PUPPET, handler=shape, expose=SHORT_GRACE)
    with Puppet() as first, Puppet() as second:
        streams = [Stream(server.port, one.payload) for one in (first, second)]
        for stream, one in zip(streams, (first, second), strict=True):
            stream.open()
            stream.next()
            one.token("one")
            stream.next()
        drain(server)
        for stream in streams:
            with stream:
                [end] = stream.rest()
                assert (end.event, end.data["code"]) == ("error", "SHUTTING_DOWN")
        # A sync agent that blocks keeps its thread; the server does not wait for it.
        assert server.wait() == 0
    assert "Traceback" not in server.log


def test_an_agent_that_ignores_its_cancellation_does_not_keep_the_server(
    own_server: StartServer,
) -> None:
    server = own_server(agent_source("stubborn"), expose=SHORT_GRACE)
    with Stream(server.port, {}) as stream:
        stream.open()
        stream.next()
        server.signal(signal.SIGTERM)
        [end] = stream.rest()
        assert (end.event, end.data["code"]) == ("error", "SHUTTING_DOWN")
        assert server.wait() == 0
    assert "Traceback" not in server.log


def test_a_caller_that_reads_nothing_does_not_keep_the_server(
    own_server: StartServer, puppet: Puppet
) -> None:
    server = own_server(PUPPET, expose=SHORT_GRACE)
    with Stream(server.port, puppet.payload, receive_buffer_bytes=4096) as stream:
        stream.open()
        puppet.tell("flood", content="x" * 1000)
        stream.next()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("agent", ["puppet", "stubborn"])
def test_a_second_signal_ends_the_server_at_once(
    own_server: StartServer, puppet: Puppet, agent: str
) -> None:
    server = own_server(agent_source(agent), expose=LONG_GRACE)
    with Stream(server.port, puppet.payload) as stream:
        stream.open()
        stream.next()
        drain(server)
        server.signal(signal.SIGTERM)
        server.wait(5)
    assert "Traceback" not in server.log


def test_further_signals_end_even_a_server_whose_agent_blocks_the_loop(
    own_server: StartServer,
) -> None:
    server = own_server(agent_source("busy"), expose=LONG_GRACE)
    with socket.create_server((HOST, 0)) as listener:
        payload = {"puppet": listener.getsockname()[1], "tokens": 1, "computes_first": True}
        with Stream(server.port, payload) as stream:
            stream.open()
            agent, _ = listener.accept()
            with agent:
                while stream.next().event != "token":
                    pass
                # From here on the agent waits for a byte that does not come, on the loop's own thread. Two
                # signals at the same moment would be one.
                deadline = time.monotonic() + 5
                while server.process.poll() is None and time.monotonic() < deadline:
                    server.signal(signal.SIGTERM)
                    time.sleep(0.05)
                assert server.process.poll() is not None
