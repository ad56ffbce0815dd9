"""Real sockets: deadlines, silence, slow servers, connections that are used again, and readers that leave."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import anyio
import pytest

from dockrion.client import AsyncClient, Client
from dockrion.errors import RunTimeoutError, ServiceUnavailableError
from dockrion.events.model import Complete, Started, Token
from tests.client.peer import Answering, Peer
from tests.client.recording import LAST, RUN, Recording, playing, streamed
from tests.client.scripted import frames

pytestmark = pytest.mark.usefixtures("at_once")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nx-run-id: r-1\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM = HEAD % b"text/event-stream"
DONE = Complete({"x": 1}, 0.1, {})


@pytest.fixture
def peer() -> Generator[Peer]:
    one = Peer()
    yield one
    one.close()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def dripping(head: bytes) -> Answering:
    """A byte now and then, for ever: no pause is long."""

    def drip(client: socket.socket) -> None:
        client.sendall(head)
        while True:
            client.sendall(chunk(b":"))
            time.sleep(0.02)

    return drip


def elapsed(since: float) -> float:
    return time.monotonic() - since


@pytest.mark.parametrize("head", [STREAM, HEAD % b"application/json"], ids=["stream", "invoke"])
def test_a_deadline_is_for_the_whole_call(peer: Peer, head: bytes) -> None:
    peer.answering = dripping(head)
    began = time.monotonic()

    def call(client: Client) -> None:
        if head == STREAM:
            with client.stream({}, timeout=0.3) as events:
                list(events)
        else:
            client.invoke({}, timeout=0.3)

    with Client(peer.url) as client, pytest.raises(RunTimeoutError, match=r"within 0\.3 s"):
        call(client)
    assert 0.25 < elapsed(began) < 5
    assert peer.left.wait(10)


@pytest.mark.parametrize("head", [STREAM, HEAD % b"application/json"], ids=["stream", "invoke"])
async def test_a_deadline_is_for_the_whole_call_async(peer: Peer, head: bytes) -> None:
    peer.answering = dripping(head)
    began = time.monotonic()

    async def call(client: AsyncClient) -> None:
        if head == STREAM:
            async with client.stream({}) as events:
                await events.result()
        else:
            await client.invoke({})

    async with AsyncClient(peer.url, timeout=0.3) as client:
        with pytest.raises(RunTimeoutError, match=r"within 0\.3 s"):
            await call(client)
    assert 0.25 < elapsed(began) < 5
    assert await asyncio.to_thread(peer.left.wait, 10)


PLAIN_BODY = b'{"success": true, "output": 1, "metadata": {}}'
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(PLAIN_BODY), PLAIN_BODY)


def dripping_head(client: socket.socket) -> None:
    """A head that comes byte by byte is never silent for as long as a time-out of httpx2."""
    for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1000:
        client.sendall(bytes([byte]))
        time.sleep(0.02)


@pytest.mark.parametrize("is_first", [True, False], ids=["new", "used before"])
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.invoke({}, timeout=0.5),
        lambda client: client.stream({}, timeout=0.5).__enter__(),
    ],
    ids=["invoke", "stream"],
)
def test_a_deadline_is_for_the_head_of_an_answer_too(
    peer: Peer, is_first: bool, call: Callable[[Client], Any]
) -> None:
    with Client(peer.url) as client:
        if not is_first:
            # Without a deadline of its own.
            peer.answering = lambda one: one.sendall(PLAIN)
            client.invoke({})
        peer.answering = dripping_head
        began = time.monotonic()
        with pytest.raises(RunTimeoutError, match=r"within 0\.5 s"):
            call(client)
        assert 0.45 < elapsed(began) < 5
        assert peer.connections == 1
    assert peer.left.wait(10)


def test_a_deadline_holds_where_there_is_always_more_to_read(peer: Peer) -> None:
    def flood(client: socket.socket) -> None:
        client.sendall(STREAM)
        while True:
            client.sendall(chunk(b":\n" * 1000))

    peer.answering = flood
    with (
        Client(peer.url) as client,
        client.stream({}, timeout=0.3) as events,
        pytest.raises(RunTimeoutError),
    ):
        next(events)


def test_deadlines_of_threads_that_share_a_client_are_their_own(peer: Peer) -> None:
    """And need no thread each: they are looked at where one waits."""
    threads = threading.active_count()
    seen: list[int] = []

    def late(client: socket.socket) -> None:
        seen.append(threading.active_count())
        time.sleep(0.3)
        client.sendall(PLAIN)

    peer.answering = late
    outcomes: dict[float, Any] = {}

    def call(client: Client, timeout: float) -> None:
        try:
            outcomes[timeout] = client.invoke({}, timeout=timeout).output
        except RunTimeoutError as exc:
            outcomes[timeout] = exc.code

    with Client(peer.url) as client:
        callers = [
            threading.Thread(target=call, args=(client, timeout)) for timeout in (0.05, 20.0)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(10)
    assert outcomes == {0.05: "TIMEOUT", 20.0: 1}
    # The callers, and the peer's for each connection.
    assert max(seen) <= threads + 4


def test_the_watch_over_a_head_is_over_with_its_answer(peer: Peer) -> None:
    """Else it would cut whoever uses the connection next."""

    def late(client: socket.socket) -> None:
        time.sleep(0.6)
        client.sendall(PLAIN)

    with Client(peer.url) as client:
        peer.answering = lambda one: one.sendall(PLAIN)
        assert client.invoke({}, timeout=0.4).output == 1
        peer.answering = late
        assert client.invoke({}).output == 1
    assert peer.connections == 1


def test_a_deadline_ends_a_read_that_waits_in_silence(peer: Peer) -> None:
    """The time-outs of httpx2 count anew for each read: after a late event one would wait for twice as long."""

    def one_late(client: socket.socket) -> None:
        client.sendall(STREAM)
        time.sleep(0.6)
        client.sendall(chunk(frames(0, Started("a", "custom"))))

    peer.answering = one_late
    began = time.monotonic()
    with Client(peer.url) as client, client.stream({}, timeout=1.0) as events:
        assert next(events).sequence == 0
        with pytest.raises(RunTimeoutError):
            next(events)
    assert elapsed(began) < 1.5


def test_a_time_out_of_the_caller_is_not_taken_for_the_deadline(peer: Peer) -> None:
    async def read() -> None:
        async with AsyncClient(peer.url, timeout=60) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.invoke({})

    asyncio.run(read())


def test_silence_is_a_cut(peer: Peer) -> None:
    """Heartbeats are no silence."""
    answers = iter(
        [
            [STREAM, chunk(frames(0, Started("a", "custom")))],
            [STREAM, *[chunk(b":hb\n")] * 5, chunk(frames(1, DONE)), b"0\r\n\r\n"],
        ]
    )

    def answer(client: socket.socket) -> None:
        for piece in next(answers):
            client.sendall(piece)
            time.sleep(0.15)

    peer.answering = answer
    with Client(peer.url, idle_timeout=0.5) as client, client.runs.events(RUN) as events:
        assert [event.sequence for event in events] == [0, 1]
    assert peer.connections == 2


def test_a_server_that_never_answers_is_told_of(peer: Peer) -> None:
    with (
        Client(peer.url, idle_timeout=0.1, retries=1) as client,
        pytest.raises(ServiceUnavailableError, match="said nothing for too long"),
    ):
        client.runs.get(RUN)
    assert peer.connections == 2


def test_streams_that_are_read_to_their_end_share_a_connection(peer: Peer) -> None:
    whole = streamed([frames(0, Started("a", "custom"), DONE)])
    peer.answering = lambda client: client.sendall(whole)
    with Client(peer.url) as client:
        for _ in range(3):
            with client.stream({}) as events:
                assert events.result() == {"x": 1}
            assert not peer.left.is_set()
    assert peer.connections == 1
    assert peer.left.wait(10)


async def test_streams_that_are_read_to_their_end_share_a_connection_async(peer: Peer) -> None:
    whole = streamed([frames(0, Started("a", "custom"), DONE)])
    peer.answering = lambda client: client.sendall(whole)
    async with AsyncClient(peer.url) as client:
        for _ in range(3):
            async with client.stream({}) as events:
                assert await events.result() == {"x": 1}
    assert peer.connections == 1


async def test_an_answer_that_stays_open_behind_its_last_event_is_let_go(peer: Peer) -> None:
    peer.answering = lambda client: client.sendall(
        STREAM + chunk(frames(0, Started("a", "custom"), DONE))
    )
    async with AsyncClient(peer.url) as client, client.stream({}) as events:
        assert await events.result() == {"x": 1}
        assert await asyncio.to_thread(peer.left.wait, 10)
    peer.left.clear()
    with Client(peer.url) as client, client.stream({}) as events:
        assert events.result() == {"x": 1}
        assert peer.left.wait(10)


def test_leaving_the_block_closes_the_connection(peer: Peer) -> None:
    peer.answering = lambda client: client.sendall(
        STREAM + chunk(frames(0, Started("a", "custom"), Token("a"), Token("b")))
    )
    with Client(peer.url) as client:
        with client.stream({}) as events:
            assert next(events).sequence == 0
            assert next(events).sequence == 1
        assert peer.left.wait(10)
        # What was not given out counts as not seen.
        assert events.last_event_id == "r-1:1"
        assert list(events) == []


async def test_leaving_by_cancellation_closes_the_connection(peer: Peer) -> None:
    peer.answering = lambda client: client.sendall(
        STREAM + chunk(frames(0, Started("a", "custom")))
    )
    async with AsyncClient(peer.url) as client:
        with anyio.move_on_after(0.2) as scope:
            async with client.stream({}) as events:
                async for _ in events:
                    pass
        assert scope.cancelled_caught
        assert await asyncio.to_thread(peer.left.wait, 10)


async def test_a_cancelled_read_loses_nothing(peer: Peer) -> None:
    """As `asyncio.wait_for(anext(events), ...)` does it: the connection is lost with it, and the stream taken up again."""
    answers = iter(
        [
            STREAM + chunk(frames(0, Started("a", "custom")) + frames(1, Token("a"))[:50]),
            STREAM + chunk(frames(1, Token("a"), DONE)) + b"0\r\n\r\n",
        ]
    )
    peer.answering = lambda client: client.sendall(next(answers))
    async with AsyncClient(peer.url) as client, client.runs.events(RUN) as events:
        assert (await anext(events)).sequence == 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.1)
        assert [event.sequence async for event in events] == [1, 2]
    assert peer.connections == 2


async def test_a_stream_that_is_cancelled_while_it_ends_has_ended(peer: Peer) -> None:
    """Its connection is waited for a moment, to be used again."""
    peer.answering = lambda client: client.sendall(
        STREAM + chunk(frames(0, Started("a", "custom"), DONE))
    )
    async with AsyncClient(peer.url) as client, client.stream({}) as events:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(events.result(), 0.1)
        assert await events.result() == {"x": 1}
    assert peer.connections == 1


async def test_a_stream_whose_opening_is_cancelled_may_have_started_a_run(peer: Peer) -> None:
    async with AsyncClient(peer.url) as client:
        events = client.stream({})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.1)
        with pytest.raises(ServiceUnavailableError, match="may have been started or not"):
            await anext(events)
    assert peer.connections == 1


def test_one_client_serves_many_threads() -> None:
    recording = Recording()
    results: list[list[int | None]] = []
    with playing(recording) as url, Client(url) as client:

        def read() -> None:
            with client.runs.events(RUN) as events:
                results.append([event.sequence for event in events])

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert results == [list(range(LAST + 1))] * 8


async def test_one_client_serves_many_tasks_at_once(peer: Peer) -> None:
    """More than a pool of httpx2 has by default: the others would wait for a stream to end."""
    everybody = threading.Barrier(120)

    def answer(client: socket.socket) -> None:
        everybody.wait(20)
        client.sendall(streamed([frames(0, Started("a", "custom"), DONE)]))

    peer.answering = answer
    async with AsyncClient(peer.url) as client:

        async def read() -> object:
            async with client.stream({}) as events:
                return await events.result()

        assert await asyncio.gather(*[read() for _ in range(120)]) == [{"x": 1}] * 120
