"""Runs in a Redis that any number of processes and machines share.

Each change is one script (`lua/`), so state, fence and events change together; the time is that of Redis. A run's
events are a stream with one entry for up to 256 of them, with the id `0-<sequence after the last one>`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import cache, partial
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import msgspec

from dockrion.backends.redis import RedisBackend, Script
from dockrion.events.identity import Identity
from dockrion.events.jsonable import encode
from dockrion.events.model import RunStatus
from dockrion.runs.store.base import (
    MAX_WAIT_SECONDS,
    READ_BYTES,
    Beat,
    CancelAskedError,
    Claim,
    Created,
    Entry,
    LeaseLostError,
    NewRun,
    Page,
    Question,
    RunPage,
    RunRecord,
    StoreRules,
)
from dockrion.runs.store.cursor import cursor_to, place_in, place_of

# Longer than any run lives without a sign: what is left of an app that was given up goes by itself.
_LIVE_SECONDS: Final = MAX_WAIT_SECONDS + 86_400
_SWEPT: Final = 500
_WAIT_US: Final = int(MAX_WAIT_SECONDS * 1e6)


class RedisStore:
    """`RunStore`. `prefix` keeps the runs of one agent apart from all else in that Redis."""

    def __init__(self, backend: RedisBackend, rules: StoreRules, *, prefix: str) -> None:
        self._backend = backend
        self._rules = rules
        self._prefix = prefix
        self._rule_args = (
            _us(rules.lease_seconds),
            _us(rules.ttl_seconds),
            _us(_LIVE_SECONDS),
            rules.max_attempts,
            rules.max_events,
            rules.max_bytes,
        )
        # What `watch` was called with, and what the backend calls for it.
        self._watchers: dict[tuple[str, Callable[[], None]], Callable[[bytes | None], None]] = {}
        self._orders: Callable[[bytes | None], None] | None = None

    @property
    def rules(self) -> StoreRules:
        return self._rules

    async def open(self) -> None:
        await self._backend.open()

    async def close(self) -> None:
        await self._backend.close()

    async def check(self) -> None:
        await self._backend.check()

    # Records

    async def create(self, new: NewRun) -> Created:
        mode = "direct" if new.direct else "accepted"
        return await self._create(new, mode, {"en": 0, "fi": 0}, claimed=new.direct, entries=())

    async def create_interrupted(
        self, new: NewRun, entries: Sequence[Entry], questions: Sequence[Question], *, claimed: bool
    ) -> Created:
        mode = "interrupted-claimed" if claimed else "interrupted"
        first = entries[0].first
        fields = {"en": first, "fi": first, "qs": encode(questions)}
        return await self._create(new, mode, fields, claimed=claimed, entries=entries)

    async def _create(
        self,
        new: NewRun,
        mode: str,
        more: dict[str, Any],
        *,
        claimed: bool,
        entries: Sequence[Entry],
    ) -> Created:
        token = secrets.token_hex(16) if claimed else ""
        fields: dict[str, Any] = {
            "id": new.run_id,
            "ow": msgspec.json.encode(new.owner),
            "fp": new.fingerprint,
            "pl": new.payload,
            "th": new.thread_id,
            "rq": new.request_id,
            "di": 1 if new.direct else None,
            **more,
        }
        pairs = [
            part for name, value in fields.items() if value is not None for part in (name, value)
        ]
        key = ""
        if new.idempotency_key is not None:
            key = f"{self._prefix}key:{_hash(new.owner.id)}:{_hash(new.idempotency_key)}"
        args = (mode, token, key, len(pairs) // 2, *pairs, *_flat(entries), _WAIT_US)
        is_new, found = await self._run("create", new.run_id, *args, owner_id=new.owner.id)
        record = _record(found)
        if not is_new or not claimed:
            return Created(record, is_new=bool(is_new))
        claim = Claim(new.run_id, token, record, new.payload)
        return Created(record, is_new=True, claim=claim)

    async def get(self, run_id: str) -> RunRecord | None:
        found = await self._backend.call("HMGET", self._key("run", run_id), *_FIELDS)
        return None if found[0] is None else _record(found)

    async def list(
        self, *, owner_id: str | None, status: RunStatus | None, cursor: str | None, limit: int
    ) -> RunPage:
        place = None if cursor is None else place_in(cursor)
        index = self._key("runs") if owner_id is None else self._own(owner_id)
        seen = ("", "") if place is None else (place.created_us, place.run_id)
        args = (*self._rule_args, status or "", *seen, limit + 1)
        found = await self._backend.run(_script("list"), [index], self._prefix, "", *args)
        records = [_record(one) for one in found[:limit]]
        more = len(found) > limit
        last = records[-1] if records else None
        next_cursor = cursor_to(place_of(last.created_at, last.run_id)) if more and last else None
        return RunPage(records, next_cursor)

    # The worker's side

    async def claim(self, run_id: str) -> Claim | None:
        token = secrets.token_hex(16)
        found = await self._run("claim", run_id, token)
        if found is None:
            return None
        return Claim(run_id, token, _record(found[0]), found[1])

    async def release(self, claim: Claim, *, begun: bool) -> None:
        _check(await self._run("release", claim.run_id, claim.token, int(begun)), claim)

    def heartbeat(self, claims: Sequence[Claim]) -> list[Beat]:
        tokens = [part for claim in claims for part in (claim.run_id, claim.token)]
        keys = [self._key("run", ""), "", self._key("due")]
        args = (self._prefix, "", *self._rule_args, *tokens)
        # A third of a lease for connecting, another for the answer, and the next beat is due.
        seconds = self._rules.lease_seconds / 6
        answers = self._backend.run_blocking(_script("heartbeat"), keys, *args, seconds=seconds)
        return [_beat(answer.decode()) for answer in answers]

    async def append(self, claim: Claim, entries: Sequence[Entry]) -> None:
        _check(await self._run("append", claim.run_id, claim.token, *_flat(entries)), claim)

    async def finish(
        self, claim: Claim, entries: Sequence[Entry], status: RunStatus, result: bytes
    ) -> None:
        args = (claim.token, status, result, *_flat(entries))
        owner_id = claim.record.owner.id
        _check(await self._run("finish", claim.run_id, *args, owner_id=owner_id), claim)

    async def interrupt(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        questions: Sequence[Question],
        *,
        claimed: bool,
    ) -> None:
        args = (claim.token, int(claimed), encode(questions), _WAIT_US, *_flat(entries))
        _check(await self._run("interrupt", claim.run_id, *args), claim)

    # Everybody's side

    async def resume(
        self, run_id: str, answers: dict[str, Any], *, still: Sequence[Question]
    ) -> RunRecord | None:
        # One a line, so that scripts can tell them apart; JSON has no line breaks of its own.
        lines = b"".join(
            b"%b\t%b\n" % (name.encode(), encode(answer)) for name, answer in answers.items()
        )
        found = await self._run("resume", run_id, lines, encode(still) if still else "")
        return None if found is None else _record(found)

    async def answers_taken(self, claim: Claim, interrupt_ids: Sequence[str]) -> None:
        _check(await self._run("answers_taken", claim.run_id, claim.token, *interrupt_ids), claim)

    async def ask_cancel(self, run_id: str, reason: str) -> RunRecord | None:
        found = await self._run("ask_cancel", run_id, reason)
        return None if found is None else _record(found)

    async def settle(
        self, record: RunRecord, entry: Entry, status: RunStatus, result: bytes
    ) -> bool:
        was = (record.status, record.attempt, record.end)
        args = (*was, status, result, *_flat([entry]))
        return bool(await self._run("settle", record.run_id, *args, owner_id=record.owner.id))

    async def reading(self, run_id: str, seconds: float) -> None:
        await self._run("reading", run_id, _us(seconds))

    # Readers

    async def read(self, run_id: str, start: int) -> Page | None:
        found = await self._run("read", run_id, start, READ_BYTES)
        if found is None:
            return None
        first, end, status, parts = found
        entries = [
            Entry(int(parts[at]), int(parts[at + 1]), parts[at + 2])
            for at in range(0, len(parts), 3)
        ]
        return Page(entries, int(first), int(end), RunStatus(status.decode()))

    async def watch(self, run_id: str, changed: Callable[[], None]) -> None:
        callback = partial(_call, changed)
        self._watchers[run_id, changed] = callback
        try:
            await self._backend.subscribe(self._key("run", run_id), callback)
        except BaseException:
            self._watchers.pop((run_id, changed), None)
            raise

    def unwatch(self, run_id: str, changed: Callable[[], None]) -> None:
        callback = self._watchers.pop((run_id, changed), None)
        if callback is not None:
            self._backend.unsubscribe(self._key("run", run_id), callback)

    async def watch_orders(self, changed: Callable[[str | None], None]) -> None:
        channel = self._key("orders")
        if self._orders is not None:
            self._backend.unsubscribe(channel, self._orders)
        self._orders = partial(_order, changed)
        await self._backend.subscribe(channel, self._orders)

    # Housekeeping

    async def overdue(self, limit: int) -> list[RunRecord]:
        keys = [self._key("run", ""), "", self._key("due")]
        args = (self._prefix, "", *self._rule_args, limit)
        found = await self._backend.run(_script("overdue"), keys, *args)
        return [_record(one) for one in found]

    async def sweep(self) -> None:
        keys = ["", "", "", self._key("runs"), "", self._key("ends")]
        args = (self._prefix, "", *self._rule_args, _SWEPT)
        while await self._backend.run(_script("sweep"), keys, *args) == _SWEPT:
            pass

    # Steps

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)

    def _own(self, owner_id: str) -> str:
        return self._key("own", _hash(owner_id))

    async def _run(self, name: str, run_id: str, *args: Any, owner_id: str = "") -> Any:
        keys = [
            self._key("run", run_id),
            self._key("events", run_id),
            self._key("due"),
            self._key("runs"),
            self._own(owner_id),
            self._key("ends"),
        ]
        return await self._backend.run(
            _script(name), keys, self._prefix, run_id, *self._rule_args, *args
        )


_FIELDS: Final = (
    "st", "ow", "fp", "ca", "sa", "fa", "th", "rq", "di", "tk",
    "at", "fi", "en", "rs", "qs", "an", "cr", "ru", "id",
)  # fmt: skip


@cache
def _script(name: str) -> Script:
    folder = files("dockrion.runs.store") / "lua"
    source = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in ("run", name))
    return Script(name, source)


def _record(found: Sequence[bytes | None]) -> RunRecord:
    values = dict(zip(_FIELDS, found, strict=True))
    return RunRecord(
        run_id=_text(values["id"]) or "",
        status=RunStatus(_text(values["st"]) or ""),
        owner=msgspec.json.decode(values["ow"] or b"", type=Identity),
        fingerprint=_text(values["fp"]) or "",
        created_at=_seconds(values["ca"]) or 0.0,
        started_at=_seconds(values["sa"]),
        finished_at=_seconds(values["fa"]),
        thread_id=_text(values["th"]),
        request_id=_text(values["rq"]),
        direct=values["di"] == b"1",
        claimed=values["tk"] is not None,
        attempt=int(values["at"] or 0),
        first=int(values["fi"] or 0),
        end=int(values["en"] or 0),
        result=values["rs"],
        questions=msgspec.json.decode(values["qs"] or b"[]", type=tuple[Question, ...]),
        answers=_answers(values["an"]),
        cancel_reason=_text(values["cr"]),
        read_until=_seconds(values["ru"]) or 0.0,
    )


def _answers(lines: bytes | None) -> dict[str, Any] | None:
    if not lines:
        return None
    pairs = (line.split(b"\t", 1) for line in lines.splitlines())
    return {name.decode(): msgspec.json.decode(value) for name, value in pairs}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _seconds(value: bytes | None) -> float | None:
    return None if value is None else int(value) / 1e6


def _us(seconds: float) -> int:
    return int(seconds * 1e6)


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _flat(entries: Sequence[Entry]) -> list[Any]:
    flat: list[Any] = [len(entries)]
    for entry in entries:
        flat += (entry.first, entry.end, entry.body)
    return flat


def _check(answer: bytes, claim: Claim) -> None:
    if answer == b"OK":
        return
    if answer == b"LOST":
        raise LeaseLostError(claim.run_id)
    if answer.startswith(b"CANCEL "):
        raise CancelAskedError(answer[7:].decode())
    end = answer.removeprefix(b"HOLE ").decode()
    raise ValueError(f"the store has the events before {end}; those that follow are missing")


def _beat(answer: str) -> Beat:
    if answer.startswith("CANCEL "):
        return Beat(is_lost=False, cancel_reason=answer[7:])
    return Beat(is_lost=answer == "LOST")


def _call(changed: Callable[[], None], _said: bytes | None) -> None:
    changed()


def _order(changed: Callable[[str | None], None], said: bytes | None) -> None:
    changed(None if said is None else said.decode())
