"""The outbox of a run: takes what the agent emits, in order, from any thread, and gives it out in batches.

`put` is a plain function: no task switch, no lock, one wake-up of the reader for a whole batch. It relies on
single list operations being atomic, which holds with the interpreter lock and on free-threaded builds (there
each list has its own).

Bounds. Soft (`SOFT_EVENTS`, `SOFT_BYTES`): past it an async producer awaits and a thread waits, until the
reader has taken all. Hard (`HARD_BYTES`): only code that may not wait gets past the soft one, sync code on the
loop's own thread; past the hard one the run ends with `OVERLOADED`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from time import perf_counter
from types import coroutine
from typing import Any, Final, TypeVar

from dockrion.events.cancelled import RunCancelled
from dockrion.events.model import Event

SOFT_EVENTS: Final = 1024
SOFT_BYTES: Final = 1 << 20
HARD_BYTES: Final = 64 << 20
# What an event weighs beside its text: the struct, its slot in the list.
EVENT_BYTES: Final = 96
# An async producer gives the loop a turn when its last one is so many seconds ago. A rule by count would hold
# back the tokens of an agent that computes between them.
TURN_SECONDS: Final = 0.001
NEVER: Final = float("-inf")

T = TypeVar("T")


class Outbox:
    """One reader, on `loop`; any number of producers.

    `close` ends it for producers: from then on `put` raises `RunCancelled`, and who waits for space is woken.
    What was put before stays there for the reader.
    """

    __slots__ = (
        "_asleep",
        "_blocked",
        "_events",
        "_overflowed",
        "_parked",
        "_size",
        "_thread_id",
        "_waiter",
        "closed",
        "flush",
        "heartbeat_due",
        "loop",
        "nudged",
        "on_close",
        "on_overflow",
        "turned_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.closed = False
        self.heartbeat_due = False
        self.nudged = False
        # The first emit of a run is always due a turn.
        self.turned_at = NEVER
        self.on_overflow: Callable[[], None] | None = None
        # Called on the loop's thread, once or more, when it has been closed.
        self.on_close: Callable[[], None] | None = None
        # Takes what is there on behalf of a reader that waits, and sends it, without waiting; false when it
        # could not. Set where the reader has a way to do so.
        self.flush: Callable[[], bool] | None = None
        self._thread_id = threading.get_ident()
        self._events: list[Event] = []
        self._size = 0
        self._overflowed = False
        # True while the reader waits; a producer that finds it wakes the reader.
        self._parked = False
        # The same during a step of the agent on the loop, while nobody can run whom waking would help.
        self._asleep = False
        self._waiter: asyncio.Future[None] | None = None
        self._blocked: list[Callable[[], object]] = []

    # Producers

    def put(self, event: Event, size: int) -> None:
        """Append `event`, whose text weighs `size` bytes or characters. Raise `RunCancelled` when the run is over."""
        if self.closed:
            raise RunCancelled("the run is over")
        # Before the append: a drain in between sets it to zero, and must not do so before it is counted.
        # Not exact when threads race; every drain starts again from zero, so nothing adds up.
        self._size += size + EVENT_BYTES
        self._events.append(event)
        if self._parked:
            self.wake()

    @property
    def full(self) -> bool:
        return len(self._events) >= SOFT_EVENTS or (self._size >= SOFT_BYTES and bool(self._events))

    @property
    def turn_due(self) -> bool:
        """Whether an async producer should `await turn()` now."""
        return perf_counter() - self.turned_at > TURN_SECONDS or self.full

    async def turn(self) -> None:
        """Give the loop a turn; while the outbox is full, wait until the reader has taken all."""
        if asyncio.get_running_loop() is not self.loop:
            # An agent that runs a loop of its own in a thread.
            if self.full:
                await asyncio.to_thread(self.wait_for_space)
            return
        if self.turned_at == NEVER:
            self.turned_at = perf_counter()
            if self._asleep and self.flush is not None and self.flush():
                return
        while self.full and not self.closed:
            space = self.loop.create_future()
            self._blocked.append(partial(_resolve, space))
            await space
        await asyncio.sleep(0)
        self.turned_at = perf_counter()
        self.check()

    def check(self) -> None:
        """Raise `RunCancelled` when the run is over."""
        if self.closed:
            raise RunCancelled("the run is over")

    async def refuse(self) -> None:
        """Raise `RunCancelled`, after a turn: an agent that swallows it in a loop must not keep the loop."""
        await asyncio.sleep(0)
        raise RunCancelled("the run is over")

    def put_and_wait(self, event: Event, size: int) -> None:
        """`put`, then wait while the outbox is full; on the loop's thread, where waiting would deadlock, do not."""
        self.put(event, size)
        if self.full:
            self.wait_for_space()

    @property
    def is_on_loop(self) -> bool:
        """Whether this is the loop's thread, where waiting for the reader would deadlock."""
        return threading.get_ident() == self._thread_id

    def wait_for_space(self) -> None:
        if threading.get_ident() == self._thread_id:
            if self._size > HARD_BYTES and not self._overflowed and self.on_overflow is not None:
                self._overflowed = True
                self.on_overflow()
            return
        while self.full and not self.closed:
            gate = threading.Lock()
            gate.acquire()
            self._blocked.append(gate.release)
            # The reader may have drained between the test and the append: then nobody would open the gate.
            if self.full and not self.closed:
                gate.acquire()
        self.check()

    def wake(self) -> None:
        """Wake the reader, from any thread."""
        self._parked = False
        self.on_loop(self._wake_here)

    def beat(self) -> None:
        """Ask for a heartbeat on the connections of this run."""
        self.check()
        self.heartbeat_due = True
        self.nudge()

    def nudge(self) -> None:
        """Let the reader's wait end although nothing was emitted."""
        self.nudged = True
        self.wake()

    # The reader

    async def wait(self) -> None:
        """Return when there may be something to take, or something else to do. On `loop` only."""
        waiter = self._waiter = self.loop.create_future()
        self._parked = True
        if self._events or self.nudged or self.closed:
            self._parked = False
            self._waiter = None
            return
        try:
            await waiter
        finally:
            self._parked = False
            self._waiter = None

    async def hold(self) -> None:
        """Wait for a nudge or the close, not for events: producers fill the outbox meanwhile, and wait then."""
        if self.nudged or self.closed:
            return
        waiter = self._waiter = self.loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def begin_step(self) -> None:
        """The agent's code runs now, on the loop: until `end_step` a reader that waits need not be woken."""
        self._asleep = self._parked
        self._parked = False

    def end_step(self) -> None:
        """The agent's code waits: what it emitted leaves now, at once where that can be, else by the reader."""
        if self._asleep:
            self._asleep = False
            # First say that the reader waits, then look: a thread that puts in between wakes it.
            self._parked = self._waiter is not None
            if self._events and not (self.flush is not None and self.flush()):
                self.wake()

    def drain(self) -> list[Event]:
        """Take everything that is there, in order, and let waiting producers go on."""
        events = self._events
        count = len(events)
        if not count:
            self._size = 0
            if self._blocked:
                self._unblock()
            return []
        batch = events[:count]
        del events[:count]
        self._size = 0
        if self._blocked:
            self._unblock()
        return batch

    def close(self) -> None:
        """End it for producers and wake everybody; safe to call from any thread, and twice."""
        self.closed = True
        self.on_loop(self._wake_all)

    def on_loop(self, callback: Callable[[], None]) -> None:
        """Call it at once on the loop's thread, else soon, before what is asked for later."""
        if threading.get_ident() == self._thread_id:
            callback()
            return
        # A closed loop: the process is ending, and nobody is left to wake.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback)

    def _wake_all(self) -> None:
        if self.on_close is not None:
            self.on_close()
        self._unblock()
        self._wake_here()

    def _unblock(self) -> None:
        blocked = self._blocked
        count = len(blocked)
        wakers = blocked[:count]
        del blocked[:count]
        for waker in wakers:
            waker()

    def _wake_here(self) -> None:
        if self._waiter is not None:
            _resolve(self._waiter)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@coroutine
def stepping(outbox: Outbox, coro: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await `coro`, telling `outbox` when its code runs and when it waits.

    So only code that computes pays for turns, and what it emitted leaves when it waits. It sees the task's real
    suspensions, not each `await`: an agent that yields a million tokens without waiting passes here once in
    a millisecond.
    """
    step: Callable[[Any], Any] = coro.send
    value: Any = None
    while True:
        outbox.begin_step()
        try:
            suspended = step(value)
        except StopIteration as stop:
            return stop.value
        except BaseException:
            # It may be `value`, and its traceback has this frame: a cycle, with all that the agent had.
            value = None
            raise
        outbox.end_step()
        try:
            value = yield suspended
            step = coro.send
        except GeneratorExit:
            coro.close()
            raise
        except BaseException as exc:
            step, value = coro.throw, exc
        outbox.turned_at = perf_counter()
