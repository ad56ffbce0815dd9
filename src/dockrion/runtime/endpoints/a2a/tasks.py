"""Tasks that are there: got, listed, cancelled. They are kept runs, and what is told of one is made of its events."""

from __future__ import annotations

import asyncio
from typing import Any

from dockrion.errors import ConflictError, NotFoundError
from dockrion.events.decoding import batches_of
from dockrion.events.identity import Identity
from dockrion.events.model import Interrupt, RunStatus
from dockrion.runs.kept import piece_of
from dockrion.runs.service import RunService
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.endpoints.a2a.listing import list_tasks
from dockrion.runtime.endpoints.runs import CANCELLED_BY_CALLER, runs_of
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import is_run_id
from dockrion.wires.a2a.requests import Asked, Cancel, Get, ListAll, Send
from dockrion.wires.a2a.rpc import Kind, RefusedError
from dockrion.wires.a2a.tasks import A2aWire
from dockrion.wires.a2a.words import State, Words
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat


def unsupported(what: str) -> RefusedError:
    """Return the error of what needs runs that are kept."""
    says = f"This agent keeps no tasks, which {what} needs; streaming.async_runs switches that on."
    return RefusedError(Kind.UNSUPPORTED, says)


def no_task(task_id: str) -> NotFoundError:
    return NotFoundError(f"There is no task {task_id[:128]!r}.")


class Tasks:
    """One for each app."""

    def __init__(self, host: AgentHost, chat: Chat) -> None:
        self._host = host
        self._chat = chat

    def message(self, words: Words) -> Send:
        """Return what makes the wire of somebody who looks at a task."""
        return Send(chat=self._chat, words=words)

    async def found(self, task_id: str, identity: Identity) -> tuple[RunService, RunRecord]:
        """Return a task of the caller's; raise `NotFoundError`."""
        runs = await self._runs("looking at a task")
        if not is_run_id(task_id):
            raise no_task(task_id)
        try:
            return runs, await runs.get(task_id, identity)
        except NotFoundError:
            raise no_task(task_id) from None

    async def answer(self, asked: Asked, identity: Identity) -> Any:
        """Return the result of what asks for tasks."""
        match asked:
            case Get(words=words, task_id=task_id):
                _, record = await self.found(task_id, identity)
                return await self._told(self.message(words), record)
            case Cancel(words=words, task_id=task_id):
                return await self._cancel(words, task_id, identity)
            case ListAll():
                return await self._list(asked, identity)
            case _:
                raise AssertionError("the others are streams")

    async def sent(self, asked: Send, record: RunRecord) -> dict[str, Any]:
        """Return the answer to a message whose task is not waited for."""
        return asked.words.answer(asked.words.sent(await self._told(asked, record)))

    async def _runs(self, what: str) -> RunService:
        if self._host.runs is None:
            raise unsupported(what)
        return await runs_of(self._host)

    async def _cancel(self, words: Words, task_id: str, identity: Identity) -> dict[str, Any]:
        runs, _ = await self.found(task_id, identity)
        try:
            record = await runs.cancel(task_id, identity, CANCELLED_BY_CALLER)
        except ConflictError as exc:
            raise RefusedError(Kind.NOT_CANCELABLE, exc.message, code=exc.code) from exc
        wire = await self._replayed(self.message(words), record)
        # It ends so whatever happens, if it has not yet.
        return wire.task(state=State.CANCELED)

    async def _list(self, asked: ListAll, identity: Identity) -> dict[str, Any]:
        runs = await self._runs("listing tasks")
        listed = await list_tasks(runs, asked, identity)
        tasks: list[dict[str, Any]] = []
        for run_id in listed.run_ids:
            # It may have gone since, or be in another state.
            record = await runs.store.get(run_id)
            if record is not None:
                # A page of them is a lot to tell, and others have their streams meanwhile.
                await asyncio.sleep(0)
                wire = await self._replayed(
                    self.message(asked.words), record, whole=asked.artifacts
                )
                if asked.state in (None, wire.state):
                    tasks.append(wire.task(artifacts=asked.artifacts))
        # The store's clock is not that of events.
        tasks.sort(key=lambda task: task["status"]["timestamp"], reverse=True)
        return {
            "tasks": tasks,
            "nextPageToken": listed.next_token,
            "pageSize": asked.limit,
            "totalSize": listed.total,
        }

    async def _told(self, asked: Send, record: RunRecord) -> dict[str, Any]:
        wire = await self._replayed(asked, record)
        return wire.task()

    async def _replayed(self, asked: Send, record: RunRecord, *, whole: bool = True) -> A2aWire:
        """Return a wire that has told of all that is kept of a run; unless `whole`, of as much as its status takes."""
        run = WireRun(
            run_id=record.run_id, thread_id=record.thread_id, streams=False, cursors=False
        )
        wire = asked.wire(run)
        wire.stands_since(self._host.timestamps.text_of(record.created_at))
        store = (await runs_of(self._host)).store
        # Without its first events the end alone says what is whole: the output.
        ends = record.is_final and (record.first > 0 or not whole)
        position = record.end - 1 if ends else record.first
        while position < record.end:
            page = await store.read(record.run_id, position)
            if page is None or not page.entries:
                break
            piece = piece_of(page.entries, max(position, page.first))
            for batch in batches_of(piece.body, first=piece.first, end=piece.end):
                wire.encode(batch)
            position = piece.end
        if not record.is_final:
            wire.waits_for(questions_of(record))
        return wire


def questions_of(record: RunRecord) -> tuple[Interrupt, ...]:
    """Return what a run waits for."""
    if record.status is not RunStatus.INTERRUPTED:
        return ()
    return tuple(Interrupt(one.value, one.interrupt_id) for one in record.questions)
