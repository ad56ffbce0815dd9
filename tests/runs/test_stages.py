from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio

from dockrion.events.model import Complete, Event, Failed, Started, Token
from tests.runs.kit import read_to_end, runner_for, tokens


class Hold:
    """Holds every token until the flush, and says when it sees the terminal event."""

    def __init__(self) -> None:
        self.held: list[Event] = []
        self.flushed = False

    def feed(self, batch: list[Event]) -> list[Event]:
        assert not self.flushed or isinstance(batch[0], Complete)
        self.held += [event for event in batch if isinstance(event, Token)]
        return [event for event in batch if not isinstance(event, Token)]

    def flush(self) -> list[Event]:
        self.flushed = True
        held, self.held = self.held, []
        return held


class Shout:
    def feed(self, batch: list[Event]) -> list[Event]:
        return [Token(e.content.upper()) if isinstance(e, Token) else e for e in batch]

    def flush(self) -> list[Event]:
        return []


class Break:
    def feed(self, batch: list[Event]) -> list[Event]:
        if any(isinstance(event, Token) for event in batch):
            raise RuntimeError("secret")
        return batch

    def flush(self) -> list[Event]:
        return []


async def speak(payload: Any) -> AsyncGenerator[Any]:
    yield "a"
    yield "b"


async def test_stages_are_a_chain_and_what_is_held_comes_out_before_the_end() -> None:
    with anyio.fail_after(5):
        run = runner_for(speak, stages=lambda: [Hold(), Shout()]).start({}, streams=True)
        events = await read_to_end(run)
    assert tokens(events) == ["A", "B"]
    assert isinstance(events[-1], Complete)
    # The output is the joined tokens as they were sent.
    assert events[-1].output == {"content": "AB"}


async def test_each_run_has_stages_of_its_own() -> None:
    runner = runner_for(speak, stages=lambda: [Hold()])
    with anyio.fail_after(5):
        for _ in range(2):
            assert tokens(await read_to_end(runner.start({}, streams=True))) == ["a", "b"]


async def test_a_stage_that_raises_ends_the_run_and_lets_nothing_through() -> None:
    with anyio.fail_after(5):
        events = await read_to_end(
            runner_for(speak, stages=lambda: [Break()]).start({}, streams=True)
        )
    assert events == [Started("test", "custom"), Failed("Internal error.", "INTERNAL_ERROR")]
