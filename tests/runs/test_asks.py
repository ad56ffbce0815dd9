"""Agents that wait inside `context.ask` for an answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
import pytest

from dockrion.errors import AgentExecutionError
from dockrion.events.cancelled import RunCancelled
from dockrion.events.context import StreamContext, get_current_context
from dockrion.events.model import Cancelled, Checkpoint, Complete, Failed, Interrupt, Started
from dockrion.policy.outgoing import Outgoing
from tests.runs.asking import answers_by_value, asks, asks_in_thread, to_the_end, until_it_asks
from tests.runs.kit import next_batch, runner_for, tokens


async def asks_as_generator(payload: Any, context: StreamContext) -> AsyncGenerator[Any]:
    yield "before "
    answer = await context.ask({"may I?": 1})
    yield "after"
    yield {"answer": answer}


def asks_as_sync_generator(payload: Any, context: StreamContext) -> Generator[Any, None, Any]:
    yield "before "
    answer = context.sync_ask({"may I?": 1})
    yield "after"
    return {"answer": answer}


async def asks_from_below(payload: Any) -> Any:
    def below() -> Any:
        context = get_current_context()
        assert context is not None
        return asks_in_thread(payload, context)

    return await asyncio.to_thread(below)


async def asks_on_its_own_loop(payload: Any, context: StreamContext) -> Any:
    return await asyncio.to_thread(lambda: asyncio.run(asks(payload, context)))


KINDS = [
    asks,
    asks_as_generator,
    asks_in_thread,
    asks_as_sync_generator,
    asks_from_below,
    asks_on_its_own_loop,
]
kinds = pytest.mark.parametrize("agent", KINDS, ids=lambda kind: kind.__name__)


@kinds
async def test_an_agent_goes_on_with_the_answer_in_the_same_run(agent: Any) -> None:
    run = runner_for(agent).start({}, streams=True)
    asked = await until_it_asks(run)
    assert run.is_waiting
    assert run.questions == [asked[-1]]
    assert isinstance(asked[-1], Interrupt)
    assert asked[-1].value == {"may I?": 1}

    run.answer({asked[-1].interrupt_id: ["yes"]})
    assert not run.is_waiting
    rest = await to_the_end(run)

    assert tokens(asked + rest) == ["before ", "after"]
    assert isinstance(rest[-1], Complete)
    assert rest[-1].output == {"answer": ["yes"]}
    assert not run.is_waiting


async def test_numbers_go_on_after_the_answer() -> None:
    run = runner_for(asks).start({}, streams=True)
    count = len(await until_it_asks(run))
    run.answer(answers_by_value(run, lambda _: None))
    with anyio.fail_after(5):
        assert (await next_batch(run)).first == count


async def asks_and_tells(context: StreamContext, seen: list[Any]) -> None:
    try:
        seen.append(await context.ask("?"))
    except BaseException as exc:
        seen.append(type(exc))
        raise


def asks_in_thread_and_tells(
    context: StreamContext, seen: list[Any], over: threading.Event
) -> None:
    try:
        seen.append(context.sync_ask("?"))
    except BaseException as exc:
        seen.append(type(exc))
        raise
    finally:
        over.set()


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("leaves", [False, True])
async def test_the_end_of_the_run_is_raised_out_of_the_question(
    in_thread: bool, leaves: bool
) -> None:
    seen: list[Any] = []
    over = threading.Event()

    async def on_loop(payload: Any, context: StreamContext) -> None:
        try:
            await asks_and_tells(context, seen)
        finally:
            over.set()

    def off_loop(payload: Any, context: StreamContext) -> None:
        asks_in_thread_and_tells(context, seen, over)

    run = runner_for(off_loop if in_thread else on_loop).start({}, streams=True)
    await until_it_asks(run)
    if leaves:
        run.leave()
    else:
        run.stop(Cancelled("no more"))
        assert (await to_the_end(run))[-1] == Cancelled("no more")
    assert not run.is_waiting
    assert run.questions == []
    assert await asyncio.to_thread(over.wait, 5)
    assert seen == [RunCancelled]


async def test_a_question_after_the_end_is_refused() -> None:
    contexts: list[StreamContext] = []

    async def keeps(payload: Any, context: StreamContext) -> Any:
        contexts.append(context)
        return {}

    await to_the_end(runner_for(keeps).start({}, streams=True))
    with pytest.raises(RunCancelled):
        await contexts[0].ask("?")
    with pytest.raises(RunCancelled):
        await asyncio.to_thread(contexts[0].sync_ask, "?")


async def test_several_wait_at_once_and_each_goes_on_with_its_own_answer() -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        answers = await asyncio.gather(
            context.ask(0),
            context.ask(1),
            asyncio.to_thread(context.sync_ask, 2),
            asyncio.to_thread(context.sync_ask, 3),
        )
        return {"answers": answers}

    run = runner_for(agent).start({}, streams=True)
    await until_it_asks(run, count=4)
    by_value = {one.value: one.interrupt_id for one in run.questions}
    run.answer({by_value[2]: "c", by_value[0]: "a", "unknown": "x"})
    assert sorted(one.value for one in run.questions) == [1, 3]
    assert run.is_waiting
    run.answer(answers_by_value(run, lambda value: {1: "b", 3: "d"}[value]))
    last = (await to_the_end(run))[-1]
    assert isinstance(last, Complete)
    assert last.output == {"answers": ["a", "b", "c", "d"]}


async def test_what_others_emit_behind_a_question_comes_before_it_in_the_batch() -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        async with asyncio.TaskGroup() as tasks:
            question = tasks.create_task(context.ask("?"))
            await asyncio.sleep(0)
            context.sync_checkpoint("beside")
        return question.result()

    run = runner_for(agent).start({}, streams=True)
    events = await until_it_asks(run)
    assert [type(event) for event in events[-2:]] == [Checkpoint, Interrupt]
    run.leave()


async def test_the_run_goes_on_beside_a_question() -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        async with asyncio.TaskGroup() as tasks:
            question = tasks.create_task(context.ask("?"))
            await go_on.wait()
            await context.checkpoint("beside")
        return {"answer": question.result()}

    go_on = asyncio.Event()
    run = runner_for(agent).start({}, streams=True)
    await until_it_asks(run)
    go_on.set()
    with anyio.fail_after(5):
        batch = await next_batch(run)
    assert batch.events == [Checkpoint("beside", None)]
    assert run.is_waiting
    run.answer(answers_by_value(run, str))
    assert isinstance((await to_the_end(run))[-1], Complete)


async def test_a_question_that_is_taken_back_is_open_no_more() -> None:
    taken_back = asyncio.Event()
    go_on = asyncio.Event()

    async def agent(payload: Any, context: StreamContext) -> Any:
        question = asyncio.create_task(context.ask("?"))
        await taken_back.wait()
        question.cancel()
        await asyncio.wait([question])
        go_on.set()
        assert question.cancelled()
        return {"again": await context.ask("again?")}

    run = runner_for(agent).start({}, streams=True)
    await until_it_asks(run)
    [question] = run.questions
    taken_back.set()
    await until_it_asks(run)
    assert [one.value for one in run.questions] == ["again?"]
    run.answer({question.interrupt_id: "late"})
    run.answer(answers_by_value(run, str.upper))
    last = (await to_the_end(run))[-1]
    assert isinstance(last, Complete)
    assert last.output == {"again": "AGAIN?"}


async def test_a_question_that_is_taken_back_before_it_left_is_not_sent() -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        question = asyncio.create_task(context.ask("?"))
        await asyncio.sleep(0)
        question.cancel()
        await asyncio.wait([question])
        await context.checkpoint("taken back")
        taken_back.set()
        await asyncio.Event().wait()

    taken_back = asyncio.Event()
    run = runner_for(agent).start({}, streams=True)
    # Nobody reads meanwhile.
    await taken_back.wait()
    with anyio.fail_after(5):
        batch = await next_batch(run)
    assert [type(event) for event in batch.events] == [Started, Checkpoint]
    assert not run.is_waiting
    run.leave()


async def test_a_question_of_a_run_that_ends_at_once_is_not_sent() -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        question = asyncio.create_task(context.ask("?"))
        await asyncio.sleep(0)
        raise LookupError(question.get_name())

    run = runner_for(agent).start({}, streams=True)
    events = await to_the_end(run)
    assert isinstance(events[-1], Failed)
    assert not any(isinstance(event, Interrupt) for event in events)


async def test_sync_ask_on_the_event_loop_is_refused_with_what_to_do() -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        context.sync_ask("?")

    last = (await to_the_end(runner_for(agent).start({}, streams=True)))[-1]
    assert isinstance(last, Failed)
    assert "use `await context.ask(...)`" in last.error


@pytest.mark.parametrize("agent", [asks, asks_in_thread], ids=lambda kind: kind.__name__)
async def test_where_nobody_can_answer_it_is_refused(agent: Any) -> None:
    last = (await to_the_end(runner_for(agent).start({}, streams=True, can_ask=False)))[-1]
    assert isinstance(last, Failed)
    assert (last.code, "needs somebody who answers" in last.error) == (
        "AGENT_EXECUTION_ERROR",
        True,
    )
    with pytest.raises(AgentExecutionError, match="needs somebody who answers"):
        await StreamContext().ask("?")
    with pytest.raises(AgentExecutionError, match="needs somebody who answers"):
        StreamContext().sync_ask("?")


# Policies

SECRET = Outgoing(["sk-[a-z]+"])


async def test_a_question_is_redacted_wherever_it_is_seen() -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        return await context.ask({"use": ["sk-abc"]})

    run = runner_for(agent, outgoing=SECRET).start({}, streams=True)
    events = await until_it_asks(run)
    assert isinstance(events[-1], Interrupt)
    assert events[-1].value == {"use": ["[REDACTED]"]}
    assert run.questions == [events[-1]]
    run.leave()


async def test_a_question_that_a_policy_halts_at_is_not_sent() -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        return await context.ask("sk-abc")

    halting = Outgoing(["sk-[a-z]+"], halt=True)
    run = runner_for(agent, outgoing=halting).start({}, streams=True)
    events = await to_the_end(run)
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "POLICY_VIOLATION"
    assert not any(isinstance(event, Interrupt) for event in events)


@pytest.mark.parametrize(
    ("before", "after", "shown_before", "shown"),
    [
        ("is it s", "o?", "is it s", "is it so?"),
        ("is it sk-a", "bc?", "is it [REDACTED]", "is it [REDACTED]?"),
        ("is it sk", "-abc?", "is it sk", "is it sk[REDACTED]?"),
        ("is it sk", "ewed?", "is it sk", "is it skewed?"),
    ],
)
async def test_held_text_leaves_before_a_question_and_no_more_of_a_match_after_it(
    before: str, after: str, shown_before: str, shown: str
) -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        await context.emit_token(before)
        await context.ask("?")
        await context.emit_token(after)
        await context.emit_token(" ")
        return {}

    run = runner_for(agent, outgoing=SECRET).start({}, streams=True)
    events = await until_it_asks(run)
    assert "".join(tokens(events)) == shown_before
    run.answer(answers_by_value(run, str))
    assert "".join(tokens(events + await to_the_end(run))) == shown + " "
