"""The run stores that the contract's tests run on, and what those tests are written with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import anyio

from dockrion.backends.redis import RedisConnections
from dockrion.events.identity import Identity
from dockrion.events.model import RunStatus
from dockrion.runs.store.base import (
    Claim,
    Entry,
    LocalWork,
    NewRun,
    Question,
    RunRecord,
    RunStore,
    StoreRules,
)
from dockrion.runs.store.memory import MemoryStore
from dockrion.runs.store.redis import RedisStore, prefix_of
from dockrion.runs.store.sqlite import SqliteStore
from tests.redis_server import lasting_redis

# Opens one more store on the same backend; where a backend is one object's own, the same object again.
Open = Callable[[StoreRules], Any]
# Makes a backend that nobody else has, for as long as the context lasts; the path is an empty folder.
Backend = Callable[[Path], Any]


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncGenerator[Open]:
    async def open_one(rules: StoreRules) -> RunStore:
        store = SqliteStore(folder / "runs.db", rules)
        await store.open()
        stack.push_async_callback(store.close)
        return store

    async with AsyncExitStack() as stack:
        yield open_one


@asynccontextmanager
async def memory(folder: Path) -> AsyncGenerator[Open]:
    made: list[MemoryStore] = []

    async def open_one(rules: StoreRules) -> RunStore:
        if not made:
            made.append(MemoryStore(rules))
            await made[0].open()
        return made[0]

    yield open_one
    for store in made:
        await store.close()


@asynccontextmanager
async def redis(folder: Path) -> AsyncGenerator[Open]:
    url, prefix = lasting_redis().url(), prefix_of(uuid4().hex)

    async def open_one(rules: StoreRules) -> RunStore:
        store = RedisStore(RedisConnections(url, pool_size=1), rules, prefix=prefix)
        await store.open()
        stack.push_async_callback(store.close)
        return store

    async with AsyncExitStack() as stack:
        yield open_one


BACKENDS: Final[dict[str, Backend]] = {"memory": memory, "sqlite": sqlite, "redis": redis}

RULES: Final = StoreRules(lease_seconds=30.0, max_attempts=1, ttl_seconds=60.0, max_events=10_000)
BRIEF: Final = 0.15
ANN = Identity("ann", "api_key", name="Ann", roles=("a", "b"), permissions=("invoke",))
BOB = Identity("bob", "jwt", email="bob@example.com", tenant_id="t", scopes=("x",))
DONE: Final = b'{"output": {"answer": 42}, "metadata": {}}'
FAILED: Final = b'{"error": {"code": "WORKER_LOST", "message": "gone"}, "metadata": {}}'


def rules(**changes: Any) -> StoreRules:
    values: dict[str, Any] = {
        "lease_seconds": RULES.lease_seconds,
        "max_attempts": RULES.max_attempts,
        "ttl_seconds": RULES.ttl_seconds,
        "max_events": RULES.max_events,
    }
    return StoreRules(**{**values, **changes})


def new_run(run_id: str = "r1", **changes: Any) -> NewRun:
    values: dict[str, Any] = {"owner": ANN, "payload": b'{"x": 1}', "fingerprint": "f"}
    return NewRun(run_id=run_id, **{**values, **changes})


def entry(first: int, count: int = 1, *, size: int = 40) -> Entry:
    """Return frames that say which events they are."""
    frames = [b"id: %d %b\n\n" % (n, b"x" * max(0, size - 8)) for n in range(first, first + count)]
    return Entry(first, first + count, b"".join(frames))


def question(interrupt_id: str, value: Any = None) -> Question:
    return Question(interrupt_id, value)


async def claimed(store: RunStore, run_id: str = "r1", **changes: Any) -> Claim:
    """Return a claim of a new run."""
    await store.create(new_run(run_id, **changes))
    claim = await store.claim(run_id)
    assert claim is not None
    return claim


async def record_of(store: RunStore, run_id: str = "r1") -> RunRecord:
    record = await store.get(run_id)
    assert record is not None
    return record


async def status_of(store: RunStore, run_id: str = "r1") -> RunStatus:
    return (await record_of(store, run_id)).status


async def all_entries(store: RunStore, run_id: str = "r1", start: int = 0) -> list[Entry]:
    """Read page by page up to the end that the first page has or a later one."""
    found: list[Entry] = []
    while True:
        page = await store.read(run_id, start)
        assert page is not None
        if not page.entries:
            return found
        found += page.entries
        assert page.entries[-1].end > start
        start = page.entries[-1].end


async def until(holds: Callable[[], Any], *, seconds: float = 10.0) -> None:
    """Wait until what may be awaitable is true."""
    ends = monotonic() + seconds
    while True:
        found = holds()
        if hasattr(found, "__await__"):
            found = await found
        if found:
            return
        assert monotonic() < ends, "it never came"
        await anyio.sleep(0.005)


class Calls:
    """A callback that counts, and can be waited for."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def __call__(self, *arguments: object) -> None:
        self.seen.append(arguments[0] if arguments else None)

    async def come(self, more_than: int = 0) -> None:
        await until(lambda: len(self.seen) > more_than)


# Stores that can tell what is to be done; those of the others have a dispatcher that knows.
LOCAL: Final = ("memory", "sqlite")


def local_work(store: RunStore) -> LocalWork:
    assert hasattr(store, "claimable")
    return store  # pyright: ignore[reportReturnType]
