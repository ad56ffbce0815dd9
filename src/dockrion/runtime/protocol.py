"""The HTTP protocol of the server process: uvicorn's, with bounds, and some callers served better.

* A request's head has a size and a time, its body a time, and there are so many connections; see `ConnectionLimits`.
  A caller who takes nothing of an answer is let go. What cannot be read as HTTP, and what could be read in two ways
  (`heads.py`), is answered in the contract's form.
* uvicorn sends a body of unknown length in chunks, whatever version the caller speaks. HTTP/1.0 has no chunks
  (RFC 9112, section 6.1: a server must not send them to such a caller), so there the end of the connection has
  to be the end of the body.
* An offer of another protocol (of HTTP/2 by curl, and by Java's client by default) is left unanswered, as RFC 9110,
  section 7.8, allows. The parser takes it for an upgrade that has happened, and the body with it. Only a WebSocket
  that the application has is handed over (`websocket/protocol.py`).
* An answer that comes before the end of a long body is the last one of its connection, so that nobody reads a body
  that nobody wants.
* Of requests that come before the one in front of them is answered, each hears when the caller goes away.
* Trailers are dropped: uvicorn would add them to the headers.

The application also learns what ASGI does not tell: how much of what it sent has not left, and how to drop
a connection whose caller takes nothing.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final, cast

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from dockrion.errors import (
    DockrionError,
    OverloadedError,
    PayloadTooLargeError,
    ValidationError,
)
from dockrion.runtime.heads import complaint_of
from dockrion.runtime.requests import new_request_id
from dockrion.runtime.responses import raw_error
from dockrion.runtime.transport import AnswerTransport, SlowReaders

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGISendEvent, HTTPResponseStartEvent
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from dockrion.runtime.websocket.offers import Sockets

# Of the connection, not of the answer: on HTTP/1.0 the server alone says them.
_CONNECTION_HEADERS: Final = (b"connection", b"keep-alive", b"transfer-encoding")
_OFFER_HEADERS: Final = (b"upgrade", b"http2-settings")
# So many requests may wait behind one that is answered; past it the connection is not read, and its end not seen.
_MAX_PIPELINED: Final = 8
# The rest of a body that is not longer than this is read after an answer, to keep the connection.
_SHORT_BODY_BYTES: Final = 64 << 10

# What of a request comes next; between two requests, nothing has.
_NOTHING, _HEAD, _BODY, _OFFER = range(4)


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may take of the server before the application decides.

    The times are those that Node's server has; `write_seconds` is for a caller who takes nothing of an answer.
    """

    head_bytes: int = 64 << 10
    head_seconds: float = 60.0
    request_seconds: float = 300.0
    write_seconds: float = 60.0
    # 0: no limit. One that is full refuses new callers, and leaves those who are there alone.
    connections: int = 0


_DEFAULT_LIMITS: Final = ConnectionLimits()


class RequestTooSlowError(DockrionError):
    code = "TIMEOUT"
    status = 408


class HeadTooLargeError(PayloadTooLargeError):
    status = 431


class ServerProtocol(HttpToolsProtocol):
    """One connection.

    `scope["extensions"]["dockrion.transport"]` is its `AnswerTransport`.
    """

    # Beside the dictionary of uvicorn's own: with these in there it would be too large to share its keys, which
    # costs 2 KB a connection.
    __slots__ = (
        "_deadline",
        "_extensions",
        "_is_broken",
        "_kept_after_body",
        "_last_bytes",
        "_limits",
        "_next",
        "_packet",
        "_running",
        "_sockets",
        "_unread",
    )

    transport: AnswerTransport  # type: ignore[assignment]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits = _DEFAULT_LIMITS,
        sockets: Sockets | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._sockets = sockets
        self._next = _NOTHING
        # The bytes that have come since the packet with which the head began, or the body last went on.
        self._unread = 0
        self._packet = 0
        self._running: RequestResponseCycle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._last_bytes: asyncio.TimerHandle | None = None
        self._is_broken = False
        # A long body is on its way, and once it has come whole its connection need not end with the answer.
        self._kept_after_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        answering = AnswerTransport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", answering))
        self.flow = SlowReaders(answering)
        self._extensions: dict[str, Any] = {"dockrion.transport": answering}
        if 0 < self._limits.connections < len(self.connections):
            self._is_broken = True
            error = OverloadedError("The server has as many connections as it can hold; try again.")
            self.transport.write(raw_error(error, new_request_id()))
            self.transport.close()
        else:
            self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        self._unset_keepalive_if_required()
        self._unset_deadline()
        if self._last_bytes is not None:
            self._last_bytes.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._kept_after_body = False
        super().shutdown()

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._is_broken:
            return
        self._packet = len(data)
        rest = memoryview(data)
        try:
            while True:
                try:
                    self.parser.feed_data(rest)
                    break
                except httptools.HttpParserUpgrade as exc:
                    if self._next != _OFFER:
                        # CONNECT: what follows is for whoever is to be connected.
                        self._end_after_answer()
                        return
                    rest = rest[exc.args[0] :]
                    if self._has_become_a_socket(bytes(rest)):
                        return
                    self._decline_offer()
        except httptools.HttpParserError as exc:
            wrong = exc.__context__
            self._refuse(
                wrong
                if isinstance(wrong, DockrionError)
                else ValidationError("This is no HTTP request that can be read.")
            )
            return
        if self._next != _NOTHING:
            self._wait_for_rest()

    def _wait_for_rest(self) -> None:
        """Bound what has come in part; most requests come whole, and never get here."""
        self._unread += self._packet
        if self._unread > self._limits.head_bytes:
            self._refuse(self._head_too_large())
        elif self._deadline is None:
            limits = self._limits
            seconds = limits.head_seconds if self._next == _HEAD else limits.request_seconds
            self._deadline = self.loop.call_later(seconds, self._too_slow)
            if self._next == _BODY and not self._has_short_body():
                self._kept_after_body, self.cycle.keep_alive = self.cycle.keep_alive, False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._next = _HEAD
        self._unread = -self._packet

    def on_headers_complete(self) -> None:
        if max(self._unread, 0) + self._packet > self._limits.head_bytes:
            self._check_head_size()
        parser = self.parser
        if complaint := complaint_of(self.headers, parser.get_http_version()):
            raise ValidationError(complaint)
        if parser.should_upgrade() and parser.get_method() != b"CONNECT":
            self._next = _OFFER
            return
        scope = self.scope
        scope["extensions"] = self._extensions
        super().on_headers_complete()
        # Trailers come the same way.
        self.headers = []
        self._next = _BODY
        self._unread = -self._packet
        self._unset_deadline()
        self.transport.body_is_open = True
        if scope["http_version"] == "1.0":
            # The request's task has been made but has not run yet, so it will use this class's `send`.
            self.cycle.__class__ = CloseDelimitedCycle
            self.cycle.waiting_for_100_continue = False
        if self.pipeline and len(self.pipeline) <= _MAX_PIPELINED:
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        self._unread = -self._packet
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._next == _OFFER:
            return
        self._next = _NOTHING
        self._unset_deadline()
        if self._kept_after_body:
            self._kept_after_body = False
            if not self.cycle.response_started:
                self.cycle.keep_alive = True
        self.transport.body_has_come()
        super().on_message_complete()

    def _has_become_a_socket(self, rest: bytes) -> bool:
        """Hand the connection over, where the offer is one of a WebSocket that the app has."""
        running = self._running
        if self._sockets is None or (running is not None and not running.response_complete):
            return False
        if not self._sockets.take(self, self.transport, rest):
            return False
        # This protocol has no part in it any more.
        self._is_broken = True
        self._unset_deadline()
        self._unset_keepalive_if_required()
        if self._last_bytes is not None:
            self._last_bytes.cancel()
        return True

    def _decline_offer(self) -> None:
        """Read the head once more, without its offer of another protocol."""
        head = [
            b"%b %b HTTP/%b"
            % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        ]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                value = b", ".join(t for t in tokens if t.lower() not in _OFFER_HEADERS)
            if name not in _OFFER_HEADERS:
                head.append(b"%b: %b" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join((*head, b"", b"")))

    def _has_short_body(self) -> bool:
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                return int(value) <= _SHORT_BODY_BYTES
        return False

    def _check_head_size(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.head_bytes:
            raise self._head_too_large()

    def _head_too_large(self) -> DockrionError:
        return HeadTooLargeError(
            f"The head of the request is larger than {self._limits.head_bytes} bytes."
        )

    def _too_slow(self) -> None:
        self._deadline = None
        part = "head" if self._next == _HEAD else "body"
        self._refuse(RequestTooSlowError(f"The {part} of the request did not come in time."))

    def _refuse(self, error: DockrionError) -> None:
        """Answer a request that cannot be read to its end, and close; behind other answers, only close."""
        running = self._running
        if running is not None and not running.response_complete:
            if self._next != _BODY or running is not self.cycle or running.response_started:
                self._end_after_answer()
                return
            # It waits for the rest of its body.
            running.disconnected = True
            running.message_event.set()
        self._is_broken = True
        self._unset_deadline()
        if self.transport.is_closing():
            return
        if self._next != _BODY or not self.cycle.response_complete:
            self.transport.write(raw_error(error, new_request_id()))
        # More may be on its way.
        self.transport.body_is_open = True
        self.transport.close()

    def _end_after_answer(self) -> None:
        """Read nothing more, and close the connection after the answer that is under way."""
        self._is_broken = True
        self._unset_deadline()
        self.pipeline.clear()
        if self._running is not None:
            self._running.keep_alive = False

    # Answering

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._next == _HEAD:
            # It has begun already, so its beginning cannot stop the wait for it.
            self._unset_keepalive_if_required()
        if self.transport.get_write_buffer_size() and self._last_bytes is None:
            self._look_at_last_bytes(-1)

    def _look_at_last_bytes(self, before: int) -> None:
        """Drop the connection of a caller who has taken nothing since there were `before` bytes to take."""
        self._last_bytes = None
        unsent = self.transport.unsent()
        if unsent == before:
            self.transport.abort()
        elif self.transport.get_write_buffer_size():
            self._last_bytes = self.loop.call_later(
                self._limits.write_seconds, self._look_at_last_bytes, unsent
            )

    def _wait_for_request(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class CloseDelimitedCycle(RequestResponseCycle):
    """Writes a body without a declared length as it is; uvicorn closes the connection after it.

    uvicorn is told of a length that is never reached, until the last piece, which is then all that was left.
    """

    until_close = False

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            message = self._without_connection_headers(message)
        elif (
            message["type"] == "http.response.body"
            and self.until_close
            and not message.get("more_body", False)
        ):
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)

    def _without_connection_headers(self, start: HTTPResponseStartEvent) -> HTTPResponseStartEvent:
        headers = [
            (name, value)
            for name, value in start.get("headers", [])
            if name.lower() not in _CONNECTION_HEADERS
        ]
        if all(name.lower() != b"content-length" for name, _ in headers):
            self.until_close = True
            self.chunked_encoding = False
            self.expected_content_length = sys.maxsize
        return {"type": "http.response.start", "status": start["status"], "headers": headers}
