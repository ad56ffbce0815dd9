"""What the script of `redis.py` takes, and what it gives, as Redis has it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dockrion.backends.redis_lanes import Argument
from dockrion.events.identity import Identity
from dockrion.events.model import RunStatus
from dockrion.runs.store.base import (
    Beat,
    CancelAskedError,
    Claim,
    Entry,
    LeaseLostError,
    NewRun,
    Question,
    RunRecord,
)
from dockrion.telemetry.base import Carrier

_TRACE: Final = msgspec.json.Decoder(Carrier)
_QUESTIONS: Final = msgspec.json.Decoder(tuple[Question, ...])


def record_of(fields: Sequence[Any]) -> RunRecord:
    """Return the record of which the script gave the fields, in the order that it has them."""
    status, owner, fingerprint, created_us, started, finished, thread, request, *rest = fields
    direct, lease, attempt, first, end, result, questions, reason, read_until, *last = rest
    trace, answers, id_ = last
    return RunRecord(
        run_id=id_.decode(),
        status=RunStatus(status.decode()),
        owner=msgspec.json.decode(owner, type=Identity),
        fingerprint=fingerprint.decode(),
        created_at=int(created_us) / 1_000_000,
        started_at=None if started is None else float(started),
        finished_at=None if finished is None else float(finished),
        thread_id=_text(thread),
        request_id=_text(request),
        direct=direct is not None,
        claimed=lease is not None,
        attempt=int(attempt),
        first=int(first),
        end=int(end),
        result=result,
        questions=() if questions is None else _QUESTIONS.decode(questions),
        answers=_answers(answers),
        cancel_reason=_text(reason),
        read_until=0.0 if read_until is None else float(read_until),
        trace=_TRACE.decode(trace) if trace else None,
    )


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def thread_hash_of(owner_id: str, thread_id: str) -> str:
    """The key of an owner's thread."""
    return hash_of(f"{hash_of(owner_id)} {thread_id}")


def json_of(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _answers(parts: Sequence[bytes]) -> dict[str, Any] | None:
    if not parts:
        return None
    return {
        parts[place].decode(): msgspec.json.decode(parts[place + 1])
        for place in range(0, len(parts), 2)
    }


def fields_of(new: NewRun, questions: Sequence[Question], *, claimed: bool) -> list[Argument]:
    values: dict[str, Argument | None] = {
        "owner": json_of(new.owner),
        "fingerprint": new.fingerprint,
        "thread_id": new.thread_id,
        "thread": None if new.thread_id is None else thread_hash_of(new.owner.id, new.thread_id),
        "request_id": new.request_id,
        "direct": 1 if new.direct else None,
        "trace": None if new.trace is None else json_of(new.trace),
        "payload": new.payload,
        "questions": json_of(questions) if questions else None,
        "claims": 1 if claimed else None,
    }
    return [part for name, value in values.items() if value is not None for part in (name, value)]


def packed_of(entries: Sequence[Entry]) -> list[Argument]:
    packed: list[Argument] = [len(entries)]
    for entry in entries:
        packed += (entry.first, entry.end, entry.body)
    return packed


def beat_of(reply: Sequence[Any]) -> Beat:
    if reply[0] != b"ok":
        return Beat(is_lost=True)
    return Beat(is_lost=False, cancel_reason=_text(reply[1]) if len(reply) > 1 else None)


def raise_if_lost(claim: Claim, reply: Sequence[Any]) -> None:
    match reply:
        case [b"ok", *_]:
            return
        case [b"cancel", reason]:
            raise CancelAskedError(reason.decode())
        case [b"hole", end, first]:
            raise ValueError(f"events {end} to {first} are missing")
        case _:
            raise LeaseLostError(claim.run_id)
