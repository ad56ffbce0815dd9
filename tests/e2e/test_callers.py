"""Callers of every temper: they leave, half-close, dawdle, or do not read at all."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from .agents.greeter import TOKENS
from .frames import Stream, last
from .puppet import Puppet
from .rawhttp import Connection, request
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

QUERY = {"query": "explain quantum computing"}
ANSWER = {**QUERY, "answer": "".join(TOKENS)}
SHAPES = ["handle", "generate", "sync_handle", "sync_generate"]


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_caller_that_leaves_mid_stream_ends_the_run_within_a_second(
    server: StartServer, puppet: Puppet, shape: str, reset: bool
) -> None:
    stream = Stream(server(agent_source("puppet"), handler=shape).port, puppet.payload)
    stream.open()
    stream.next()
    puppet.token("one")
    stream.next()
    (stream.connection.reset if reset else stream.close)()
    if shape.startswith("sync"):
        assert puppet.leaves_at_an_emit(within=1.0) in ("RunCancelled", "GeneratorExit")
    else:
        assert puppet.left(within=1.0) in ("CancelledError", "GeneratorExit")


def test_a_caller_that_leaves_while_tokens_pour_ends_the_run_within_a_second(
    strung: Server, puppet: Puppet
) -> None:
    stream = Stream(strung.port, puppet.payload, receive_buffer_bytes=4096)
    stream.open()
    puppet.tell("flood", content="x" * 100)
    for _ in range(100):
        stream.next()
    stream.close()
    assert puppet.left(within=1.0) in ("CancelledError", "RunCancelled")


@pytest.mark.parametrize("shape", ["handle", "sync_handle"])
def test_a_caller_that_leaves_a_plain_invoke_ends_the_run_within_a_second(
    server: StartServer, puppet: Puppet, shape: str
) -> None:
    with Connection(server(agent_source("puppet"), handler=shape).port) as connection:
        connection.send(request("POST", "/invoke", puppet.payload))
        puppet.token("one")
    if shape.startswith("sync"):
        assert puppet.leaves_at_an_emit(within=1.0) == "RunCancelled"
    else:
        assert puppet.left(within=1.0) == "CancelledError"


def test_a_caller_that_closes_only_its_sending_half_is_served_or_counts_as_gone(
    strung: Server, puppet: Puppet
) -> None:
    with Stream(strung.port, puppet.payload) as stream:
        stream.open()
        stream.next()
        puppet.token("one")
        stream.next()
        stream.connection.socket.shutdown(socket.SHUT_WR)
        if stream.connection.socket.recv(1) == b"":
            assert puppet.left(within=1.0) == "CancelledError"
        else:
            puppet.finish({})
            assert stream.rest()[-1].event == "complete"


def test_a_caller_that_reads_one_byte_at_a_time_gets_the_same_stream(greeter: Server) -> None:
    with Connection(greeter.port, receive_buffer_bytes=1024) as connection:
        connection.read_size = 1
        connection.send(request("POST", "/invoke/stream", QUERY))
        assert last(connection.body(connection.head())).data["output"] == ANSWER


def test_a_caller_that_sends_one_byte_at_a_time_is_understood(greeter: Server) -> None:
    with Connection(greeter.port) as connection:
        for byte in request("POST", "/invoke/stream", QUERY):
            connection.send(bytes([byte]))
        assert last(connection.body(connection.head())).data["output"] == ANSWER


@pytest.mark.parametrize("shape", ["handle", "sync_handle"])
def test_ten_callers_that_do_not_read_do_not_hold_up_one_that_does(
    server: StartServer, puppet: Puppet, shape: str
) -> None:
    port = server(agent_source("puppet"), handler=shape).port
    with ExitStack() as stack:
        slow = [stack.enter_context(Puppet()) for _ in range(10)]
        streams = [
            stack.enter_context(Stream(port, one.payload, receive_buffer_bytes=4096))
            for one in slow
        ]
        for one in slow:
            one.tell("flood", content="x" * 1000)
        with Stream(port, puppet.payload) as quick:
            quick.open()
            quick.next()
            for number in range(50):
                puppet.token(str(number))
                assert quick.next().data["content"] == str(number)
            puppet.finish()
            assert quick.rest()[-1].event == "complete"
        for stream in streams:
            stream.close()
        assert {one.left(within=1.0) for one in slow} <= {"CancelledError", "RunCancelled"}
