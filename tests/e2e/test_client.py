"""The Python client against real servers: what it gives out, over cuts, kills, restarts and replicas."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from dockrion import AsyncClient, AuthError, Client, GoneError, ValidationError
from dockrion.client import Complete, Interrupt, StreamEvent, Token

from .cutting import cutting
from .puppet import Puppet
from .server import Server, agent_source

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import StartServer

CONTINUE = {"connection": {"on_disconnect": "continue"}}
WINDOW = {"connection": {"resume_window": 30}}
SEED = 20250101
TOKENS = 40


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.data.content for event in events if isinstance(event.data, Token))


def check_whole(events: list[StreamEvent]) -> None:
    assert [event.sequence for event in events] == list(range(len(events)))
    assert [event.is_terminal for event in events] == [False] * (len(events) - 1) + [True]


def test_the_same_run_in_every_way(greeter: Server) -> None:
    with Client(greeter.url) as client:
        invoked = client.invoke({"query": "é"})
        with client.stream({"query": "é"}, run_id="chosen", thread_id="t") as events:
            seen = list(events)
        created = client.runs.create({"query": "é"})
        with client.runs.events(created.run_id) as followed:
            kept = list(followed)
        assert client.runs.get(created.run_id).result() == invoked.result()
        assert [run.run_id for run in client.runs.list(limit=1).runs] == [created.run_id]
    check_whole(seen)
    check_whole(kept)
    assert [event.data for event in seen[:-1]] == [event.data for event in kept[:-1]]
    assert events.run_id == "chosen"
    assert events.result() == followed.result() == invoked.result()
    assert text_of(seen) == invoked.output["answer"]
    assert isinstance(seen[-1].data, Complete)
    assert seen[-1].data.metadata["agent"] == "e2e"


async def test_many_streams_of_one_async_client(greeter: Server) -> None:
    async with AsyncClient(greeter.url) as client:

        async def query(number: int) -> Any:
            async with client.stream({"query": number}) as events:
                return (await events.result())["query"]

        assert await asyncio.gather(*map(query, range(50))) == list(range(50))


@pytest.mark.parametrize("streaming", [CONTINUE, WINDOW], ids=["continue", "window"])
def test_a_stream_that_is_cut_again_and_again_is_whole_and_the_agent_runs_once(
    server: StartServer, streaming: dict[str, Any]
) -> None:
    one = server(agent_source("counting"), streaming=streaming)
    chance = random.Random(SEED)
    for number in range(8):
        cuts = [chance.randrange(2500) for _ in range(chance.randrange(1, 6))]
        payload = {"job": f"client {streaming} {number}", "tokens": TOKENS}
        with (
            cutting(one.port, cuts) as url,
            Client(url) as client,
            client.stream(payload) as events,
        ):
            seen = list(events)
        check_whole(seen)
        assert events.result() == {"content": text_of(seen)}
    runs = (one.folder / "runs").read_text().splitlines()
    jobs = [job for job in runs if job.startswith(f"client {streaming}")]
    assert len(jobs) == len(set(jobs)) == 8


async def test_a_subscription_that_is_cut_again_and_again_is_whole(server: StartServer) -> None:
    one = server(agent_source("counting"), streaming=CONTINUE)
    chance = random.Random(SEED)
    for number in range(8):
        cuts = [chance.randrange(2500) for _ in range(chance.randrange(1, 6))]
        with cutting(one.port, cuts) as url:
            async with AsyncClient(url) as client:
                run = await client.runs.create({"job": f"async {number}", "tokens": TOKENS})
                async with client.runs.events(run.run_id) as events:
                    seen = [event async for event in events]
        check_whole(seen)


def test_a_stream_that_nobody_holds_is_gone_when_it_is_cut(greeter: Server) -> None:
    with cutting(greeter.port, [0]) as url, Client(url) as client:
        with client.stream({"query": "x"}) as events:
            assert next(events).type == "started"
            with pytest.raises(GoneError, match="was cut after event 0, and the server does not"):
                next(events)


def test_leaving_a_stream_ends_its_run(strung: Server, puppet: Puppet) -> None:
    with Client(strung.url) as client, client.stream(puppet.payload) as events:
        assert next(events).type == "started"
        puppet.token("one")
        assert next(events).data == Token("one")
        puppet.tell("token", content="two")
    assert puppet.left(within=3) == "CancelledError"


async def test_leaving_an_async_stream_ends_its_run(strung: Server, puppet: Puppet) -> None:
    async with AsyncClient(strung.url) as client, client.stream(puppet.payload) as events:
        assert (await anext(events)).type == "started"
        await asyncio.to_thread(puppet.token, "one")
    assert await asyncio.to_thread(puppet.left, within=3) == "CancelledError"


@pytest.mark.parametrize("way", ["direct", "subscription"])
def test_leaving_a_run_that_goes_on_can_cancel_it(
    server: StartServer, puppet: Puppet, way: str
) -> None:
    one = server(agent_source("puppet"), streaming=CONTINUE)
    with Client(one.url) as client:
        if way == "direct":
            stream = client.stream(puppet.payload, cancel_on_leave=True)
        else:
            run = client.runs.create(puppet.payload)
            stream = client.runs.events(run.run_id, cancel_on_leave=True)
        with stream as events:
            assert next(events).type == "started"
            puppet.token("one")
        assert puppet.left(within=3) == "CancelledError"
        assert client.runs.get(str(events.run_id)).status == "CANCELLED"


@pytest.mark.parametrize("how", ["scope", "task"])
async def test_a_reader_that_is_cancelled_can_cancel_its_run(
    server: StartServer, puppet: Puppet, how: str
) -> None:
    one = server(agent_source("puppet"), streaming=CONTINUE)
    read = asyncio.Event()
    async with AsyncClient(one.url) as client:

        async def follow() -> None:
            async with client.stream(puppet.payload, cancel_on_leave=True) as events:
                async for _ in events:
                    read.set()

        async with anyio.create_task_group() as tasks:
            if how == "scope":
                tasks.start_soon(follow)
                await read.wait()
                tasks.cancel_scope.cancel()
            else:
                task = asyncio.create_task(follow())
                await read.wait()
                task.cancel()
                await asyncio.wait({task})
        assert await asyncio.to_thread(puppet.left, within=3) == "CancelledError"


@pytest.mark.parametrize("streaming", [{}, CONTINUE], ids=["unkept", "kept"])
def test_a_question_is_answered_and_the_stream_goes_on(
    server: StartServer, puppet: Puppet, streaming: dict[str, Any]
) -> None:
    one = server(agent_source("puppet"), streaming=streaming)
    with Client(one.url) as client:
        with client.stream(puppet.payload) as events:
            assert next(events).type == "started"
            puppet.tell("ask", question={"send": "it?"})
            [asked] = list(events)
        assert isinstance(asked.data, Interrupt)
        assert asked.data.value == {"send": "it?"}
        client.runs.resume(str(events.run_id), "yes", interrupt_id=asked.data.interrupt_id)
        puppet.done("ask")
        puppet.tell("finish", output={"sent": True})
        with client.stream(last_event_id=events.last_event_id) as rest:
            assert rest.result() == {"sent": True}


def test_errors_of_a_real_server(server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "right")
    query = {"properties": {"query": {"type": "string"}}, "required": ["query"]}
    one = server(
        agent_source("greeter"),
        auth={"mode": "api_key"},
        io_schema={"input": query, "strict": False},
    )
    with Client(one.url) as client, pytest.raises(AuthError, match="API key required"):
        client.invoke({"query": "x"})
    with Client(one.url, api_key="wrong") as client, pytest.raises(AuthError, match="Invalid"):
        client.stream({"query": "x"}).__enter__()
    for good in (Client(one.url, api_key="right"), Client(one.url, token="right")):
        with good as client, pytest.raises(ValidationError) as caught:
            client.invoke({})
        assert caught.value.details[0]["type"] == "required"


def shared(folder: Path, *, worker: bool) -> dict[str, Any]:
    return {
        "streaming": {
            "backend": "sqlite",
            "sqlite": {"path": str(folder / "runs.db")},
            "worker": worker,
        },
        "expose": {"shutdown_grace": 0.2},
    }


def test_a_server_that_is_killed_and_started_again_costs_no_event(
    own_server: StartServer, tmp_path: Path, puppet: Puppet
) -> None:
    own_server(agent_source("puppet"), **shared(tmp_path, worker=True))
    front = own_server(agent_source("puppet"), **shared(tmp_path, worker=False))
    with Client(front.url) as client:
        run = client.runs.create(puppet.payload)
        with client.runs.events(run.run_id) as events:
            seen = [next(events)]
            puppet.token("one")
            seen.append(next(events))
            front.kill()
            puppet.token("two")
            again = threading.Thread(target=front.start_again)
            again.start()
            puppet.finish({"x": 1})
            seen += list(events)
            again.join(30)
    check_whole(seen)
    assert text_of(seen) == "onetwo"
    assert events.result() == {"x": 1}


async def test_a_replica_that_shuts_down_leaves_its_followers_to_another(
    own_server: StartServer, tmp_path: Path, puppet: Puppet
) -> None:
    worker = own_server(agent_source("puppet"), **shared(tmp_path, worker=True))
    front = own_server(agent_source("puppet"), **shared(tmp_path, worker=False))
    with ExitStack() as stack:
        # As a load balancer does: the first connection to one, the next to the other.
        url = stack.enter_context(cutting(front.port, (), worker.port))
        async with AsyncClient(url) as client:
            run = await client.runs.create(puppet.payload)
            async with client.runs.events(run.run_id) as events:
                seen = [await anext(events)]
                await asyncio.to_thread(puppet.token, "one")
                seen.append(await anext(events))
                front.signal(signal.SIGTERM)
                assert await asyncio.to_thread(front.wait) == 0
                await asyncio.to_thread(puppet.token, "two")
                await asyncio.to_thread(puppet.finish, {"x": 1})
                seen += [event async for event in events]
    check_whole(seen)
    assert text_of(seen) == "onetwo"
