"""Questions of agents over HTTP: asked on a stream, answered by another request, followed to the end."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt
from msgspec import structs

from dockrion.events.context import StreamContext
from dockrion.events.identity import ANONYMOUS
from dockrion.events.model import Batch
from dockrion.runs.log import Clock
from dockrion.runs.run import Run
from dockrion.runs.store.base import Created, NewRun
from dockrion.runtime.streams import OpenStream
from dockrion.runtime.writer import StreamWriter
from dockrion.testing import app_for, post, request, running
from dockrion.wires.native import NativeWire
from tests.adapters.graphs import State, agent_of, graph_of
from tests.runs.kit import runner_for

PAYLOAD = {"query": "q", "notes": []}
KEPT = {"connection": {"resume_window": 30}}


async def asks(payload: Any, context: StreamContext) -> Any:
    await context.emit_token("before")
    answers = await asyncio.gather(*[context.ask(n) for n in range(payload.get("questions", 1))])
    await context.emit_token("after")
    return {"notes": answers}


def asks_in_thread(payload: Any, context: StreamContext) -> Any:
    context.sync_emit_token("before")
    answer = context.sync_ask(0)
    context.sync_emit_token("after")
    return {"notes": [answer]}


async def graph() -> Any:
    def node(state: State) -> dict[str, Any]:
        return {"notes": [interrupt(0)]}

    return await agent_of(graph_of(node, checkpointer=InMemorySaver()))


async def app_of(agent: str, **streaming: Any) -> FastAPI:
    made: Any = {"async": asks, "thread": asks_in_thread}.get(agent) or await graph()
    return app_for(made, streaming=streaming)


async def streamed(app: FastAPI, payload: Any = PAYLOAD) -> list[Any]:
    with anyio.fail_after(5):
        async with post(app, "/invoke/stream", payload) as stream:
            return [event.json() async for event in stream.events()]


async def answer(app: FastAPI, run_id: str, body: Any) -> tuple[int, Any]:
    async with post(app, f"/runs/{run_id}/resume", body) as exchange:
        told = await exchange.json()
        return exchange.status, told


async def followed(app: FastAPI, run_id: str, start: int = 0) -> list[Any]:
    path = f"/runs/{run_id}/events?from_sequence={start}"
    with anyio.fail_after(5):
        async with request(app, "GET", path) as stream:
            events = [event.json() async for event in stream.events()]
    return [event for event in events if event["type"] != "heartbeat"]


async def status(app: FastAPI, run_id: str) -> Any:
    async with request(app, "GET", f"/runs/{run_id}") as exchange:
        return await exchange.json()


@pytest.mark.parametrize("agent", ["async", "thread", "graph"])
@pytest.mark.parametrize("streaming", [{}, KEPT], ids=["unkept", "kept"])
async def test_a_stream_ends_with_the_question_and_the_run_goes_on_after_the_answer(
    agent: str, streaming: Any
) -> None:
    async with running(await app_of(agent, **streaming)) as app:
        events = await streamed(app)
        asked = events[-1]
        assert (asked["type"], asked["value"]) == ("interrupt", 0)
        run_id = asked["run_id"]
        assert (await status(app, run_id))["status"] == "INTERRUPTED"

        assert (await answer(app, run_id, "yes"))[0] == 202
        rest = await followed(app, run_id, asked["sequence"] + 1)
        assert (await status(app, run_id))["status"] == "COMPLETED"
        assert (await answer(app, run_id, "again"))[0] == 409

    assert rest[0]["sequence"] == asked["sequence"] + 1
    assert not any(event["type"] == "started" for event in rest)
    assert rest[-1]["type"] == "complete"
    assert rest[-1]["output"]["notes"] == ["yes"]


@pytest.mark.parametrize("agent", ["async", "graph"])
async def test_an_invocation_is_answered_with_the_question(agent: str) -> None:
    async with running(await app_of(agent)) as app:
        async with post(app, "/invoke", PAYLOAD) as exchange:
            body = await exchange.json()
        assert exchange.status == 202
        assert [one["value"] for one in body["interrupts"]] == [0]
        run_id = body["metadata"]["run_id"]
        assert (await answer(app, run_id, "yes"))[0] == 202
        events = await followed(app, run_id)
        assert events[-1]["output"]["notes"] == ["yes"]


async def test_questions_are_answered_one_by_one_while_somebody_follows() -> None:
    async with running(await app_of("async")) as app:
        async with post(app, "/runs", PAYLOAD | {"questions": 3}) as exchange:
            run_id = (await exchange.json())["run_id"]
        async with (
            asyncio.timeout(5),
            request(app, "GET", f"/runs/{run_id}/events") as stream,
        ):
            events = stream.events()
            ids: dict[int, str] = {}
            async for event in events:
                if event.event == "interrupt":
                    ids[event.json()["value"]] = event.json()["interrupt_id"]
                    if len(ids) == 3:
                        break
            assert (await answer(app, run_id, {ids[1]: "b"}))[0] == 202
            assert (await status(app, run_id))["status"] == "INTERRUPTED"
            assert (await answer(app, run_id, {ids[0]: "a", ids[2]: "c"}))[0] == 202
            rest = [event.json() async for event in events]
    assert rest[-1]["output"] == {"notes": ["a", "b", "c"]}


async def test_a_run_that_waits_inside_a_handler_is_cancelled() -> None:
    async with running(await app_of("async")) as app:
        run_id = (await streamed(app))[-1]["run_id"]
        async with request(app, "DELETE", f"/runs/{run_id}") as exchange:
            await exchange.head()
            assert exchange.status == 200
        assert (await followed(app, run_id))[-1]["type"] == "cancelled"
        assert (await answer(app, run_id, "late"))[0] == 409


class RequestResponseCycle:
    """What a server has for a request: its `send` does with the question as the test says."""

    def __init__(self, app: Any, *, fails: bool) -> None:
        self._app = app
        self._fails = fails
        self.sending = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._send = send
        await self._app(scope, receive, self.send if scope["type"] == "http" else send)

    async def send(self, message: Any) -> None:
        if b"event: interrupt" in message.get("body", b""):
            self.sending.set()
            if self._fails:
                raise OSError("The caller has gone.")
            await self.go_on.wait()
        await self._send(message)


async def test_a_caller_who_leaves_while_the_question_is_sent_leaves_a_run_that_waits() -> None:
    async with running(await app_of("async")) as app:
        async with post(RequestResponseCycle(app, fails=True), "/invoke/stream", PAYLOAD) as stream:
            await stream.head()
            run_id = stream.headers["x-run-id"]
            await stream.ended.wait()
        assert (await status(app, run_id))["status"] == "INTERRUPTED"
        assert (await answer(app, run_id, "yes"))[0] == 202
        assert (await followed(app, run_id))[-1]["output"]["notes"] == ["yes"]


async def test_what_comes_after_the_questions_is_never_sent_to_who_was_asked() -> None:
    flushes: list[Any] = []

    async def keep(run: Run, batch: Batch) -> bool:
        flushes.append(run.outbox.flush)
        return True

    async def take(message: Any) -> None: ...

    cycle = RequestResponseCycle(take, fails=False)
    cycle._send = take
    cycle.go_on.set()
    run = runner_for(asks).start({}, streams=True)
    wire = NativeWire(run.run_id, heartbeat_events=False, timestamps=Clock().now)
    writer = StreamWriter(run, wire, OpenStream(run.outbox, None, None), cycle.send, keep=keep)
    assert run.outbox.flush is not None
    await writer.write()
    assert writer.is_kept
    assert flushes == [None]
    run.leave()


async def test_a_question_whose_run_id_was_taken_meanwhile_ends_with_an_error() -> None:
    async with running(await app_of("async")) as app:
        store = app.state.dockrion.runs.store
        create = store.create_interrupted

        async def late(new: NewRun, *arguments: Any, **options: Any) -> Created:
            # As another process would, of which this one knows nothing.
            other = structs.replace(new, owner=ANONYMOUS, direct=True)
            await store.create(other)
            return await create(new, *arguments, **options)

        store.create_interrupted = late
        events = await streamed(app)
    assert events[-1]["type"] == "error"
    assert events[-1]["code"] == "SERVICE_UNAVAILABLE"


async def test_an_answer_that_comes_before_the_run_is_known_here_is_given() -> None:
    async with running(await app_of("async")) as app:
        store = app.state.dockrion.runs.store
        create = store.create_interrupted

        async def early(new: NewRun, *arguments: Any, **options: Any) -> Created:
            created = await create(new, *arguments, **options)
            [asked] = created.record.questions
            await store.resume(new.run_id, {asked.interrupt_id: "yes"}, still=[])
            return created

        store.create_interrupted = early
        run_id = (await streamed(app))[-1]["run_id"]
        assert (await followed(app, run_id))[-1]["output"]["notes"] == ["yes"]


class SlowStore:
    """Holds the first answer back until it is told to go on."""

    def __init__(self, app: FastAPI) -> None:
        self._store = app.state.dockrion.runs.store
        self._resume = self._store.resume
        self.came, self.goes_on = asyncio.Event(), asyncio.Event()
        self._store.resume = self._slowly

    async def _slowly(self, *args: Any, **named: Any) -> Any:
        self._store.resume = self._resume
        self.came.set()
        await self.goes_on.wait()
        return await self._resume(*args, **named)


async def asks_twice(payload: Any, context: StreamContext) -> Any:
    return {"notes": [await context.ask("first"), await context.ask("second")]}


async def test_an_answer_that_comes_too_late_is_none_to_the_next_question() -> None:
    async with running(app_for(asks_twice, streaming=KEPT)) as app, anyio.create_task_group() as by:
        asked = (await streamed(app))[-1]
        run_id = asked["run_id"]
        slow = SlowStore(app)
        late: list[int] = []

        async def answer_late() -> None:
            late.append((await answer(app, run_id, "late"))[0])

        by.start_soon(answer_late)
        with anyio.fail_after(5):
            await slow.came.wait()
            assert (await answer(app, run_id, "quick"))[0] == 202
            while (await status(app, run_id))["status"] != "INTERRUPTED":
                await asyncio.sleep(0.01)
            slow.goes_on.set()
            while not late:
                await asyncio.sleep(0.01)
        assert late == [409]
        assert (await status(app, run_id))["status"] == "INTERRUPTED"
        assert (await answer(app, run_id, "yes"))[0] == 202
        events = await followed(app, run_id)
        assert events[-1]["output"]["notes"] == ["quick", "yes"]


async def test_answers_to_two_questions_may_come_at_once() -> None:
    async with running(app_for(asks, streaming=KEPT)) as app, anyio.create_task_group() as by:
        first, second = (await streamed(app, {"questions": 2}))[-2:]
        run_id = first["run_id"]
        slow = SlowStore(app)
        statuses: list[int] = []

        async def answer_first() -> None:
            statuses.append((await answer(app, run_id, {first["interrupt_id"]: "one"}))[0])

        by.start_soon(answer_first)
        with anyio.fail_after(5):
            await slow.came.wait()
            assert (await answer(app, run_id, {second["interrupt_id"]: "two"}))[0] == 202
            slow.goes_on.set()
        events = await followed(app, run_id)
        assert statuses == [202]
        assert events[-1]["output"]["notes"] == ["one", "two"]
