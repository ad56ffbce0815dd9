"""What a channel makes of what it reads from the store while a pump of its own process begins to tell it more."""

from __future__ import annotations

import asyncio

import pytest

from dockrion.events.identity import ANONYMOUS
from dockrion.events.model import Batch, Interrupt, RunStatus, Token
from dockrion.runs.channel import Channels, Feed, ReadRules
from dockrion.runs.kept import Piece, entries_of
from dockrion.runs.observer import Unobserved
from dockrion.runs.store.base import Claim, Entry, NewRun, Page, Question, StoreRules
from dockrion.runs.store.memory import MemoryStore

RULES = StoreRules(lease_seconds=15, max_attempts=1, ttl_seconds=60, max_events=1000)


class SlowToAnswer(MemoryStore):
    """What is read is as of the question, and comes when the test says so."""

    def __init__(self) -> None:
        super().__init__(RULES)
        self.has_read = asyncio.Event()
        self.go_on = asyncio.Event()

    async def read(self, run_id: str, start: int) -> Page | None:
        page = await super().read(run_id, start)
        self.has_read.set()
        await self.go_on.wait()
        return page


def entry(*contents: str, first: int) -> list[Entry]:
    return entries_of("run", Batch([Token(one) for one in contents], first, "now"))


async def started(store: MemoryStore, channels: Channels, end: int) -> Claim:
    new = NewRun(run_id="run", owner=ANONYMOUS, payload=b"{}", fingerprint="", direct=True)
    claim = (await store.create(new)).claim
    assert claim is not None
    for sequence in range(end):
        await store.append(claim, entry("old", first=sequence))
    return claim


def channels_of(store: MemoryStore) -> Channels:
    return Channels(store, ReadRules(max_readers=9, heartbeat_events=False), Unobserved())


async def test_a_page_that_was_read_before_the_run_came_here_does_not_set_it_back() -> None:
    store = SlowToAnswer()
    channels = channels_of(store)
    claim = await started(store, channels, 1)
    reader = channels.follow("run", 1, stops_at_questions=True)
    first = asyncio.create_task(reader.next())
    await store.has_read.wait()
    channels.begin("run", Feed(1, RunStatus.RUNNING, paced=False))
    question = entries_of("run", Batch([Interrupt("Shall I?", "one")], 1, "now"))
    await store.interrupt(claim, question, [Question("one", "Shall I?")], claimed=True)
    channels.offer("run", question, RunStatus.INTERRUPTED)
    store.go_on.set()
    async with asyncio.timeout(5):
        assert isinstance(await first, Piece)
        assert await reader.next() is None or reader.ended
    assert reader.ended
    reader.leave()


async def test_what_a_channel_has_not_read_when_the_run_comes_here_is_read_from_the_store() -> None:
    store = SlowToAnswer()
    channels = channels_of(store)
    await started(store, channels, 5)
    reader = channels.follow("run", 2)
    first = asyncio.create_task(reader.next())
    await store.has_read.wait()
    channels.begin("run", Feed(5, RunStatus.RUNNING, paced=False))
    store.go_on.set()
    async with asyncio.timeout(5):
        piece = await first
    assert isinstance(piece, Piece)
    assert piece.end == 5
    reader.leave()


class Broken(MemoryStore):
    async def read(self, run_id: str, start: int) -> Page | None:
        raise ZeroDivisionError


async def test_who_follows_a_run_that_cannot_be_read_does_not_wait_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Broken(RULES)
    channels = channels_of(store)
    await started(store, channels, 1)
    reader = channels.follow("run", 0)
    async with asyncio.timeout(5):
        assert await reader.next() is None
    assert reader.ended
    assert "following a run failed" in caplog.text
    reader.leave()
    assert not store._watchers
