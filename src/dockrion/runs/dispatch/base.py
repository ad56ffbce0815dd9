"""The seam of dispatch: which process executes an accepted run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

from dockrion.runs.store.base import RunRecord

# Executes the run with that id to its end; returns at once when there is nothing to do. Never raises.
Execute: TypeAlias = Callable[[str], Coroutine[Any, Any, None]]


class Dispatcher(Protocol):
    """Brings accepted runs to workers. Only ids go through it: the truth is in the store, so it may lose and double.

    `submit` is called when a run has become ACCEPTED, and again when nobody has claimed it for a while. `work`
    starts to execute, `concurrency` runs at once; where it is never called, this process only submits. `rest` takes nothing
    more and returns at once; what is executed goes on. `close` is called once all that is executed has ended.
    """

    async def open(self) -> None: ...

    async def submit(self, record: RunRecord) -> None: ...

    def work(self, execute: Execute, concurrency: int) -> None: ...

    def rest(self) -> None: ...

    async def close(self) -> None: ...
