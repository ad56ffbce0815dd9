"""The seam of run stores: the one truth about runs, for all processes that share a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from dockrion.backends.base import BackendError
from dockrion.events.identity import Identity
from dockrion.events.model import RunStatus
from dockrion.telemetry.base import Carrier

FINAL: Final = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})
# What waits for answers for longer ends with `TIMEOUT`.
MAX_WAIT_SECONDS: Final = 7 * 86_400.0
MAX_RUN_BYTES: Final = 16 << 20
# What one `read` gives at most, but for a larger entry.
READ_BYTES: Final = 256 << 10


class StoreRules(msgspec.Struct, frozen=True, kw_only=True):
    """`ttl_seconds` counts from the end of a run; past `max_events` or `max_bytes` its oldest events go."""

    lease_seconds: float
    max_attempts: int
    ttl_seconds: float
    max_events: int
    max_bytes: int = MAX_RUN_BYTES


class Entry(msgspec.Struct, frozen=True, gc=False):
    """Frames (SSE, as the native wire writes them) of the events `first` to before `end`: at least one, at most 256."""

    first: int
    end: int
    body: bytes


class Question(msgspec.Struct, frozen=True):
    """What a run waits for an answer to."""

    interrupt_id: str
    value: Any


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """`payload` is the agent's input as JSON; `fingerprint` tells two requests with one id apart.

    `trace` is what its spans are traced to. An `idempotency_key` belongs to its owner. A `direct` run is a stream of the process that creates it: that
    process has claimed it from the start, and nobody executes it anew.
    """

    run_id: str
    owner: Identity
    payload: bytes
    fingerprint: str
    thread_id: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None
    direct: bool = False
    trace: Carrier | None = None


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run as of one moment. Times are Unix seconds by the clock of the store.

    `attempt` counts claims since the run was accepted or resumed. Sequences from `first` to before `end` can be
    read. `result` is a JSON object with the `output` or `error` and the `metadata` of a final run.
    `claimed`: a worker has the run, or had it when it was lost. `questions` are those of an interrupted run; `answers` (interrupt id to value) those that its next claim, or the
    worker that holds it, gets. `read_until` is the latest `reading` of a direct run.
    """

    run_id: str
    status: RunStatus
    owner: Identity
    fingerprint: str
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    thread_id: str | None = None
    request_id: str | None = None
    direct: bool = False
    claimed: bool = False
    attempt: int = 0
    first: int = 0
    end: int = 0
    result: bytes | None = None
    questions: tuple[Question, ...] = ()
    answers: dict[str, Any] | None = None
    cancel_reason: str | None = None
    read_until: float = 0.0
    trace: Carrier | None = None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


class Claim(msgspec.Struct, frozen=True):
    """The right to write one run, which may be taken from it once its lease has ended; `token` is a secret of its own."""

    run_id: str
    token: str
    record: RunRecord
    payload: bytes


class Created(msgspec.Struct, frozen=True):
    """`record` is the one that was there already, unless `is_new`; `claim` is that of a new direct run."""

    record: RunRecord
    is_new: bool
    claim: Claim | None = None


class Beat(msgspec.Struct, frozen=True):
    """What a heartbeat learned of one claim."""

    is_lost: bool
    cancel_reason: str | None = None


class Page(msgspec.Struct, frozen=True):
    """Entries in a row, the first of which has the sequence that was asked for, or the oldest that is kept.

    `first`, `end` and `status` are those of the run, as of one moment.
    """

    entries: list[Entry]
    first: int
    end: int
    status: RunStatus


class Waiting(msgspec.Struct, frozen=True):
    """How many runs are ACCEPTED, and how many INTERRUPTED."""

    accepted: int
    interrupted: int


class RunPage(msgspec.Struct, frozen=True):
    records: list[RunRecord]
    next_cursor: str | None


# One error for all that a backend keeps: runs, tickets, rates.
StoreError = BackendError


class LeaseLostError(Exception):
    """The claim is no longer the run's: another worker has it, or it has ended."""


class CancelAskedError(Exception):
    """The run cannot end in another way any more: its cancel has been promised to somebody."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


AppendNow = Callable[[Claim, Sequence[Entry]], None]


class RunStore(Protocol):
    """One for each app, on its event loop; several processes may share what is behind it.

    What a method says that it did is done for all processes, and survives the end of this one where the backend is
    made for that. All raise `StoreError` when the backend does not answer in time; then it may be done or not, and
    the same call may be made again: each is idempotent. A final state never changes; the terminal event is the last
    one, written in the same step as the state. An unknown run, and one whose TTL has passed, is None or nothing.
    Callbacks are called on the event loop, must return at once, and may be called without need.
    """

    @property
    def rules(self) -> StoreRules: ...

    @property
    def append_now(self) -> AppendNow | None:
        """`append` as a plain call, of a store that need not wait for anything; else None."""
        ...

    async def open(self) -> None:
        """Connect; raise `StoreError`, or `ValidationError` for what has to be changed, with one clear line."""
        ...

    async def close(self) -> None: ...

    async def check(self) -> None:
        """Raise `StoreError` while the backend cannot be used: for `/ready`."""
        ...

    # Records

    async def create(self, new: NewRun) -> Created:
        """Write an ACCEPTED run (a direct one: RUNNING and claimed), or find the one that has its id or its key.

        Where both are given and different runs have them, the one with the key is found.
        """
        ...

    async def create_interrupted(
        self, new: NewRun, entries: Sequence[Entry], questions: Sequence[Question], *, claimed: bool
    ) -> Created:
        """Write a run that has been going on without a record and waits for answers now; `claimed` as in `interrupt`.

        Its sequences before the entries are trimmed ones.
        """
        ...

    async def get(self, run_id: str) -> RunRecord | None: ...

    async def list(
        self, *, owner_id: str | None, status: RunStatus | None, cursor: str | None, limit: int
    ) -> RunPage:
        """Return the newest runs first, of one owner or of all. Raises `ValidationError` for a strange cursor.

        Runs that are there all the time come exactly once over all pages.
        """
        ...

    async def newest_in(self, thread_id: str, *, owner_id: str) -> RunRecord | None:
        """Return the newest run of an owner in a thread; once its TTL has passed there is none, or an older one."""
        ...

    async def waiting(self) -> Waiting:
        """Count what waits; cheaply, since every process is asked for it again and again."""
        ...

    # The worker's side

    async def claim(self, run_id: str) -> Claim | None:
        """Take an ACCEPTED run, or a RUNNING one whose lease has passed while attempts are left; it is RUNNING then.

        None when there is nothing to do: it is final, interrupted, unknown, or somebody's. Of a direct run only an
        ACCEPTED one is taken, which has been answered.
        """
        ...

    async def release(self, claim: Claim, *, begun: bool) -> None:
        """Hand back a run: it is ACCEPTED again, and asks nothing. An attempt that had `begun` stays counted.

        Raises `LeaseLostError`.
        """
        ...

    def heartbeat(self, claims: Sequence[Claim]) -> list[Beat]:
        """Begin the leases anew; the beats are in the order of the claims.

        A plain call that blocks, made by a thread of its own: leases must not depend on the event loop, which an
        agent may block. Raises `StoreError` like the others, after a third of a lease at most.
        """
        ...

    async def append(self, claim: Claim, entries: Sequence[Entry]) -> None:
        """Keep events; raise `LeaseLostError`. The first must be the run's `end`, or have been appended before."""
        ...

    async def finish(
        self, claim: Claim, entries: Sequence[Entry], status: RunStatus, result: bytes
    ) -> None:
        """`append`, and end the run; raise `LeaseLostError`, or `CancelAskedError` unless it ends as CANCELLED."""
        ...

    async def interrupt(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        questions: Sequence[Question],
        *,
        claimed: bool,
    ) -> None:
        """`append`, and let the run wait for answers; raise `LeaseLostError`, `CancelAskedError`.

        With `claimed` the worker still has the run, whose code waits: its heartbeats go on, and it may append.
        Else the claim ends, and whoever claims the run after its `resume` goes on with it.
        """
        ...

    # Everybody's side

    async def resume(
        self,
        run_id: str,
        answers: dict[str, Any],
        *,
        still: Sequence[Question],
        trace: Carrier | None = None,
    ) -> RunRecord | None:
        """Answer an interrupted run: it is ACCEPTED again, attempt 0, or RUNNING where a worker holds it.

        `still` are the questions that stay open: with any, and a worker that holds it, it stays INTERRUPTED. Answers
        that the worker has not taken yet are kept. The record has `trace` from then on. None when it does not wait (any more),
        or for other questions than those of `answers` and `still`: somebody else has answered meanwhile.
        """
        ...

    async def answers_taken(self, claim: Claim, interrupt_ids: Sequence[str]) -> None:
        """The worker that holds the run has these answers; raise `LeaseLostError`."""
        ...

    async def ask_cancel(self, run_id: str, reason: str) -> RunRecord | None:
        """Tell whoever has the run to end it, and promise that it ends as CANCELLED; the first reason stays.

        Returns the record as it then is; a final run, and one that nobody has, is left as it is: see `settle`.
        """
        ...

    async def call_off(self, run_id: str) -> None:
        """Tell all who watch orders, here too, that a run with that id is to end of which there need be no record.

        Nothing is kept of it: who does not hear it in time is not told again.
        """
        ...

    async def settle(
        self, record: RunRecord, entry: Entry, status: RunStatus, result: bytes
    ) -> bool:
        """End a run that no worker has: ACCEPTED, INTERRUPTED without a claim, or with a lease that has passed.

        False, and nothing is done, when it is not as `record` says any more (status, attempt, end), or claimed.
        """
        ...

    async def reading(self, run_id: str, seconds: float) -> None:
        """Say that somebody reads a direct run, here, for so long from now on."""
        ...

    # Readers

    async def read(self, run_id: str, start: int) -> Page | None:
        """Return events from sequence `start` on, at most about `READ_BYTES`; no entries when there are none (yet)."""
        ...

    async def watch(self, run_id: str, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the run may have changed, from before this returns; twice is an error.

        Also after a time in which changes may have been missed, such as a lost connection.
        """
        ...

    def unwatch(self, run_id: str, changed: Callable[[], None]) -> None: ...

    async def watch_orders(self, changed: Callable[[str | None], None]) -> None:
        """Call `changed` with the id of a run, of anybody, whose cancel was asked for, that was answered or called off; with
        None after a time in which some may have been missed. One at a time; a second one replaces it.
        """
        ...

    # Housekeeping, by every process that works

    async def overdue(self, limit: int) -> list[RunRecord]:
        """Return runs that somebody must look after, each at most once in a third of a lease over all processes.

        ACCEPTED ones that nobody has claimed within a lease; those whose lease has passed; those that have waited for
        answers for `MAX_WAIT_SECONDS`.
        """
        ...

    async def sweep(self) -> None:
        """Let go of runs whose TTL has passed, where the backend does not do that by itself."""
        ...


class LocalWork(Protocol):
    """What the workers of one machine need of a store, beside `RunStore`: to find what is to be done."""

    async def claimable(self, limit: int) -> list[str]:
        """Return the ids of runs that `claim` would give now, those that came first at first."""
        ...

    def watch_work(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever there may be more that is claimable. One at a time; a second one replaces it."""
        ...


def waits_for(asked: Sequence[Question], answers: Iterable[str], still: Sequence[Question]) -> bool:
    """Return whether the questions are those that are answered and those that stay open."""
    return {one.interrupt_id for one in asked} == {*answers, *(one.interrupt_id for one in still)}
