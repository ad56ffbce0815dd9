"""Graphs that go on where `interrupt()` stopped them, in this process or in another one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_stream_writer
from langgraph.types import interrupt

from dockrion.events.model import Complete, Event, Failed, Interrupt, Started
from dockrion.runs.accepted import Accepted
from tests.adapters.graphs import QUERY, State, agent_of, graph_of, spoken
from tests.runs.kit import next_batch, read_to_end, runner_for_agent

Savers = Callable[[], AbstractAsyncContextManager[Any]]


class StoredRun:
    """A run of a graph, executed part by part as a store has it: only the checkpointer remembers what was."""

    def __init__(self, savers: Savers, *nodes: Any, **options: Any) -> None:
        self._savers = savers
        self._graph = partial(graph_of, *nodes, **options)
        self._end = 0

    async def begin(self, *, attempt: int = 1) -> list[Event]:
        return await self._execute(Accepted(first=self._end, attempt=attempt))

    async def resume(self, answers: dict[str, Any], *, attempt: int = 1) -> list[Event]:
        return await self._execute(Accepted(first=self._end, attempt=attempt, answers=answers))

    async def _execute(self, accepted: Accepted) -> list[Event]:
        events: list[Event] = []
        with anyio.fail_after(20):
            async with self._savers() as saver:
                runner = runner_for_agent(await agent_of(self._graph(checkpointer=saver)))
                run = runner.start(
                    QUERY, run_id="run", thread_id="thread", streams=True, accepted=accepted
                )
                while True:
                    batch = await next_batch(run)
                    assert batch.first == self._end
                    self._end += len(batch.events)
                    events += batch.events
                    if batch.is_last:
                        return events


def in_memory() -> Savers:
    return partial(nullcontext, InMemorySaver())


def in_file(folder: Path) -> Savers:
    return partial(AsyncSqliteSaver.from_conn_string, str(folder / "threads.db"))


@asynccontextmanager
async def _sync_saver(path: Path) -> AsyncGenerator[SqliteSaver]:
    with SqliteSaver.from_conn_string(str(path)) as saver:
        yield saver


def ids(events: list[Event]) -> dict[Any, str]:
    """Return the ids of the questions by what they ask."""
    return {event.value: event.interrupt_id for event in events if isinstance(event, Interrupt)}


def notes_of(events: list[Event]) -> Any:
    assert isinstance(events[-1], Complete), events[-1]
    return events[-1].output["notes"]


def asks(state: State) -> dict[str, Any]:
    return {"notes": [f"first: {interrupt('first?')}"]}


async def asks_too(state: State) -> dict[str, Any]:
    return {"notes": [f"second: {interrupt('second?')}"]}


def asks_twice(state: State) -> dict[str, Any]:
    return {"notes": [f"{interrupt('one?')} {interrupt('two?')}"]}


def opens(state: State) -> dict[str, Any]:
    get_stream_writer()("opening")
    return {"notes": ["opened"]}


def closes(state: State) -> dict[str, Any]:
    get_stream_writer()("closing")
    return {"notes": ["closed"]}


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_run_goes_on_in_another_process_with_the_next_sequence_and_no_second_started(
    is_async: bool, tmp_path: Path
) -> None:
    savers = in_file(tmp_path) if is_async else partial(_sync_saver, tmp_path / "threads.db")
    run = StoredRun(savers, opens, asks, closes)
    began = await run.begin()
    went_on = await run.resume({ids(began)["first?"]: "yes"})

    assert isinstance(began[0], Started)
    assert not any(isinstance(event, Started) for event in went_on)
    # A node that has ended does not run again.
    assert spoken(went_on) == {"closes": "closing"}
    assert notes_of(went_on) == ["opened", "first: yes", "closed"]


async def test_nodes_side_by_side_are_answered_at_once() -> None:
    run = StoredRun(in_memory(), asks, asks_too, parallel=True)
    asked = ids(await run.begin())
    ended = await run.resume({asked["first?"]: 1, asked["second?"]: None})
    assert sorted(notes_of(ended)) == ["first: 1", "second: None"]


async def test_questions_that_were_left_open_are_asked_again() -> None:
    run = StoredRun(in_memory(), asks, asks_too, parallel=True)
    asked = ids(await run.begin())
    again = ids(await run.resume({asked["second?"]: "b"}))
    assert again == {"first?": asked["first?"]}
    assert sorted(notes_of(await run.resume({again["first?"]: "a"}))) == ["first: a", "second: b"]


async def test_a_graph_within_a_graph_is_resumed(tmp_path: Path) -> None:
    run = StoredRun(in_file(tmp_path), opens, graph_of(asks), graph_of(asks_too))
    first = ids(await run.begin())
    second = ids(await run.resume({first["first?"]: {"a": [1]}}))
    ended = await run.resume({second["second?"]: "b"})
    assert notes_of(ended)[-1] == "second: b"
    assert "first: {'a': [1]}" in notes_of(ended)


async def test_a_node_that_asks_twice_is_answered_one_question_at_a_time() -> None:
    run = StoredRun(in_memory(), asks_twice)
    first = ids(await run.begin())
    second = ids(await run.resume({first["one?"]: "a"}))
    assert list(second) == ["two?"]
    assert notes_of(await run.resume({second["two?"]: "b"})) == ["a b"]


async def test_a_second_attempt_says_started_and_goes_on_from_what_was_reached(
    tmp_path: Path,
) -> None:
    run = StoredRun(in_file(tmp_path), asks, asks_too)
    asked = ids(await run.begin())
    answers = {asked["first?"]: "a"}
    # The first attempt got as far as the next question, which nobody was told of.
    await run.resume(answers)
    again = await run.resume(answers, attempt=2)

    assert again[0] == Started("test", "custom", 2)
    assert list(ids(again)) == ["second?"]


async def test_an_answer_is_not_taken_for_one_to_the_same_nodes_next_question() -> None:
    run = StoredRun(in_memory(), asks_twice)
    answers = {ids(await run.begin())["one?"]: "a"}
    await run.resume(answers)
    again = await run.resume(answers, attempt=2)
    assert list(ids(again)) == ["two?"]


async def test_a_second_attempt_of_a_run_that_had_reached_its_end_has_its_output() -> None:
    run = StoredRun(in_memory(), asks)
    answers = {ids(await run.begin())["first?"]: "a"}
    await run.resume(answers)
    assert notes_of(await run.resume(answers, attempt=2)) == ["first: a"]


async def test_a_thread_that_the_checkpointer_does_not_know_is_an_error() -> None:
    run = StoredRun(lambda: nullcontext(InMemorySaver()), opens, asks)
    asked = ids(await run.begin())
    events = await run.resume({asked["first?"]: "yes"})
    [failed] = events
    assert isinstance(failed, Failed)
    assert failed.code == "AGENT_EXECUTION_ERROR"
    assert "checkpointer does not know its thread" in failed.error


async def test_a_graph_that_lost_its_checkpointer_is_an_error() -> None:
    run = StoredRun(lambda: nullcontext(None), asks)
    [failed] = await run.resume({"id": "yes"})
    assert failed == Failed(
        "The run cannot go on: the graph has no checkpointer.", "AGENT_EXECUTION_ERROR"
    )


# Without answers: an attempt that broke off, and an id that is used again


async def test_a_second_attempt_goes_on_behind_the_nodes_that_had_ended(tmp_path: Path) -> None:
    attempts: list[str] = []

    def breaks_off(state: State) -> dict[str, Any]:
        attempts.append("attempt")
        if len(attempts) == 1:
            raise ConnectionError
        return {"notes": ["done"]}

    run = StoredRun(in_file(tmp_path), opens, graph_of(breaks_off))
    assert isinstance((await run.begin())[-1], Failed)
    again = await run.begin(attempt=2)
    assert again[0] == Started("test", "custom", 2)
    assert spoken(again) == {}
    assert notes_of(again) == ["opened", "opened", "done"]


async def test_a_second_attempt_of_a_run_that_left_nothing_behind_begins_with_its_payload() -> None:
    assert notes_of(await StoredRun(in_memory(), opens).begin(attempt=2)) == ["opened"]


async def test_a_run_whose_id_was_used_before_gets_its_own_payload() -> None:
    def repeats(state: State) -> dict[str, Any]:
        return {"notes": [state["query"]]}

    runner = runner_for_agent(await agent_of(graph_of(repeats, checkpointer=InMemorySaver())))
    outputs: list[Any] = []
    for query in ("one", "two"):
        events = await read_to_end(
            runner.start({"query": query, "notes": []}, run_id="mine", streams=True)
        )
        outputs.append(notes_of(events))
    assert outputs == [["one"], ["one", "two"]]


# Breakpoints of `compile`


@pytest.mark.parametrize(
    "where", [{"interrupt_before": ["closes"]}, {"interrupt_after": ["opens"]}]
)
async def test_a_breakpoint_is_a_question_and_any_answer_lets_the_graph_go_on(
    where: dict[str, Any], tmp_path: Path
) -> None:
    run = StoredRun(in_file(tmp_path), opens, closes, **where)
    began = await run.begin()
    assert isinstance(began[-1], Interrupt)
    assert began[-1].value == {"next": ["closes"]}
    went_on = await run.resume({began[-1].interrupt_id: True})
    assert spoken(went_on) == {"closes": "closing"}
    assert notes_of(went_on) == ["opened", "closed"]


async def test_the_answer_at_one_breakpoint_is_not_one_at_the_next() -> None:
    run = StoredRun(in_memory(), opens, asks, closes, interrupt_before=["asks", "closes"])
    first = (await run.begin())[-1]
    assert isinstance(first, Interrupt)
    [question] = await run.resume({first.interrupt_id: True})
    assert isinstance(question, Interrupt)
    second = (await run.resume({question.interrupt_id: "yes"}))[-1]
    # The attempt before got as far as the second breakpoint, which nobody was told of.
    again = await run.resume({question.interrupt_id: "yes"}, attempt=2)
    assert again == [Started("test", "custom", 2), second]
    assert isinstance(second, Interrupt)
    assert notes_of(await run.resume({second.interrupt_id: None})) == [
        "opened",
        "first: yes",
        "closed",
    ]


async def test_a_graph_that_has_passed_all_its_breakpoints_is_complete() -> None:
    run = StoredRun(in_memory(), opens, interrupt_after=["opens"])
    assert notes_of(await run.begin()) == ["opened"]
