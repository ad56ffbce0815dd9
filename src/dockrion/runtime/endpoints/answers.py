"""Answers to the questions of a run, in protocols whose pages send them with a new request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, NamedTuple

from dockrion.errors import DockrionError
from dockrion.events.identity import Identity
from dockrion.runs.call import RunCall
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.reader import Reader
from dockrion.runs.service import RunService
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.endpoints.runs import unknown
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import is_run_id
from dockrion.wires.chat import wrong
from dockrion.wires.questions import Answer

_GIVEN_UP: Final = "A caller would not answer."


class GoingOn(NamedTuple):
    """A run that has its answers, and a place in it behind what its caller has heard; `left` ends it when that one leaves,
    if anything does.
    """

    reader: Reader
    left: Callable[[], Awaitable[None]] | None


async def answer(
    host: AgentHost, call: RunCall, answers: Sequence[Answer], *, field: str, thread_field: str
) -> GoingOn:
    """Let the run that has asked go on with all the answers that it waits for. One that is not given cancels it.

    `field` and `thread_field` are what the request calls the answers, and the conversation that they must be of.
    """
    runs = host.answered
    if runs is None:
        raise wrong(field, "this agent has no async runs (streaming.async_runs)")
    run_id = answers[0].question.run_id
    if not is_run_id(run_id):
        raise unknown(run_id)
    waiting = await runs.get(run_id, call.identity)
    if call.thread_id not in (None, waiting.thread_id):
        raise wrong(thread_field, "is not that of the run that waits for these answers")
    gives_up = not all(one.given for one in answers)
    open_ones = {one.interrupt_id for one in waiting.questions}
    if open_ones and not gives_up and open_ones != {one.question.interrupt_id for one in answers}:
        raise wrong(field, f"must answer {', '.join(sorted(open_ones))}, and nothing else")
    reader = await _place_in(runs, waiting, answers)
    with left_if_refused(reader):
        if gives_up:
            await runs.cancel(run_id, call.identity, _GIVEN_UP)
            return GoingOn(reader, None)
        await runs.resume(run_id, call.identity, call.payload)
    left = None if host.kept is not None else partial(_end, runs, run_id, call.identity)
    return GoingOn(reader, left)


@contextmanager
def left_if_refused(reader: Reader) -> Generator[None]:
    """Around the answer, once there is a place to hear what follows: who gets none has answered nothing."""
    try:
        yield
    except BaseException:
        reader.leave()
        raise


async def _place_in(runs: RunService, waiting: RunRecord, answers: Sequence[Answer]) -> Reader:
    """Return where to go on: agents may say something beside an open question, when a page hears nothing more."""
    start, heard = waiting.end, answers[0].heard
    if heard is not None and waiting.first <= heard <= waiting.end:
        start = heard
    return await runs.follow(waiting, start=start, stops_at_questions=True)


async def _end(runs: RunService, run_id: str, identity: Identity) -> None:
    # It may have ended meanwhile; and nobody is there to be told of a store that does not answer.
    with suppress(DockrionError):
        await runs.cancel(run_id, identity, CALLER_LEFT.reason)
