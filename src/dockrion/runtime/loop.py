"""The event loop of a process that has an agent: whatever the agent's code does, it comes to its end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

from dockrion.events.cancelled import RunCancelled
from dockrion.runtime.last_resort import LastResort

T = TypeVar("T")

logger = logging.getLogger(__name__)

# For tasks to take their cancellation; those of some agents never do.
_CANCEL_SECONDS = 1


def new_loop() -> asyncio.AbstractEventLoop:
    if find_spec("uvloop"):
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def run_to_end(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on a loop of its own; `asyncio.run` would wait for ever for an agent that does not end.

    Returns although an agent ignores its cancellation; what is left of it then still is in memory.
    """
    asyncio.set_event_loop(loop)
    task = loop.create_task(work)
    with _cancelled_threads_end_quietly():
        try:
            return _run_until_done(loop, task)
        finally:
            _end(loop)
            asyncio.set_event_loop(None)


@contextmanager
def _cancelled_threads_end_quietly() -> Generator[None]:
    """Let a thread that the agent has started end with `RunCancelled`, as the agent itself does, without a traceback."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, RunCancelled):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        if threading.excepthook is hook:
            threading.excepthook = before


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel and close what is left on the loop, as far as it lets itself be."""
    last_resort = LastResort(loop)
    last_resort.start()
    last_resort.end_if_stuck_after(0)
    try:
        _cancel_and_close(loop)
    finally:
        last_resort.cancel()


def _cancel_and_close(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    left = _wait(loop, left) or _wait(loop, {loop.create_task(loop.shutdown_asyncgens())})
    if left:
        logger.warning("agents ignore their cancellation", extra={"tasks": len(left)})
        # The loop stays open, since they are on it, and has nothing more to say about them.
        loop.set_exception_handler(_say_nothing)
    else:
        loop.close()


def _wait(loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Run the loop until the tasks have ended; return those that have not."""
    if not tasks:
        return tasks
    waiting = loop.create_task(asyncio.wait(tasks, timeout=_CANCEL_SECONDS))
    _, pending = _run_until_done(loop, waiting)
    return pending


def _run_until_done(loop: asyncio.AbstractEventLoop, task: asyncio.Task[T]) -> T:
    """Run the loop until `task` is done, whatever other tasks raise; return what it does."""
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as exc:
            # Event loops pass these on to whoever runs them. A real Ctrl-C raises nothing: it has a handler.
            if not task.done():
                logger.error(
                    "a task of the agent raised %s; the process goes on", type(exc).__name__
                )
    return task.result()


def _say_nothing(_loop: asyncio.AbstractEventLoop, _context: dict[str, Any]) -> None:
    pass
