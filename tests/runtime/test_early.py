"""What leaves in the step that brought it: of runs that are kept as of those that are not, and of slow callers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from dockrion.events.model import RunStatus
from dockrion.runs.kept import Piece
from dockrion.runs.store.base import Claim, Entry, LeaseLostError
from dockrion.runs.store.memory import MemoryStore
from dockrion.runtime.early import EarlySend
from dockrion.runtime.streams import OpenStream
from dockrion.runtime.writer import NativeTelling
from dockrion.testing import app_for, post, request, running
from tests.runtime.resuming.kit import (
    ended,
    holding,
    receive_until,
    store_of,
    turns,
    until,
)


class RequestResponseCycle:
    """Named as what a server has for a request; its `send` notes what leaves, and may wait or fail."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.bodies: list[bytes] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.fails = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._send = send
        await self._app(scope, receive, self.send if scope["type"] == "http" else send)

    async def send(self, message: Any) -> None:
        self.bodies.append(message.get("body", b""))
        await self.is_open.wait()
        if self.fails:
            raise OSError("The caller has gone.")
        await self._send(message)

    @property
    def sent(self) -> bytes:
        return b"".join(self.bodies)


class Agent:
    """Says its words one by one, and notes whether each has left when the step that says it is over."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.cycle: RequestResponseCycle | None = None
        self.early: list[bool] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, payload: Any) -> Any:
        loop = asyncio.get_running_loop()
        for word in self.words:
            # Comes before anything that the word wakes.
            loop.call_soon(self._note, word)
            yield word
            await asyncio.sleep(0)
            await self.go_on.wait()

    def _note(self, word: str) -> None:
        if self.cycle is not None:
            self.early.append(f'"{word}"'.encode() in self.cycle.sent)


WORDS = [f"word-{number}" for number in range(20)]
PATHS = {
    "native": ("/invoke/stream?run_id=r", {}),
    "openai": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "hi"}], "stream": True},
    ),
}


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
@pytest.mark.parametrize(("path", "body"), PATHS.values(), ids=PATHS)
async def test_a_token_leaves_in_the_step_that_brought_it(path: str, body: Any, kept: bool) -> None:
    agent = Agent(WORDS)
    make = holding if kept else app_for
    async with running(make(agent, expose={"protocols": ["openai"]})) as app:
        agent.cycle = RequestResponseCycle(app)
        async with post(agent.cycle, path, body) as exchange:
            raw = await exchange.read()
    # Before its writer waits for the first time there is nobody to send for.
    assert all(agent.early[3:])
    assert [raw.count(f'"{word}"'.encode()) for word in WORDS] == [1] * len(WORDS)


async def test_all_who_follow_a_run_get_it_in_the_same_step() -> None:
    agent = Agent(WORDS)
    agent.go_on.clear()
    async with running(holding(agent)) as app:
        agent.cycle = follower = RequestResponseCycle(app)
        async with post(app, "/invoke/stream?run_id=r", {}) as first:
            await receive_until(first, b"word-0")
            async with post(follower, "/invoke/stream", headers={"Last-Event-ID": "r:0"}) as second:
                await receive_until(second, b"word-0")
                await turns()
                agent.go_on.set()
                rest = await second.read()
            await first.read()
    assert all(agent.early[2:])
    assert rest.count(b"event: token") == len(WORDS) - 1


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/invoke/stream"), ("GET", "/runs/r/events")]
)
async def test_a_caller_who_takes_nothing_for_a_while_gets_all_of_it_once(
    method: str, path: str
) -> None:
    agent = Agent(WORDS)
    agent.go_on.clear()
    async with running(holding(agent)) as app:
        cycle = RequestResponseCycle(app)
        async with post(app, "/runs?run_id=r", {}) as made:
            await made.read()
            assert made.status == 202
        headers = {"Last-Event-ID": "r:0"}
        async with request(cycle, method, path, headers=headers) as exchange:
            await receive_until(exchange, b"word-0")
            cycle.is_open.clear()
            agent.go_on.set()
            await ended(app)
            # One send waits; nothing is begun behind it.
            waiting = len(cycle.bodies)
            await turns()
            assert len(cycle.bodies) == waiting
            cycle.is_open.set()
            rest = await exchange.read()
    assert [rest.count(f'"{word}"'.encode()) for word in WORDS[1:]] == [1] * (len(WORDS) - 1)
    assert rest.count(b"event: complete") == 1


async def test_a_caller_who_is_gone_when_it_is_sent_to_ends_neither_the_run_nor_other_streams() -> (
    None
):
    agent = Agent(WORDS)
    agent.go_on.clear()
    async with running(holding(agent)) as app:
        cycle = RequestResponseCycle(app)
        async with post(cycle, "/invoke/stream?run_id=r", {}) as gone:
            await receive_until(gone, b"word-0")
            async with post(app, "/invoke/stream", headers={"Last-Event-ID": "r:0"}) as stays:
                await receive_until(stays, b"word-0")
                await turns()
                cycle.fails = True
                agent.go_on.set()
                rest = await stays.read()
            await gone.ended.wait()
    assert rest.count(b"event: token") == len(WORDS) - 1
    assert rest.count(b"event: complete") == 1


async def test_a_run_that_somebody_else_has_says_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    append_now = MemoryStore.append_now
    refused: list[bytes] = []

    def taken(store: MemoryStore, claim: Claim, entries: Sequence[Entry]) -> None:
        if any(b"word-1" in entry.body for entry in entries):
            refused.extend(entry.body for entry in entries)
            raise LeaseLostError(claim.run_id)
        append_now(store, claim, entries)

    monkeypatch.setattr(MemoryStore, "append_now", taken)
    agent = Agent(WORDS)
    agent.go_on.clear()
    async with running(holding(agent)) as app:
        agent.cycle = RequestResponseCycle(app)
        async with post(agent.cycle, "/invoke/stream?run_id=r", {}) as exchange:
            await receive_until(exchange, b"word-0")
            await turns()
            agent.go_on.set()
            await until(lambda: "run was taken from this worker" in caplog.text)
            await turns()
        assert len(refused) == 1
        assert b"word-1" not in agent.cycle.sent
        record = await store_of(app).get("r")
    assert record is not None
    assert record.end == 2


async def test_what_a_wire_cannot_say_is_no_fault_of_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: NativeTelling, read: Any) -> bytes:
        if isinstance(read, Piece) and b"word-5" in read.body:
            raise RuntimeError("A bug of ours.")
        return frames(self, read)

    frames = NativeTelling.frames
    monkeypatch.setattr(NativeTelling, "frames", broken)
    agent = Agent(WORDS)
    async with running(holding(agent)) as app:
        with suppress(RuntimeError):
            async with post(RequestResponseCycle(app), "/invoke/stream?run_id=r", {}) as exchange:
                raw = await exchange.read()
                assert b"word-4" in raw
                assert b"word-5" not in raw
        await ended(app)
        record = await store_of(app).get("r")
    assert record is not None
    assert record.status is RunStatus.COMPLETED


async def test_a_send_that_waits_is_ended_by_the_writer_that_it_is_for() -> None:
    gate, tasks = asyncio.Event(), list[Any]()

    class CloseDelimitedCycle:
        async def send(self, message: Any) -> None:
            tasks.append(asyncio.current_task())
            await gate.wait()
            tasks.append(asyncio.current_task())

    class Nobody:
        heartbeat_due = False

        def nudge(self) -> None: ...

    early = EarlySend.through(OpenStream(Nobody(), None, None), CloseDelimitedCycle().send)
    assert early is not None

    async def brings() -> bool:
        return early.now(b"x")

    assert not await asyncio.create_task(brings())
    assert early.is_unfinished
    writer = asyncio.create_task(early.finish())
    await asyncio.sleep(0)
    gate.set()
    await writer
    assert tasks[1] is writer
    assert not early.is_unfinished


async def _alone(message: Any) -> None: ...


def test_a_send_that_may_belong_to_a_task_is_left_to_it() -> None:
    class Nobody:
        heartbeat_due = False

        def nudge(self) -> None: ...

    assert EarlySend.through(OpenStream(Nobody(), None, None), _alone) is None
