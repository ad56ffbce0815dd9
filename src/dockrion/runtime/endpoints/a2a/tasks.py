"""Tasks that are there: got, listed, cancelled. They are kept runs, and what is told of one is made of its events."""

from __future__ import annotations

from typing import Any, Final

from dockrion.errors import ConflictError, NotFoundError
from dockrion.events.decoding import batches_of
from dockrion.events.identity import Identity
from dockrion.events.model import Interrupt, RunStatus
from dockrion.runs.kept import piece_of
from dockrion.runs.service import RunService
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.endpoints.runs import CANCELLED_BY_CALLER, runs_of
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import is_run_id
from dockrion.wires.a2a.requests import Asked, Cancel, Get, ListAll, Send
from dockrion.wires.a2a.rpc import Kind, RefusedError
from dockrion.wires.a2a.tasks import A2aWire
from dockrion.wires.a2a.words import State, Words
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, wrong

# Of a list that is filtered: so many pages of the store are looked through for one answer.
_MAX_PAGES: Final = 10
_STATUSES: Final = {
    State.SUBMITTED: RunStatus.ACCEPTED,
    State.WORKING: RunStatus.RUNNING,
    State.INPUT_REQUIRED: RunStatus.INTERRUPTED,
    State.COMPLETED: RunStatus.COMPLETED,
    State.FAILED: RunStatus.FAILED,
    State.REJECTED: RunStatus.FAILED,
    State.CANCELED: RunStatus.CANCELLED,
}


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
        """Return a page of the newest tasks, those that came into their state last at first.

        The store knows them in the order in which they were made, and does not count: pages do not overlap, and the total
        is that of the pages so far.
        """
        runs = await self._runs("listing tasks")
        status = None if asked.state is None else _STATUSES[asked.state]
        before, cursor = _read_token(asked.token)
        tasks: list[dict[str, Any]] = []
        for _ in range(_MAX_PAGES):
            page = await runs.list(identity, status=status, cursor=cursor, limit=asked.limit)
            cursor = page.next_cursor
            for record in page.records:
                if self._is_wanted(asked, record):
                    tasks += await self._listed(asked, record)
            if tasks or cursor is None:
                break
        tasks.sort(key=lambda task: task["status"].get("timestamp", ""), reverse=True)
        total = before + len(tasks)
        return {
            "tasks": tasks,
            "nextPageToken": "" if cursor is None else f"{total}.{cursor}",
            "pageSize": asked.limit,
            "totalSize": total,
        }

    def _is_wanted(self, asked: ListAll, record: RunRecord) -> bool:
        if asked.thread_id not in (None, record.thread_id or record.run_id):
            return False
        latest = record.finished_at or record.started_at or record.created_at
        return asked.after is None or latest > asked.after

    async def _listed(self, asked: ListAll, record: RunRecord) -> list[dict[str, Any]]:
        wire = await self._replayed(self.message(asked.words), record)
        if asked.state not in (None, wire.state):
            # Rejected ones are among those that have failed.
            return []
        return [wire.task(artifacts=asked.artifacts)]

    async def _told(self, asked: Send, record: RunRecord) -> dict[str, Any]:
        wire = await self._replayed(asked, record)
        return wire.task()

    async def _replayed(self, asked: Send, record: RunRecord) -> A2aWire:
        """Return a wire that has told of all that is kept of a run."""
        run = WireRun(
            run_id=record.run_id, thread_id=record.thread_id, streams=False, cursors=False
        )
        wire = asked.wire(run)
        store = (await runs_of(self._host)).store
        # Without its first events the end alone says what is whole: the output.
        trimmed = record.is_final and record.first > 0
        position = record.end - 1 if trimmed else record.first
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


def _read_token(token: str | None) -> tuple[int, str | None]:
    if token is None:
        return 0, None
    count, dot, cursor = token.partition(".")
    if not (dot and cursor and count.isascii() and count.isdigit() and len(count) < 10):
        raise wrong("pageToken", "must be the nextPageToken of another page")
    return int(count), cursor
