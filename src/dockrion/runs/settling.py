"""The end of runs that are kept: their last event, what their record says from then on, and what is read in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from dockrion.events.jsonable import encode
from dockrion.events.model import Batch, Cancelled, Complete, Failed, Outcome, RunStatus
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.kept import entries_of
from dockrion.runs.observer import RunObserver
from dockrion.runs.store.base import Entry, RunRecord, RunStore


class LastWord(NamedTuple):
    """What ends a run in its store."""

    entry: Entry
    status: RunStatus
    result: bytes


def last_word(record: RunRecord, terminal: Failed | Cancelled, timestamp: str) -> LastWord:
    """Make the end of a run that no agent has ended."""
    status, result = ended_as(terminal, {"run_id": record.run_id})
    [entry] = entries_of(record.run_id, Batch([terminal], record.end, timestamp))
    return LastWord(entry, status, result)


async def settle(
    store: RunStore,
    record: RunRecord,
    terminal: Failed | Cancelled,
    timestamp: str,
    observer: RunObserver,
) -> bool:
    """End a run that no worker has; false where it is not as `record` says any more."""
    settled = await store.settle(record, *last_word(record, terminal, timestamp))
    if settled:
        observer.ended(terminal)
    return settled


def ended_as(outcome: Outcome | None, metadata: dict[str, Any]) -> tuple[RunStatus, bytes]:
    """Return the final state of a run, and the JSON that `GET /runs/{run_id}` has of it."""
    match outcome:
        case Complete():
            result = {"output": outcome.output, "metadata": outcome.metadata}
            return RunStatus.COMPLETED, encode(result)
        case Failed():
            error = {"code": outcome.code, "message": outcome.error, "details": outcome.details}
            return RunStatus.FAILED, encode({"error": error, "metadata": metadata})
        case _:
            return RunStatus.CANCELLED, encode({"metadata": metadata})


def outcome_of(record: RunRecord | None) -> Outcome:
    """How a final run ended, without what its last event has already."""
    if record is None or record.status is RunStatus.CANCELLED:
        return Cancelled("")
    if record.status is RunStatus.FAILED and record.result is not None:
        error = msgspec.json.decode(record.result, type=_Result).error
        return Failed("", error.code if error is not None else "INTERNAL_ERROR")
    # What it is may be large.
    return Complete(None, 0.0, {})


def without_output(outcome: Outcome | None) -> Outcome | None:
    """Return how a run ended for those who follow it, who get all else with its last event."""
    match outcome:
        case Complete():
            return Complete(None, outcome.latency_seconds, {})
        case Failed():
            return Failed("", outcome.code)
        case Cancelled():
            # A copy: it is not the caller of now who left.
            return Cancelled(outcome.reason)
        case _:
            return None


def ending_of(record: RunRecord) -> Complete | Failed | Cancelled:
    """Return how a run has ended, of which `ended_as` has written what there is."""
    if record.status is RunStatus.CANCELLED or record.result is None:
        # Without a word of anybody's it ends so alone.
        return CALLER_LEFT if record.cancel_reason is None else Cancelled(record.cancel_reason)
    result = msgspec.json.decode(record.result, type=_Result)
    if result.error is None:
        return Complete(result.output, 0.0, result.metadata)
    return Failed(result.error.message, result.error.code, result.error.details)


class _Error(msgspec.Struct):
    message: str
    code: str
    details: Any = None


class _Result(msgspec.Struct):
    output: Any = None
    metadata: dict[str, Any] = {}
    error: _Error | None = None
