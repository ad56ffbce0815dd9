"""A proxy that cuts the streams of one client after so many bytes each, as a bad network does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator, Iterable, Iterator
from itertools import cycle

from .rawhttp import TIMEOUT_SECONDS


@contextlib.contextmanager
def cutting(port: int, cuts: Iterable[int], *others: int) -> Generator[str]:
    """Pass connections on to `port` and the others in turn; give the proxy's URL.

    Each cut is for one connection: so many bytes of the answer go through, counted from the end of its first event,
    so that there is something to resume after. Connections after the last cut are left alone.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(
            target=_accept, args=(listener, cycle([port, *others]), iter(cuts))
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            # Wakes the accept.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(TIMEOUT_SECONDS)


def _accept(listener: socket.socket, ports: Iterator[int], cuts: Iterator[int]) -> None:
    with contextlib.ExitStack() as stack:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            stack.enter_context(client)
            server = stack.enter_context(socket.create_connection(("127.0.0.1", next(ports))))
            for one in (client, server):
                one.settimeout(TIMEOUT_SECONDS)
            threading.Thread(target=_pass_on, args=(client, server), daemon=True).start()
            cut = next(cuts, None)
            threading.Thread(target=_answer, args=(server, client, cut), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _answer(server: socket.socket, client: socket.socket, cut: int | None) -> None:
    if cut is None:
        _pass_on(server, client)
        return
    sent = 0
    received = b""
    limit: int | None = None
    with contextlib.suppress(OSError):
        while data := server.recv(65536):
            received += data
            if limit is None:
                limit = _end_of_first_event(received)
                limit = None if limit is None else limit + cut
            ready = received[:limit]
            if limit is not None and len(ready) == limit and _ends_before_a_blank_line(ready):
                # After the `id:` line is the one place where a cut makes fetch-event-source lose an event: it takes
                # the id when it has read its line, and the event only after the blank one.
                ready = ready[:-1]
                limit -= 1
            client.sendall(ready[sent:])
            sent = len(ready)
            if limit is not None and sent == limit:
                break
    for one in (client, server):
        with contextlib.suppress(OSError):
            # Not `close`, which waits for the other thread's `recv`.
            one.shutdown(socket.SHUT_RDWR)


def _end_of_first_event(received: bytes) -> int | None:
    head = received.find(b"\r\n\r\n")
    end = received.find(b"\n\n", head + 4) if head >= 0 else -1
    return end + 2 if end >= 0 else None


def _ends_before_a_blank_line(data: bytes) -> bool:
    return data.endswith(b"\n") and not data.endswith((b"\n\n", b"\r\n"))
