"""The server process: its signals, its limits, its end. What is served is `runtime/app.py`'s."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from dockrion.errors import DockrionError
from dockrion.runtime.loop import new_loop, run_to_end
from dockrion.runtime.protocol import ConnectionLimits, ServerProtocol
from dockrion.runtime.sockets import BACKLOG, connections_within, raise_file_limit
from dockrion.runtime.transport import AnswerTransport

if TYPE_CHECKING:
    from fastapi import FastAPI

    from dockrion.runtime.host import AgentHost
    from dockrion.runtime.websocket.offers import Sockets

logger = logging.getLogger(__name__)

# Longer than the minute for which common proxies keep an idle connection to us, so that they close first.
_KEEP_ALIVE_SECONDS = 75
# For callers to take their last bytes. The application has drained its streams before this begins.
_LAST_BYTES_SECONDS = 2
# For the application's own end, after a second signal.
_FORCED_SECONDS = 1


def serve(
    app: FastAPI,
    sockets: list[socket.socket],
    *,
    on_ready: Callable[[], None] = lambda: None,
    on_failed: Callable[[DockrionError], None] | None = None,
    write_seconds: float = 60.0,
) -> None:
    """Serve `app` on listening sockets until SIGTERM or Ctrl-C.

    The connection of a caller who takes nothing of an answer for `write_seconds` is dropped.

    Calls `on_ready` once the agent is loaded; raises what loading it raised, or, given `on_failed`, tells that
    and stays, without an agent. Returns although an agent ignores its cancellation; what is left of it then
    still is in memory.
    """
    limits = ConnectionLimits(
        write_seconds=write_seconds, connections=connections_within(raise_file_limit())
    )
    config = uvicorn.Config(
        app,
        http=cast(
            "Any", partial(ServerProtocol, limits=limits, sockets=_sockets(app, write_seconds))
        ),
        # Where the app has a WebSocket, our own protocol hands it over.
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose X-Forwarded-For counts is for the Dockfile to say
        backlog=BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # Ours comes first, and drops connections; uvicorn's would cancel their tasks.
        timeout_graceful_shutdown=2 * _LAST_BYTES_SECONDS,
    )
    server = AgentServer(config, app, on_ready=on_ready, on_failed=on_failed)
    with _signals_stop(server):
        _run(server, sockets)
    if server.load_error is not None and on_failed is None:
        raise server.load_error


class AgentServer(uvicorn.Server):
    """uvicorn's server, which tells when the agent is ready or cannot be loaded, and does end."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: FastAPI,
        *,
        on_ready: Callable[[], None],
        on_failed: Callable[[DockrionError], None] | None,
    ) -> None:
        super().__init__(config)
        self.load_error: DockrionError | None = None
        self._host: AgentHost = app.state.dockrion
        self._host.is_watched = True
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._accepting = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._task = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._watch_agent())
                await super().serve(sockets)
                watch.cancel()
        except asyncio.CancelledError:
            if not self.force_exit:
                raise

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._accepting.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        dropping = loop.call_later(_LAST_BYTES_SECONDS, self._drop_connections)
        try:
            await super().shutdown(sockets)
        finally:
            dropping.cancel()
        if self.force_exit:
            # uvicorn leaves out the lifespan's end then, and the agent would not be closed.
            self._drop_connections()
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self.force_exit and self._task is not None:
            loop = self._task.get_loop()
            loop.call_soon_threadsafe(loop.call_later, _FORCED_SECONDS, self._task.cancel)

    def _drop_connections(self) -> None:
        for connection in list(self.server_state.connections):
            # Ours, be it HTTP or a WebSocket.
            transport = getattr(connection, "transport", None)
            if isinstance(transport, AnswerTransport):
                transport.abort()

    async def _watch_agent(self) -> None:
        await self._accepting.wait()
        await self._host.loaded()
        self.load_error = self._host.load_error
        if self.load_error is not None:
            if self._on_failed is None:
                self.should_exit = True
            else:
                self._on_failed(self.load_error)
        elif not self.should_exit:
            # What is loaded by now stays: the collector would look at all of it again and again, for agents
            # that make many objects at an eighth of their time.
            gc.freeze()
            self._on_ready()


def _sockets(app: FastAPI, write_seconds: float) -> Sockets | None:
    """Return None for apps without WebSockets, which need nothing of what reads them."""
    has_socket: Callable[[str], bool] | None = getattr(app, "has_socket", None)
    host: AgentHost = app.state.dockrion
    if has_socket is None or not host.spec.expose.websocket:
        return None
    from dockrion.runtime.websocket.offers import Sockets

    return Sockets(has_socket, write_seconds=write_seconds)


@contextmanager
def _signals_stop(server: uvicorn.Server) -> Generator[None]:
    """Let SIGTERM and Ctrl-C end the server, not the process, so that it exits with its own code.

    uvicorn has handlers of its own while it runs; before that these stop it, and when it raises what it
    caught once more at its end, these take it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in HANDLED_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(server: AgentServer, sockets: list[socket.socket]) -> None:
    try:
        run_to_end(new_loop(), server.serve(sockets))
    except SystemExit as exc:
        # How uvicorn ends when the lifespan's start fails; it has been logged.
        raise DockrionError("the server could not start") from exc
