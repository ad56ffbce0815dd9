"""The end of runs that are kept: their last event, what their record says from then on, and what is read in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from dockrion.events.jsonable import encode
from dockrion.events.model import Batch, Cancelled, Complete, Failed, Outcome, RunStatus
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
        return Failed("", msgspec.json.decode(record.result, type=_FailedResult).error.code)
    return Complete(None, 0.0, {})


class _Error(msgspec.Struct):
    code: str


class _FailedResult(msgspec.Struct):
    error: _Error


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
