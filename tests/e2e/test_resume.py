"""Streams that are cut on their way and resumed with real connections, by a client of others and by hand."""

from __future__ import annotations

import json
import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from .cutting import cutting
from .frames import Stream, parse_all
from .puppet import Puppet
from .rawhttp import Connection, request
from .readers import Job, read_resuming_with_fetch_event_source
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

CONTINUE = {"connection": {"on_disconnect": "continue"}}
WINDOW = {"connection": {"resume_window": 30}}
SEED = 20250101
JOBS = 24
TOKENS = 40


@pytest.mark.node
@pytest.mark.parametrize("streaming", [CONTINUE, WINDOW], ids=["continue", "window"])
def test_a_client_that_sends_its_post_again_after_each_cut_sees_the_stream_and_the_agent_runs_once(
    server: StartServer, streaming: dict[str, Any]
) -> None:
    one = server(agent_source("counting"), streaming=streaming)
    chance = random.Random(SEED)
    with ExitStack() as stack:
        jobs: list[Job] = []
        for number in range(JOBS):
            cuts = [chance.randrange(2500) for _ in range(chance.randrange(1, 6))]
            url = stack.enter_context(cutting(one.port, cuts))
            payload = {"job": f"{streaming}{number}", "tokens": TOKENS}
            jobs.append(Job(url + "/invoke/stream", payload))
        results = read_resuming_with_fetch_event_source(jobs)
    for events in results:
        run_id = json.loads(events[0].data)["run_id"]
        assert [event.id for event in events] == [f"{run_id}:{n}" for n in range(TOKENS + 2)]
        assert [event.event for event in events] == ["started", *["token"] * TOKENS, "complete"]
        tokens = "".join(json.loads(event.data)["content"] for event in events[1:-1])
        assert json.loads(events[-1].data)["output"] == {"content": tokens}
    # The server may have been there before this test.
    ours = {job.body["job"] for job in jobs}
    runs = [run for run in (one.folder / "runs").read_text().splitlines() if run in ours]
    assert sorted(runs) == sorted(ours)


def resume(connection: Connection, last_event_id: str, payload: Any = None) -> tuple[int, bytes]:
    headers = [f"Last-Event-ID: {last_event_id}"]
    connection.send(request("POST", "/invoke/stream", payload, headers=headers))
    head = connection.head()
    if head.status == 204:
        assert not head.is_chunked
        return 204, b""
    return head.status, connection.body(head)


def test_every_answer_leaves_the_connection_to_the_next_request(server: StartServer) -> None:
    one = server(agent_source("greeter"), streaming=CONTINUE)
    payload = {"query": "x" * 300_000}
    with Connection(one.port) as connection:
        connection.send(request("POST", "/invoke/stream?run_id=whole", payload))
        head = connection.head()
        body = connection.body(head)
        frames = parse_all(body)
        last = len(frames) - 1
        assert resume(connection, "whole:0", payload) == (200, body[len(frames[0].raw) :])
        assert resume(connection, f"whole:{last}", payload) == (204, b"")
        assert resume(connection, f"whole:{last - 1}") == (200, frames[-1].raw)
        assert resume(connection, f"whole:{last + 1}", payload)[0] == 410
        assert resume(connection, "nobodys:1", payload)[0] == 410
        assert resume(connection, f"whole:{last}")[0] == 204
        connection.send(request("GET", "/health"))
        assert connection.head().status == 200


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("shape", ["handle", "sync_generate"])
def test_a_caller_who_comes_back_in_the_window_takes_over(
    server: StartServer, puppet: Puppet, shape: str, reset: bool
) -> None:
    one: Server = server(agent_source("puppet"), handler=shape, streaming=WINDOW)
    stream = Stream(one.port, puppet.payload)
    stream.open()
    run_id = stream.next().data["run_id"]
    puppet.token("one")
    stream.next()
    (stream.connection.reset if reset else stream.close)()
    puppet.token("two")
    with Stream(one.port, {}, headers=[f"Last-Event-ID: {run_id}:1"]) as again:
        again.open()
        assert again.next().data["content"] == "two"
        puppet.token("three")
        assert again.next().data["content"] == "three"
        puppet.finish()
        assert [frame.event for frame in again.rest()] == ["complete"]


def test_a_window_that_passes_ends_the_run(server: StartServer, puppet: Puppet) -> None:
    one = server(agent_source("puppet"), streaming={"connection": {"resume_window": 0.2}})
    stream = Stream(one.port, puppet.payload)
    stream.open()
    stream.next()
    puppet.token("one")
    stream.close()
    assert puppet.left() == "CancelledError"
