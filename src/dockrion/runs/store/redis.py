"""Runs in Redis: for many processes on many machines."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from importlib.resources import files
from time import monotonic
from typing import Any, Final

from dockrion.backends.redis import RedisConnections, Script
from dockrion.backends.redis_lanes import Argument
from dockrion.events.model import RunStatus
from dockrion.runs.store.base import (
    READ_BYTES,
    Beat,
    Claim,
    Created,
    Entry,
    NewRun,
    Page,
    Question,
    RunPage,
    RunRecord,
    StoreError,
    StoreRules,
    Waiting,
)
from dockrion.runs.store.cursor import Place, cursor_to, place_in, place_of
from dockrion.runs.store.redis_values import (
    beat_of,
    fields_of,
    hash_of,
    json_of,
    packed_of,
    raise_if_lost,
    record_of,
    thread_hash_of,
)
from dockrion.telemetry.base import Carrier

# Of one call that lists; more would hold up everybody.
_LOOK: Final = 1000
_SWEEP: Final = 500
# Between attempts to hand back a run, and how long the end waits for that.
_RETRY_SECONDS: Final = 0.5
_CLOSE_SECONDS: Final = 1.0
# Before the first place of a list: no run is made so late.
_NEWEST: Final = Place(9_007_199_254_740_991, "")
_SCRIPT: Final = Script((files("dockrion.runs.store") / "lua" / "runs.lua").read_text("utf-8"))


def prefix_of(agent: str) -> str:
    """What all keys of an agent begin with; the braces keep them together wherever keys are spread."""
    return f"dockrion:{{{agent}}}:"


class RedisStore:
    """`RunStore`. Each change is one script, which compares the claim's token and has the time of the server."""

    def __init__(self, backend: RedisConnections, rules: StoreRules, *, prefix: str) -> None:
        self.backend = backend
        self._rules = rules
        self._prefix = prefix
        self._limits: tuple[Argument, ...] = (
            prefix,
            rules.lease_seconds,
            rules.ttl_seconds,
            rules.max_events,
            rules.max_bytes,
            rules.max_attempts,
        )
        # What is subscribed for a callback of `watch`.
        self._watchers: dict[tuple[str, Callable[[], None]], Callable[[bytes | None], None]] = {}
        self._orders: Callable[[bytes | None], None] | None = None
        self._handing_back: set[asyncio.Task[None]] = set()

    @property
    def rules(self) -> StoreRules:
        return self._rules

    @property
    def append_now(self) -> None:
        return None

    async def open(self) -> None:
        await self.backend.open()
        try:
            # What the user may not do is known here, and not when the first run is made and followed.
            keys, arguments = self._call("probe", "")
            await self.backend.probe(_SCRIPT, keys, arguments, channel=f"{self._prefix}orders")
        except BaseException:
            await self.backend.close()
            raise

    async def close(self) -> None:
        for run_id, changed in list(self._watchers):
            self.unwatch(run_id, changed)
        self._forget_orders()
        if self._handing_back:
            _, late = await asyncio.wait(self._handing_back, timeout=_CLOSE_SECONDS)
            for task in late:
                task.cancel()
        await self.backend.close()

    async def check(self) -> None:
        await self.backend.check()

    # Records

    async def create(self, new: NewRun) -> Created:
        status = RunStatus.RUNNING if new.direct else RunStatus.ACCEPTED
        return await self._create(new, status, (), (), claimed=new.direct)

    async def create_interrupted(
        self, new: NewRun, entries: Sequence[Entry], questions: Sequence[Question], *, claimed: bool
    ) -> Created:
        return await self._create(new, RunStatus.INTERRUPTED, entries, questions, claimed=claimed)

    async def _create(
        self,
        new: NewRun,
        status: RunStatus,
        entries: Sequence[Entry],
        questions: Sequence[Question],
        *,
        claimed: bool,
    ) -> Created:
        token = _token()
        owner = hash_of(new.owner.id)
        key = "" if new.idempotency_key is None else hash_of(f"{owner} {new.idempotency_key}")
        fields = fields_of(new, questions, claimed=claimed)
        is_new, fields_found = await self._run(
            "create",
            new.run_id,
            token,
            owner,
            key,
            status,
            entries[0].first if entries else 0,
            len(fields) // 2,
            *fields,
            *packed_of(entries),
        )
        record = record_of(fields_found)
        if not is_new:
            return Created(record, is_new=False)
        claim = Claim(record.run_id, token, record, new.payload) if claimed else None
        return Created(record, is_new=True, claim=claim)

    async def get(self, run_id: str) -> RunRecord | None:
        fields = await self._run("get", run_id)
        return None if fields is None else record_of(fields)

    async def list(
        self, *, owner_id: str | None, status: RunStatus | None, cursor: str | None, limit: int
    ) -> RunPage:
        before = _NEWEST if cursor is None else place_in(cursor)
        owner = "" if owner_id is None else hash_of(owner_id)
        records: list[RunRecord] = []
        while len(records) <= limit:
            found, last_us, last_id = await self._run(
                "list",
                "",
                owner,
                status or "",
                *before,
                limit + 1 - len(records),
                _LOOK,
            )
            records += map(record_of, found)
            if last_us is None:
                break
            before = Place(int(last_us), last_id.decode())
        if len(records) <= limit:
            return RunPage(records, None)
        last = records[limit - 1]
        return RunPage(records[:limit], cursor_to(place_of(last.created_at, last.run_id)))

    async def newest_in(self, thread_id: str, *, owner_id: str) -> RunRecord | None:
        fields = await self._run("newest", "", thread_hash_of(owner_id, thread_id))
        return None if fields is None else record_of(fields)

    async def waiting(self) -> Waiting:
        return Waiting(*await self._run("waiting", ""))

    # The worker's side

    async def claim(self, run_id: str) -> Claim | None:
        token = _token()
        asked = asyncio.ensure_future(self._run("claim", run_id, token))
        try:
            found = await asyncio.shield(asked)
        except BaseException:
            # Nobody will know that the run has been claimed, if it has.
            task = asyncio.create_task(self._hand_back(run_id, token, asked))
            self._handing_back.add(task)
            task.add_done_callback(self._handing_back.discard)
            raise
        if found is None:
            return None
        fields, payload = found
        return Claim(run_id, token, record_of(fields), payload)

    async def _hand_back(self, run_id: str, token: str, claimed: asyncio.Future[Any]) -> None:
        """Undo a claim, for as long as it would last."""
        await asyncio.wait([claimed])
        if not claimed.cancelled():
            claimed.exception()
        ends = monotonic() + self._rules.lease_seconds
        while monotonic() < ends:
            try:
                await self._run("hand_back", run_id, token)
            except StoreError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def release(self, claim: Claim, *, begun: bool) -> None:
        raise_if_lost(claim, await self._run("release", claim.run_id, claim.token, int(begun)))

    def heartbeat(self, claims: Sequence[Claim]) -> list[Beat]:
        if not claims:
            return []
        replies = self.backend.run_from_thread(
            _SCRIPT,
            [self._call("heartbeat", claim.run_id, claim.token) for claim in claims],
            seconds=self._rules.lease_seconds / 3,
        )
        return [beat_of(reply) for reply in replies]

    async def append(self, claim: Claim, entries: Sequence[Entry]) -> None:
        reply = await self._run("append", claim.run_id, claim.token, *packed_of(entries))
        raise_if_lost(claim, reply)

    async def finish(
        self, claim: Claim, entries: Sequence[Entry], status: RunStatus, result: bytes
    ) -> None:
        reply = await self._run(
            "finish", claim.run_id, claim.token, status, result, *packed_of(entries)
        )
        raise_if_lost(claim, reply)

    async def interrupt(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        questions: Sequence[Question],
        *,
        claimed: bool,
    ) -> None:
        reply = await self._run(
            "interrupt",
            claim.run_id,
            claim.token,
            json_of(questions),
            int(claimed),
            *packed_of(entries),
        )
        raise_if_lost(claim, reply)

    # Everybody's side

    async def resume(
        self,
        run_id: str,
        answers: dict[str, Any],
        *,
        still: Sequence[Question],
        trace: Carrier | None = None,
    ) -> RunRecord | None:
        pairs = [part for id_, value in answers.items() for part in (id_, json_of(value))]
        packed = b"" if trace is None else json_of(trace)
        ids = json_of([*answers, *(one.interrupt_id for one in still)])
        fields = await self._run("resume", run_id, json_of(still), len(still), packed, ids, *pairs)
        return None if fields is None else record_of(fields)

    async def answers_taken(self, claim: Claim, interrupt_ids: Sequence[str]) -> None:
        reply = await self._run("answers_taken", claim.run_id, claim.token, *interrupt_ids)
        raise_if_lost(claim, reply)

    async def ask_cancel(self, run_id: str, reason: str) -> RunRecord | None:
        fields = await self._run("ask_cancel", run_id, reason)
        return None if fields is None else record_of(fields)

    async def call_off(self, run_id: str) -> None:
        await self._run("call_off", run_id)

    async def settle(
        self, record: RunRecord, entry: Entry, status: RunStatus, result: bytes
    ) -> bool:
        done = await self._run(
            "settle",
            record.run_id,
            record.status,
            record.attempt,
            record.end,
            status,
            result,
            *packed_of([entry]),
        )
        return bool(done)

    async def reading(self, run_id: str, seconds: float) -> None:
        await self._run("reading", run_id, seconds)

    # Readers

    async def read(self, run_id: str, start: int) -> Page | None:
        found = await self._run("read", run_id, start, READ_BYTES)
        if found is None:
            return None
        first, end, status, *parts = found
        entries = [Entry(*parts[place : place + 3]) for place in range(0, len(parts), 3)]
        return Page(entries, first, end, RunStatus(status.decode()))

    async def watch(self, run_id: str, changed: Callable[[], None]) -> None:
        def told(_: bytes | None) -> None:
            changed()

        if (run_id, changed) in self._watchers:
            raise ValueError("the run is watched already")
        self._watchers[run_id, changed] = told
        try:
            await self.backend.subscribe(self._channel(run_id), told)
        except BaseException:
            self._watchers.pop((run_id, changed), None)
            raise

    def unwatch(self, run_id: str, changed: Callable[[], None]) -> None:
        told = self._watchers.pop((run_id, changed), None)
        if told is not None:
            self.backend.unsubscribe(self._channel(run_id), told)

    async def watch_orders(self, changed: Callable[[str | None], None]) -> None:
        def told(run_id: bytes | None) -> None:
            changed(None if run_id is None else run_id.decode())

        self._forget_orders()
        self._orders = told
        await self.backend.subscribe(f"{self._prefix}orders", told)

    def _forget_orders(self) -> None:
        if self._orders is not None:
            self.backend.unsubscribe(f"{self._prefix}orders", self._orders)
            self._orders = None

    # Housekeeping

    async def overdue(self, limit: int) -> list[RunRecord]:
        return [record_of(fields) for fields in await self._run("overdue", "", limit)]

    async def sweep(self) -> None:
        while await self._run("sweep", "", _SWEEP) == _SWEEP:
            pass

    # Steps

    def _channel(self, run_id: str) -> str:
        return f"{self._prefix}changed:{run_id}"

    def _call(
        self, operation: str, run_id: str, *arguments: Argument
    ) -> tuple[tuple[str, ...], tuple[Argument, ...]]:
        return (f"{self._prefix}run:{run_id}",), (operation, *self._limits, run_id, *arguments)

    async def _run(self, operation: str, run_id: str, *arguments: Argument) -> Any:
        keys, values = self._call(operation, run_id, *arguments)
        return await self.backend.run(_SCRIPT, keys, values)


def _token() -> str:
    return secrets.token_hex(16)
