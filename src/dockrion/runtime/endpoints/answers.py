"""Answers to the questions of a run, in protocols whose pages send them with a new request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dockrion.runs.service import RunCall, RunService
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.host import AgentHost
from dockrion.wires.chat import wrong
from dockrion.wires.questions import Answer

_GIVEN_UP: Final = "A caller would not answer."


async def answer(
    host: AgentHost, call: RunCall, answers: Sequence[Answer], *, field: str, thread_field: str
) -> tuple[RunService, RunRecord]:
    """Let the run that has asked go on with all the answers that it waits for; return it as it waited. One that is
    not given cancels it.

    `field` and `thread_field` are what the request calls the answers, and the conversation that they must be of.
    """
    runs = host.answered
    if runs is None:
        raise wrong(field, "this agent has no async runs (streaming.async_runs)")
    run_id = answers[0].question.run_id
    waiting = await runs.get(run_id, call.identity)
    if call.thread_id not in (None, waiting.thread_id):
        raise wrong(thread_field, "is not that of the run that waits for these answers")
    if not all(one.given for one in answers):
        await runs.cancel(run_id, call.identity, _GIVEN_UP)
        return runs, waiting
    open_ones = {one.interrupt_id for one in waiting.questions}
    if open_ones and open_ones != {one.question.interrupt_id for one in answers}:
        raise wrong(field, f"must answer {', '.join(sorted(open_ones))}, and nothing else")
    await runs.resume(run_id, call.identity, call.payload)
    return runs, waiting
