"""One run in the memory of a process, and what may be done with it now."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic, time
from typing import Self

import msgspec

from dockrion.events.model import RunStatus
from dockrion.runs.kept import KeptEvents
from dockrion.runs.store.base import (
    MAX_WAIT_SECONDS,
    CancelAskedError,
    Entry,
    NewRun,
    RunRecord,
    StoreRules,
)

_Replace = msgspec.structs.replace


class StoredRun:
    """`token` is set while somebody has the run, `last_token` once that one has let go of it."""

    __slots__ = (
        "_record",
        "ended",
        "events",
        "key",
        "last_token",
        "lease_ends",
        "payload",
        "seen",
        "token",
    )

    def __init__(
        self, record: RunRecord, payload: bytes, key: tuple[str, str] | None, events: KeptEvents
    ) -> None:
        self._record = record
        self.payload = payload
        self.key = key
        self.events = events
        self.token: str | None = None
        self.last_token: str | None = None
        self.lease_ends = 0.0
        # When it last became somebody's business: accepted, told to be overdue, interrupted.
        self.seen = monotonic()
        self.ended = 0.0

    @classmethod
    def of(cls, new: NewRun, status: RunStatus, rules: StoreRules, *, first: int) -> Self:
        record = RunRecord(
            run_id=new.run_id,
            status=status,
            owner=new.owner,
            fingerprint=new.fingerprint,
            created_at=time(),
            thread_id=new.thread_id,
            request_id=new.request_id,
            direct=new.direct,
            trace=new.trace,
            first=first,
            end=first,
        )
        key = None if new.idempotency_key is None else (new.owner.id, new.idempotency_key)
        events = KeptEvents(max_events=rules.max_events, max_bytes=rules.max_bytes, first=first)
        return cls(record, new.payload, key, events)

    @property
    def record(self) -> RunRecord:
        record, events = self._record, self.events
        if record.end != events.end or record.first != events.first:
            # Not at each append: there are many more of those than anybody looks.
            record = self._record = _Replace(record, first=events.first, end=events.end)
        return record

    @record.setter
    def record(self, record: RunRecord) -> None:
        self._record = record

    @property
    def thread(self) -> tuple[str, str] | None:
        record = self.record
        return None if record.thread_id is None else (record.owner.id, record.thread_id)

    def give(self, token: str, rules: StoreRules) -> None:
        record = self.record
        self.token = token
        self.lease_ends = monotonic() + rules.lease_seconds
        self.record = _Replace(
            record,
            status=RunStatus.INTERRUPTED if record.questions else RunStatus.RUNNING,
            attempt=record.attempt + 1,
            started_at=record.started_at or time(),
            claimed=True,
        )

    def let_go(self) -> None:
        self.last_token, self.token = self.token, None
        self.record = _Replace(self.record, claimed=False)

    def end(self, status: RunStatus, result: bytes) -> None:
        self.let_go()
        self.payload = b""
        self.ended = monotonic()
        self.record = _Replace(
            self.record,
            status=status,
            finished_at=time(),
            result=result,
            questions=(),
            answers=None,
        )

    def keep(self, entries: Sequence[Entry]) -> None:
        """Append what is not there yet; raise `ValueError` for a hole."""
        events = self.events
        new = [entry for entry in entries if entry.first >= events.end]
        if not new:
            return
        end = events.end
        for entry in new:
            if entry.first != end:
                raise ValueError(f"events {end} to {entry.first} are missing")
            end = entry.end
        events.append(new)
        events.trim()

    def refuse_if_cancelled(self, status: RunStatus | None) -> None:
        """Raise `CancelAskedError` where another state than CANCELLED has been ruled out."""
        reason = self.record.cancel_reason
        if reason is not None and status is not RunStatus.CANCELLED:
            raise CancelAskedError(reason)

    @property
    def lease_has_passed(self) -> bool:
        return self.token is None or monotonic() >= self.lease_ends

    def can_be_claimed(self, rules: StoreRules) -> bool:
        record = self.record
        if record.status is RunStatus.ACCEPTED:
            return True
        lost = record.status is RunStatus.RUNNING and self.lease_has_passed
        return lost and not record.direct and record.attempt < rules.max_attempts

    def is_overdue(self, now: float, rules: StoreRules) -> bool:
        lease = rules.lease_seconds
        if self.token is not None:
            return now >= self.lease_ends and now - self.seen >= lease / 3
        if self.record.status is RunStatus.INTERRUPTED:
            return now - self.seen >= MAX_WAIT_SECONDS
        return now - self.seen >= lease

    def has_expired(self, rules: StoreRules) -> bool:
        return self.record.is_final and monotonic() - self.ended >= rules.ttl_seconds
