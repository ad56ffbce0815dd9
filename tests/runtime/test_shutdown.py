"""Which signals drain, and which end at once, alone and under a supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from dockrion.runtime.shutdown import DrainOnSignal


class FakeServer:
    """Takes signals as uvicorn's server does."""

    def __init__(self) -> None:
        self.should_exit = False
        self.raised_again: list[int] = []

    def handle_exit(self, number: int, _frame: object) -> None:
        self.raised_again.append(number)
        self.should_exit = True


class FakeHost:
    def __init__(self) -> None:
        self.runner = None
        self.spec = SimpleNamespace(expose=SimpleNamespace(shutdown_grace=1))
        self.told: list[str] = []
        self.may_end = asyncio.Event()

    async def drain(self) -> None:
        self.told.append("drain")
        await self.may_end.wait()

    def end_now(self) -> None:
        self.told.append("now")


@contextmanager
def draining(host: FakeHost, server: FakeServer, *, supervised: bool) -> Generator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, server.handle_exit) for number in numbers]
    drain = DrainOnSignal(host, asyncio.get_running_loop(), supervised=supervised)  # type: ignore[arg-type]
    drain.install()
    try:
        yield
    finally:
        drain.restore()
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


async def told(host: FakeHost, count: int) -> list[str]:
    async with asyncio.timeout(5):
        while len(host.told) < count:
            await asyncio.sleep(0)
    return host.told


TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT


@pytest.mark.parametrize("second", [TERM, INT])
async def test_alone_a_second_signal_ends_at_once(second: signal.Signals) -> None:
    host = FakeHost()
    with draining(host, FakeServer(), supervised=False):
        os.kill(os.getpid(), TERM)
        await told(host, 1)
        os.kill(os.getpid(), second)
        assert await told(host, 2) == ["drain", "now"]


@pytest.mark.parametrize(
    ("numbers", "urgent"),
    [
        # Ctrl-C reaches the group, then the supervisor passes it on; SIGTERM to a group likewise.
        ([INT, TERM], INT),
        ([TERM, TERM, TERM], QUIT),
        ([TERM, INT], INT),
    ],
)
async def test_under_a_supervisor_only_a_second_ctrl_c_or_its_own_word_ends_at_once(
    numbers: list[signal.Signals], urgent: signal.Signals
) -> None:
    host = FakeHost()
    with draining(host, FakeServer(), supervised=True):
        for number in numbers:
            signal.raise_signal(number)
        signal.raise_signal(urgent)
        # All four were handled in order, so had one of the first ended at once, "now" would be there twice.
        await told(host, 2)
        for _ in range(5):
            await asyncio.sleep(0)

        assert sorted(host.told) == ["drain", "now"]


async def test_a_drained_server_is_stopped_without_its_handler() -> None:
    host, server = FakeHost(), FakeServer()
    host.may_end.set()
    with draining(host, server, supervised=False):
        signal.raise_signal(TERM)
        async with asyncio.timeout(5):
            while not server.should_exit:
                await asyncio.sleep(0)

    assert server.raised_again == []


async def test_apps_that_are_mounted_beside_each_other_drain_at_the_same_time() -> None:
    first, second, server = FakeHost(), FakeHost(), FakeServer()
    with draining(first, server, supervised=False):
        drain = DrainOnSignal(second, asyncio.get_running_loop())  # type: ignore[arg-type]
        drain.install(mounted=True)
        try:
            signal.raise_signal(TERM)
            assert await told(second, 1) == ["drain"]
            assert await told(first, 1) == ["drain"]
            second.may_end.set()
            for _ in range(5):
                await asyncio.sleep(0)
            assert not server.should_exit
            first.may_end.set()
            async with asyncio.timeout(5):
                while not server.should_exit:
                    await asyncio.sleep(0)
        finally:
            drain.restore()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
async def test_a_forked_child_takes_signals_as_any_process_does() -> None:
    host = FakeHost()
    wakes, woken = socket.socketpair()
    woken.setblocking(False)
    wakes.setblocking(False)
    with wakes, woken, draining(host, FakeServer(), supervised=True):
        before = signal.set_wakeup_fd(wakes.fileno())
        try:
            child = forked(lambda: signal.raise_signal(TERM))
            assert os.waitstatus_to_exitcode(child) == -TERM
            interrupted = forked(interrupt)
            assert os.waitstatus_to_exitcode(interrupted) == 7
        finally:
            signal.set_wakeup_fd(before)
        with pytest.raises(BlockingIOError):
            woken.recv(1)
        assert host.told == []


def interrupt() -> None:
    try:
        signal.raise_signal(INT)
    except KeyboardInterrupt:
        os._exit(7)


def forked(work: Callable[[], object]) -> int:
    """Do `work` in a forked child; return its wait status."""
    with warnings.catch_warnings():
        # Python warns of forks beside threads, from 3.12 on; that is what agents do.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


async def test_a_mounted_app_leaves_the_signals_of_a_process_without_a_server_alone() -> None:
    before = signal.getsignal(TERM)
    drain = DrainOnSignal(FakeHost(), asyncio.get_running_loop())  # type: ignore[arg-type]
    drain.install(mounted=True)
    try:
        assert signal.getsignal(TERM) is before
    finally:
        drain.restore()


async def test_apps_of_one_process_may_end_in_any_order() -> None:
    before = signal.getsignal(TERM)
    loop = asyncio.get_running_loop()
    drains = [DrainOnSignal(FakeHost(), loop) for _ in range(3)]  # type: ignore[arg-type]
    for drain in drains:
        drain.install()

    drains[1].restore()
    drains[0].restore()
    drains[2].restore()

    assert signal.getsignal(TERM) is before


def test_signals_go_straight_to_the_server_where_the_loop_has_ended() -> None:
    host, server = FakeHost(), FakeServer()
    loop = asyncio.new_event_loop()
    before = signal.signal(TERM, server.handle_exit)
    drain = DrainOnSignal(host, loop)  # type: ignore[arg-type]
    drain.install(mounted=True)
    loop.close()
    try:
        signal.raise_signal(TERM)
    finally:
        drain.restore()
        signal.signal(TERM, before)
    assert server.raised_again == [TERM]
