"""`--reload`: one server process, started anew whenever what it is made of changes.

What is wrong with the Dockfile or the agent ends nothing: it is told, and the next change is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from dockrion.errors import DockrionError
from dockrion.runtime.sockets import open_sockets
from dockrion.runtime.supervisor.changes import Sources, watch
from dockrion.runtime.supervisor.link import Orders
from dockrion.runtime.supervisor.process import ServerProcess, how_it_ended
from dockrion.runtime.supervisor.stopping import Stopping

logger = logging.getLogger(__name__)

# For an agent that does not let go: a change is not to wait for it.
_END_SECONDS: Final = 3.0


@dataclass(frozen=True)
class Plan:
    """What a valid Dockfile says: where to listen, and what to say when its agent is ready there."""

    host: str
    port: int
    greet: Callable[[int], None]


class MakePlan(Protocol):
    def __call__(self) -> Plan:
        """Read the Dockfile as it is now; raise `DockrionError` when it cannot be served."""
        ...


def serve_reloading(
    orders: Orders,
    sources: Sources,
    make_plan: MakePlan,
    *,
    on_error: Callable[[DockrionError], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C; raise `DockrionError` when the first address cannot be had."""
    asyncio.run(_Reloader(orders, sources, make_plan, on_error).run())


class _Reloader:
    def __init__(
        self,
        orders: Orders,
        sources: Sources,
        make_plan: MakePlan,
        on_error: Callable[[DockrionError], None],
    ) -> None:
        self._orders = orders
        self._sources = sources
        self._make_plan = make_plan
        self._on_error = on_error
        self._listener = _Listener()

    async def run(self) -> None:
        self._stopping = Stopping()
        # Names of what changed, None for the end.
        self._changes: asyncio.Queue[list[str] | None] = asyncio.Queue()
        try:
            with self._stopping.on_signals():
                await self._run()
        finally:
            self._listener.close()

    async def _run(self) -> None:
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.sleep(0)  # the watch stands before anything is read
            while not (self._stopping.asked.is_set() or watching.done()):
                await self._serve_until_change()
        finally:
            self._stopping.ask()
            await watching

    async def _watch(self) -> None:
        try:
            await watch(self._sources, self._stopping.asked, self._changes.put_nowait)
        finally:
            self._changes.put_nowait(None)

    async def _serve_until_change(self) -> None:
        try:
            plan = self._make_plan()
        except DockrionError as exc:
            self._listener.close()
            self._report(exc)
            await self._change()
            return
        try:
            sockets = self._listener.on(plan.host, plan.port)
        except DockrionError as exc:
            if not self._listener.has_listened:
                raise
            self._report(exc)
            await self._change()
            return
        process = await ServerProcess.start(self._orders, sockets)
        with self._stopping.covers(process):
            telling = asyncio.create_task(self._tell(process, plan))
            try:
                await self._change()
            finally:
                telling.cancel()
                await _end(process)

    async def _tell(self, process: ServerProcess, plan: Plan) -> None:
        error = await process.loaded()
        if error is None:
            plan.greet(self._listener.port)
        else:
            self._report(error)
        code = await process.ended()
        if not self._stopping.asked.is_set() and error is None:
            logger.error("the server process %s", how_it_ended(code))
            self._wait_for_change()

    def _report(self, error: DockrionError) -> None:
        self._on_error(error)
        self._wait_for_change()

    def _wait_for_change(self) -> None:
        logger.info("waiting for a change")

    async def _change(self) -> None:
        names = await self._changes.get()
        while names is not None and not self._changes.empty():
            more = self._changes.get_nowait()
            names = None if more is None else sorted({*names, *more})
        if names is not None:
            logger.info("reloading", extra={"changed": ", ".join(names)})


async def _end(process: ServerProcess) -> None:
    process.drain()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.ended()
    except TimeoutError:
        process.kill()
        await process.ended()


class _Listener:
    """The sockets of the address that was asked for last; they outlive the processes that serve on them."""

    def __init__(self) -> None:
        self.has_listened = False
        self.port: int = 0
        self._asked: tuple[str, int] | None = None
        self._sockets: list[socket.socket] = []

    def on(self, host: str, port: int) -> list[socket.socket]:
        if self._asked != (host, port):
            self.close()
            self.port = port
        if not self._sockets:
            self._sockets = open_sockets(host, self.port)
            self.port = int(self._sockets[0].getsockname()[1])
            self._asked = (host, port)
            self.has_listened = True
        return self._sockets

    def close(self) -> None:
        """Let callers be refused rather than wait; the next address may be the same."""
        for sock in self._sockets:
            sock.close()
        self._sockets = []
