"""Whoever follows a run, from wherever and however slowly, gets each of its events once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.events.identity import ANONYMOUS
from dockrion.events.model import Batch, Complete, Event, RunStatus, Token
from dockrion.runs import channel
from dockrion.runs.channel import Channels, Feed, ReadRules
from dockrion.runs.kept import entries_of
from dockrion.runs.observer import Unobserved
from dockrion.runs.reader import Gap, Reader
from dockrion.runs.store.base import Claim, NewRun, StoreRules
from dockrion.runs.store.memory import MemoryStore
from dockrion.testing import read_sse

RUN = "r"
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("emit"), st.integers(1, 12)),
        st.tuples(st.just("pump"), st.booleans()),
        st.tuples(st.just("join"), st.integers(0, 100)),
        st.tuples(st.just("take"), st.integers(0, 20)),
        st.tuples(st.just("come back"), st.integers(0, 20)),
        st.tuples(st.just("turn"), st.integers(1, 5)),
    ),
    max_size=40,
)


class Follower:
    """Notes what it gets; `position` is what it asks for when it comes back."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.position = self.start = reader.position

    async def take(self) -> None:
        read = await self.reader.next()
        if isinstance(read, Gap):
            assert read.first == self.position
            self.position = read.last + 1
        elif read is not None:
            for event in read_sse(read.body):
                assert event.json()["sequence"] == self.position
                self.position += 1
            assert self.position == read.end

    async def take_what_is_there(self) -> None:
        try:
            async with asyncio.timeout(0):
                await self.take()
        except TimeoutError:
            pass

    async def take_all(self) -> None:
        while not self.reader.ended:
            await self.take()


class Followed:
    """One run, pumped in this process or in another, and those who follow it."""

    def __init__(self, max_events: int) -> None:
        rules = StoreRules(lease_seconds=60, max_attempts=1, ttl_seconds=60, max_events=max_events)
        self.store = MemoryStore(rules)
        self.channels = Channels(
            self.store, ReadRules(max_readers=1000, heartbeat_events=False), Unobserved()
        )
        self.followers: list[Follower] = []
        self.end = 0
        self.is_pumped_here = False
        self.claim: Claim | None = None

    async def begin(self) -> None:
        new = NewRun(run_id=RUN, owner=ANONYMOUS, payload=b"{}", fingerprint="", direct=True)
        self.claim = (await self.store.create(new)).claim

    async def emit(self, count: int) -> None:
        assert self.claim is not None
        entries = entries_of(RUN, self._batch([Token("x")] * count))
        await self.store.append(self.claim, entries)
        if self.is_pumped_here:
            self.channels.offer(RUN, entries, RunStatus.RUNNING)

    async def finish(self) -> None:
        assert self.claim is not None
        entries = entries_of(RUN, self._batch([Complete(1, 0.0, {})]))
        await self.store.finish(self.claim, entries, RunStatus.COMPLETED, b"{}")
        if self.is_pumped_here:
            self.channels.offer(RUN, entries, RunStatus.COMPLETED)

    def _batch(self, events: list[Event]) -> Batch:
        batch = Batch(events, self.end, "now")
        self.end += len(events)
        return batch

    async def pump(self, here: bool) -> None:
        if here and not self.is_pumped_here:
            self.channels.begin(RUN, Feed(self.end, RunStatus.RUNNING, paced=False))
        elif self.is_pumped_here and not here:
            self.channels.end(RUN)
        self.is_pumped_here = here

    async def join(self, place: int) -> None:
        start = self.end * place // 100
        self.followers.append(Follower(self.channels.follow(RUN, start)))

    async def take(self, who: int) -> None:
        if self.followers:
            await self.followers[who % len(self.followers)].take_what_is_there()

    async def come_back(self, who: int) -> None:
        if self.followers:
            follower = self.followers[who % len(self.followers)]
            follower.reader.leave()
            follower.reader = self.channels.follow(RUN, follower.position)

    async def turn(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)


async def follow(steps: list[tuple[str, Any]], max_events: int) -> None:
    followed = Followed(max_events)
    await followed.begin()
    does: dict[str, Callable[[Any], Any]] = {
        "emit": followed.emit,
        "pump": followed.pump,
        "join": followed.join,
        "take": followed.take,
        "come back": followed.come_back,
        "turn": followed.turn,
    }
    for name, argument in [*steps, ("join", 0)]:
        await does[name](argument)
    await followed.finish()
    async with asyncio.timeout(10):
        for follower in followed.followers:
            await follower.take_all()
            assert follower.position == followed.end
            follower.reader.leave()
    assert followed.channels.followed == []
    followed.channels.close()


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, max_events=st.sampled_from([10, 10_000]), cached=st.sampled_from([3, 1000]))
def test_every_follower_gets_each_event_once(
    steps: list[tuple[str, Any]], max_events: int, cached: int
) -> None:
    before, channel.CACHED_EVENTS = channel.CACHED_EVENTS, cached  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue]
    try:
        asyncio.run(follow(steps, max_events))
    finally:
        channel.CACHED_EVENTS = before  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue]
