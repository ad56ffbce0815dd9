"""`POST /invoke/stream` as bytes on a socket: heads, frames, framing, the connection, and curl."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from .agents.greeter import TOKENS
from .frames import Frame, Stream, frames, last, parse_all
from .puppet import Puppet
from .rawhttp import Connection, request
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

QUERY = {"query": "explain quantum computing"}
ANSWER = {**QUERY, "answer": "".join(TOKENS)}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
SHAPES = ["handle", "generate", "sync_handle", "sync_generate"]


def ask(connection: Connection, **options: Any) -> None:
    connection.send(request("POST", "/invoke/stream", QUERY, **options))


# What is written


def test_the_head_is_what_the_seed_says_byte_for_byte(greeter: Server) -> None:
    with Stream(greeter.port, QUERY) as stream:
        head = stream.open()
        assert head.status_line == b"HTTP/1.1 200 OK"
        assert head.values(b"content-type") == [b"text/event-stream"]
        assert head.values(b"cache-control") == [b"no-cache"]
        assert head.values(b"connection") == [b"keep-alive"]
        assert head.values(b"x-accel-buffering") == [b"no"]
        assert head.values(b"transfer-encoding") == [b"chunked"]
        assert head.values(b"content-length") == []
        assert head.values(b"content-encoding") == []
        assert len(head.values(b"x-run-id")) == 1
        assert len(head.values(b"x-request-id")) == 1


def test_frames_are_what_the_contract_says_byte_for_byte(greeter: Server) -> None:
    with Stream(greeter.port, QUERY) as stream:
        run_id = stream.open().values(b"x-run-id")[0].decode()
        seen = stream.rest()
    assert [frame.event for frame in seen] == ["started", *["token"] * len(TOKENS), "complete"]
    for sequence, frame in enumerate(seen):
        _assert_common_fields(frame, run_id, sequence)
    started, *tokens, complete = seen
    assert started.data["agent"] == started.data["agent_name"] == "e2e"
    assert started.data["framework"] == "custom"
    assert "attempt" not in started.data
    assert [frame.data["content"] for frame in tokens] == TOKENS
    assert all(frame.data["finish_reason"] is None for frame in tokens)
    assert complete.data["output"] == ANSWER
    assert complete.data["latency"] == complete.data["latency_seconds"] >= 0
    assert complete.data["metadata"]["run_id"] == run_id


def _assert_common_fields(frame: Frame, run_id: str, sequence: int) -> None:
    assert frame.id == frame.data["id"] == f"{run_id}:{sequence}"
    assert frame.data["type"] == frame.event
    assert frame.data["run_id"] == run_id
    assert frame.data["sequence"] == sequence
    assert TIMESTAMP.fullmatch(frame.data["timestamp"])


def test_a_chunk_never_ends_inside_a_frame(greeter: Server) -> None:
    with Connection(greeter.port) as connection:
        ask(connection)
        connection.head()
        for chunk in iter(connection.chunk, b""):
            assert parse_all(chunk)


def test_started_is_on_the_wire_before_the_agent_does_anything(
    strung: Server, puppet: Puppet
) -> None:
    with Stream(strung.port, puppet.payload) as stream:
        stream.open()
        assert stream.next().event == "started"
        puppet.finish({})


@pytest.mark.parametrize("shape", SHAPES)
def test_each_token_is_on_the_wire_before_the_agent_makes_the_next(
    server: StartServer, puppet: Puppet, shape: str
) -> None:
    with Stream(server(agent_source("puppet"), handler=shape).port, puppet.payload) as stream:
        stream.open()
        stream.next()
        for content in ("one", "two", "three"):
            puppet.token(content)
            assert stream.next().data["content"] == content
        puppet.finish()
        assert [frame.data["output"] for frame in stream.rest()] == [{"content": "onetwothree"}]


HEARTBEATS = {"heartbeat_interval": 1}


def test_a_silent_stream_gets_a_comment_line_where_heartbeat_events_are_not_allowed(
    server: StartServer, puppet: Puppet
) -> None:
    strung = server(agent_source("puppet"), streaming={"events": {"allowed": "chat", **HEARTBEATS}})
    with Connection(strung.port) as connection:
        connection.send(request("POST", "/invoke/stream", puppet.payload))
        connection.head()
        assert connection.chunk().startswith(b"event: started\n")
        assert connection.chunk() == b":hb\n"
        puppet.token("one")
        assert connection.chunk().startswith(b"event: token\n")
        puppet.finish()
        assert last(b"".join(iter(connection.chunk, b""))).event == "complete"


def test_a_silent_stream_gets_a_heartbeat_event_without_id_where_it_is_allowed(
    server: StartServer, puppet: Puppet
) -> None:
    strung = server(agent_source("puppet"), streaming={"events": HEARTBEATS})
    with Stream(strung.port, puppet.payload) as stream:
        stream.open()
        started = stream.next()
        heartbeat = stream.next()
        assert (heartbeat.event, heartbeat.id) == ("heartbeat", None)
        assert heartbeat.data.keys() == {"type", "run_id", "timestamp"}
        assert heartbeat.data["run_id"] == started.data["run_id"]
        puppet.token("one")
        token = stream.next()
        assert (token.event, token.data["sequence"]) == ("token", 1)
        puppet.finish()
        assert stream.rest()[-1].event == "complete"


def test_a_heartbeat_of_the_agent_goes_out_at_once_and_takes_no_sequence(
    strung: Server, puppet: Puppet
) -> None:
    with Stream(strung.port, puppet.payload) as stream:
        stream.open()
        stream.next()
        puppet.do("heartbeat")
        assert stream.next().event == "heartbeat"
        puppet.token("one")
        assert stream.next().data["sequence"] == 1
        puppet.finish()
        assert stream.rest()[-1].event == "complete"


# The connection


def test_the_connection_is_used_again_after_a_stream(greeter: Server) -> None:
    with Connection(greeter.port) as connection:
        run_ids: set[bytes] = set()
        for _ in range(3):
            ask(connection)
            head = connection.head()
            body = connection.body(head)
            assert last(body).event == "complete"
            run_ids.update(head.values(b"x-run-id"))
        assert len(run_ids) == 3


def test_a_refused_stream_leaves_the_connection_usable(greeter: Server) -> None:
    with Connection(greeter.port) as connection:
        connection.send(
            b"POST /invoke/stream HTTP/1.1\r\nHost: dockrion.test\r\nContent-Length: 1\r\n\r\n{"
        )
        head = connection.head()
        assert head.status == 400
        assert b"VALIDATION_ERROR" in connection.body(head)
        ask(connection)
        assert last(connection.body(connection.head())).event == "complete"


def test_a_caller_that_asks_for_close_gets_close_and_the_end(greeter: Server) -> None:
    with Connection(greeter.port) as connection:
        ask(connection, headers=["Connection: close"])
        head = connection.head()
        assert head.values(b"connection") == [b"close"]
        assert last(connection.body(head)).data["output"] == ANSWER
        assert connection.at_eof()


def test_an_http_1_0_caller_gets_a_body_that_the_end_of_the_connection_ends(
    greeter: Server,
) -> None:
    with Connection(greeter.port) as connection:
        ask(connection, version="1.0")
        head = connection.head()
        assert head.status == 200
        assert head.values(b"content-type") == [b"text/event-stream"]
        assert head.values(b"transfer-encoding") == []
        assert head.values(b"content-length") == []
        assert head.values(b"connection") in ([], [b"close"])
        seen = list(frames(connection.piece))
        assert seen[-1].data["output"] == ANSWER
        assert connection.at_eof()


def test_an_http_1_0_caller_gets_each_token_at_once(strung: Server, puppet: Puppet) -> None:
    with Stream(strung.port, puppet.payload, version="1.0") as stream:
        stream.open()
        stream.next()
        for content in ("one", "two"):
            puppet.token(content)
            assert stream.next().data["content"] == content
        puppet.finish()
        assert stream.rest()[-1].event == "complete"


def test_pipelined_requests_are_answered_in_order(strung: Server) -> None:
    with Puppet() as first, Puppet() as second, Connection(strung.port) as connection:
        connection.send(
            request("POST", "/invoke/stream", first.payload)
            + request("GET", "/health")
            + request("POST", "/invoke/stream", second.payload)
        )
        head = connection.head()
        first.finish({"answer": "first"})
        assert last(connection.body(head)).data["output"] == {"answer": "first"}
        assert b'"ok"' in connection.body(connection.head())
        head = connection.head()
        second.finish({"answer": "second"})
        assert last(connection.body(head)).data["output"] == {"answer": "second"}


def test_a_caller_that_expects_100_continue_gets_it_before_it_sends_the_body(
    greeter: Server,
) -> None:
    whole = request("POST", "/invoke/stream", QUERY, headers=["Expect: 100-continue"])
    head, body = whole.split(b"\r\n\r\n")
    with Connection(greeter.port) as connection:
        connection.send(head + b"\r\n\r\n")
        assert connection.head().status_line == b"HTTP/1.1 100 Continue"
        connection.send(body)
        assert last(connection.body(connection.head())).data["output"] == ANSWER


def test_a_request_body_in_chunks_is_understood(greeter: Server) -> None:
    with Connection(greeter.port) as connection:
        connection.send(
            b"POST /invoke/stream HTTP/1.1\r\nHost: dockrion.test\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
            b'9\r\n{"query":\r\n1d\r\n "explain quantum computing"}\r\n0\r\n\r\n'
        )
        assert last(connection.body(connection.head())).data["output"] == ANSWER


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET"])
def test_another_method_is_refused_and_the_connection_stays_in_step(
    greeter: Server, method: str
) -> None:
    with Connection(greeter.port) as connection:
        connection.send(request(method, "/invoke/stream"))
        head = connection.head()
        assert head.status == 405
        assert b"POST" in head.values(b"allow")[0]
        if method != "HEAD":
            assert b"METHOD_NOT_ALLOWED" in connection.body(head)
        ask(connection)
        assert last(connection.body(connection.head())).event == "complete"


def test_a_head_of_health_has_no_body(greeter: Server) -> None:
    with Connection(greeter.port) as connection:
        connection.send(request("HEAD", "/health") + request("GET", "/health"))
        assert connection.head().status in (200, 405)
        assert b'"ok"' in connection.body(connection.head())


# curl


def test_the_curl_line_of_the_seed_page_shows_the_frames(greeter: Server, curl: str) -> None:
    with subprocess.Popen(
        _curl_line(curl, greeter.port, '{"query": "explain quantum computing"}'),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
    assert process.returncode == 0
    seen = parse_all(printed)
    assert [frame.event for frame in seen] == ["started", *["token"] * len(TOKENS), "complete"]
    assert seen[-1].data["output"] == ANSWER


def test_curl_shows_each_token_at_once(strung: Server, puppet: Puppet, curl: str) -> None:
    body = json.dumps(puppet.payload)
    with subprocess.Popen(
        _curl_line(curl, strung.port, body), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        output = process.stdout.fileno()
        printed = frames(lambda: os.read(output, 65536))
        assert next(printed).event == "started"
        for content in ("one", "two"):
            puppet.token(content)
            assert next(printed).data["content"] == content
        puppet.finish()
        assert [frame.event for frame in printed] == ["complete"]
    assert process.returncode == 0


def _curl_line(curl: str, port: int, body: str) -> list[str]:
    """The command of the seed page, word for word but for the port and the body."""
    return [
        *(curl, "-N", "-X", "POST", f"http://localhost:{port}/invoke/stream"),
        *("-H", "Content-Type: application/json"),
        *("-H", "X-API-Key: your-key"),
        *("-d", body),
    ]
