"""The server process: its socket, signals, limits and exit. What is served is `runtime/app.py`'s."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from dockrion.errors import DockrionError
from dockrion.runtime.http10 import Http10Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from fastapi import FastAPI

    from dockrion.runtime.host import AgentHost

logger = logging.getLogger(__name__)

_BACKLOG = 4096
# Longer than the minute for which common proxies keep an idle connection to us, so that they close first.
_KEEP_ALIVE_SECONDS = 75
# The application has drained its streams by then; this bounds callers that do not read their last bytes.
_CLOSE_SECONDS = 5


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of `host`; with port 0 all on the same free one.

    Done before anything is loaded, so that a taken port is known at once. Callers wait meanwhile.
    """
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as exc:
        raise DockrionError(f"host {host!r} has no address: {exc.strerror}") from exc
    sockets: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        if sockets and port == 0:
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
        try:
            sockets.append(_listen(family, address))
        except OSError as exc:
            if exc.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and len(found) > 1:
                continue  # a name that also stands for an address of a family that this machine lacks
            for sock in sockets:
                sock.close()
            raise _cannot_listen(exc, host, port) from exc
    if not sockets:
        raise DockrionError(f"host {host!r} is no address of this machine")
    return sockets


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there the option would let two servers share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _cannot_listen(reason: OSError, host: str, port: int) -> DockrionError:
    match reason.errno:
        case errno.EADDRINUSE:
            error = DockrionError(f"port {port} on {host} is already in use")
        case errno.EACCES:
            error = DockrionError(f"port {port} on {host} may not be used by this user")
        case _:
            error = DockrionError(f"cannot listen on port {port} of {host}: {reason.strerror}")
    error.add_note("choose another one with --port, or with expose.port in the Dockfile")
    return error


def serve(
    app: FastAPI, sockets: list[socket.socket], *, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Serve `app` on listening sockets until SIGTERM or Ctrl-C.

    Calls `on_ready` once the agent is loaded; raises what loading it raised.
    """
    raise_file_limit()
    config = uvicorn.Config(
        app,
        http=Http10Protocol,
        ws="none",
        loop="uvloop" if find_spec("uvloop") else "asyncio",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose X-Forwarded-For counts is for the Dockfile to say
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_CLOSE_SECONDS,
    )
    server = AgentServer(config, app, on_ready)
    with _signals_stop(server):
        try:
            server.run(sockets=sockets)
        except (
            SystemExit
        ) as exc:  # how uvicorn ends when the lifespan's start fails; it has been logged
            raise DockrionError("the server could not start") from exc
    if server.load_error is not None:
        raise server.load_error


class AgentServer(uvicorn.Server):
    """uvicorn's server, which tells when the agent is ready and stops when it cannot be loaded."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.load_error: DockrionError | None = None
        self._host: AgentHost = app.state.dockrion
        self._on_ready = on_ready
        self._accepting = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch_agent())
            await super().serve(sockets)
            watch.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._accepting.set()

    async def _watch_agent(self) -> None:
        await self._accepting.wait()
        await self._host.loaded()
        self.load_error = self._host.load_error
        if self.load_error is not None:
            self.should_exit = True
        elif not self.should_exit:
            self._on_ready()


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


def raise_file_limit() -> None:
    """Allow as many open files, so connections, as the system lets this process have."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as exc:  # macOS calls its limit infinite and then refuses that
        logger.debug("open-file limit stays", extra={"limit": soft, "reason": str(exc)})
