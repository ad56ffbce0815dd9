"""The runs in the memory of one process: how they are found, and when they are forgotten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from dockrion.events.model import RunStatus
from dockrion.runs.store.base import NewRun, RunPage, StoreRules
from dockrion.runs.store.cursor import cursor_to, place_in, place_of
from dockrion.runs.store.memory_run import StoredRun

# What a run weighs beside its events and its result.
RECORD_BYTES: Final = 2048


class Shelf:
    """What has ended is bounded in bytes too, whatever its TTL; the one that ended first goes.

    `forgot` is called with the id of a run once it is no longer here.
    """

    def __init__(
        self, rules: StoreRules, *, max_ended_bytes: int, forgot: Callable[[str], None]
    ) -> None:
        self._rules = rules
        self._max_ended_bytes = max_ended_bytes
        self._forgot = forgot
        # In the order of their creation.
        self._by_id: dict[str, StoredRun] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._threads: dict[tuple[str, str], str] = {}
        # Those that are not final.
        self._open: dict[str, StoredRun] = {}
        # In the order of their ends, with their weights.
        self._ended: OrderedDict[str, int] = OrderedDict()
        self._ended_bytes = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __getitem__(self, run_id: str) -> StoredRun:
        return self._by_id[run_id]

    def get(self, run_id: str) -> StoredRun | None:
        """Give the run although its TTL may have passed, as to whoever has it claimed."""
        return self._by_id.get(run_id)

    def find(self, run_id: str) -> StoredRun | None:
        stored = self._by_id.get(run_id)
        if stored is not None and stored.has_expired(self._rules):
            self._forget(stored)
            return None
        return stored

    def known(self, new: NewRun) -> StoredRun | None:
        if new.idempotency_key is not None:
            by_key = self.find(self._keys.get((new.owner.id, new.idempotency_key), ""))
            if by_key is not None:
                return by_key
        return self.find(new.run_id)

    def newest_in(self, thread_id: str, *, owner_id: str) -> StoredRun | None:
        return self.find(self._threads.get((owner_id, thread_id), ""))

    @property
    def open_runs(self) -> Iterable[StoredRun]:
        """Those that have not ended, in the order of their creation."""
        return self._open.values()

    def page(
        self, *, owner_id: str | None, status: RunStatus | None, cursor: str | None, limit: int
    ) -> RunPage:
        before = None if cursor is None else place_in(cursor)
        places = sorted(
            (
                place_of(stored.record.created_at, run_id)
                for run_id, stored in self._by_id.items()
                if owner_id in (None, stored.record.owner.id)
                and status in (None, stored.record.status)
                and not stored.has_expired(self._rules)
            ),
            reverse=True,
        )
        wanted = [place for place in places if before is None or place < before][: limit + 1]
        records = [self[place.run_id].record for place in wanted[:limit]]
        return RunPage(records, cursor_to(wanted[limit - 1]) if len(wanted) > limit else None)

    def add(self, new: NewRun, status: RunStatus, *, first: int) -> StoredRun:
        stored = StoredRun.of(new, status, self._rules, first=first)
        self._by_id[new.run_id] = self._open[new.run_id] = stored
        if stored.key is not None:
            self._keys[stored.key] = new.run_id
        if stored.thread is not None:
            self._threads[stored.thread] = new.run_id
        return stored

    def end(self, stored: StoredRun, status: RunStatus, result: bytes) -> None:
        run_id = stored.record.run_id
        self._open.pop(run_id, None)
        stored.end(status, result)
        weight = stored.events.weight + len(result) + RECORD_BYTES
        self._ended[run_id] = weight
        self._ended_bytes += weight

    def sweep(self) -> None:
        """Forget what has expired, and what is too much."""
        while self._ended:
            oldest = self[next(iter(self._ended))]
            too_much = self._ended_bytes > self._max_ended_bytes and len(self._ended) > 1
            if not too_much and not oldest.has_expired(self._rules):
                return
            self._forget(oldest)

    def clear(self) -> None:
        self._by_id.clear()
        self._keys.clear()
        self._threads.clear()
        self._open.clear()
        self._ended.clear()
        self._ended_bytes = 0

    def _forget(self, stored: StoredRun) -> None:
        run_id = stored.record.run_id
        del self._by_id[run_id]
        self._ended_bytes -= self._ended.pop(run_id)
        if stored.key is not None and self._keys.get(stored.key) == run_id:
            del self._keys[stored.key]
        if stored.thread is not None and self._threads.get(stored.thread) == run_id:
            del self._threads[stored.thread]
        self._forgot(run_id)
