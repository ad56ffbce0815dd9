"""Deadlines of threads: on a connection of the network, nothing that a thread waits for outlasts its own.

The time-outs of httpx2 are for each read and each write, so what comes byte by byte never runs into one. And which connection a
request gets, nobody tells before its answer: it may be one that an earlier request has opened. So each is made to look at the
deadline of whoever reads from it, once, when it is opened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

import httpx2
from httpcore2 import ReadTimeout, TimeoutException, WriteTimeout

_OPENED: Final = ("connect_tcp.complete", "start_tls.complete")


class Deadlines:
    """Those of the threads that use one client, and the connections that keep to them."""

    def __init__(self) -> None:
        self._here = threading.local()

    @contextmanager
    def until(self, moment: float | None) -> Generator[None]:
        """Let this thread wait no longer than that, on the clock of `monotonic`."""
        self._here.moment = moment
        try:
            yield
        finally:
            self._here.moment = None

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """The `trace` extension of every request: it tells of a connection that is opened for one."""
        stream = info.get("return_value") if event.endswith(_OPENED) else None
        if stream is not None and not _is_shared(stream):
            stream.read = _Timed(stream.read, self._left, ReadTimeout)
            stream.write = _Timed(stream.write, self._left, WriteTimeout)

    def holds_for(self, response: httpx2.Response) -> bool:
        """Whether its connection keeps to them: not in transports of tests, and not where many use one at once."""
        stream = response.extensions.get("network_stream")
        return isinstance(getattr(stream, "read", None), _Timed)

    def _left(self) -> float | None:
        moment: float | None = getattr(self._here, "moment", None)
        return None if moment is None else moment - monotonic()


class _Timed:
    """Reads from a connection, or writes to it, until the time is over."""

    __slots__ = ("_left", "_real", "_too_late")

    def __init__(
        self,
        real: Callable[[Any, float | None], Any],
        left: Callable[[], float | None],
        too_late: type[TimeoutException],
    ) -> None:
        self._real = real
        self._left = left
        self._too_late = too_late

    def __call__(self, what: Any, timeout: float | None = None) -> Any:
        left = self._left()
        if left is not None:
            if left <= 0:
                # What is there already would be read without waiting, and there may always be some.
                raise self._too_late
            timeout = left if timeout is None else min(timeout, left)
        return self._real(what, timeout)


def _is_shared(stream: Any) -> bool:
    """Whether it is a connection of HTTP/2: one thread reads what others wait for."""
    tls = stream.get_extra_info("ssl_object")
    return tls is not None and tls.selected_alpn_protocol() == "h2"
