"""Answers: JSON, errors in the contract's two shapes, the head of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from dockrion.errors import AuthError, DockrionError, RateLimitError
from dockrion.events.jsonable import encode
from dockrion.runtime.asgi import Scope, Send
from dockrion.runtime.requests import Request

Header = tuple[bytes, bytes]
Headers = list[Header]
RETRY_SECONDS: Final = 5

# Of one caller, and no page of any kind.
_SAFE_HEADERS: Final[Headers] = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
_STREAM_HEADERS: Final[Headers] = [
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_KEEP_ALIVE: Final = (b"connection", b"keep-alive")


async def send_json(
    send: Send, status: int, data: Any, request_id: bytes, headers: Headers | None = None
) -> None:
    body = encode(data)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"x-request-id", request_id),
                *_SAFE_HEADERS,
                *(headers or ()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_error(
    send: Send,
    error: DockrionError,
    request_id: bytes,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    extra = [*headers, *error_headers(error)]
    await send_json(send, error.status, error_body(error), request_id, extra)


def raw_error(error: DockrionError, request_id: bytes) -> bytes:
    """Return a whole answer, head and body, for a request that never reaches the application."""
    body = encode(error_body(error))
    reason = HTTPStatus(error.status).phrase.encode()
    again = b"retry-after: %d\r\n" % RETRY_SECONDS if error.status == 503 else b""
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (error.status, reason),
            b"content-type: application/json\r\n",
            b"content-length: %d\r\n" % len(body),
            b"x-request-id: %b\r\n" % request_id,
            *(b"%b: %b\r\n" % header for header in _SAFE_HEADERS),
            again,
            b"connection: close\r\n\r\n",
            body,
        )
    )


async def send_redirect(send: Send, scope: Scope) -> None:
    """Send a caller of `<path>/` to `<path>`, with the same method and body."""
    path = scope["path"].rstrip("/").encode()
    query = scope.get("query_string", b"")
    location = path + b"?" + query if query else path
    await send(
        {
            "type": "http.response.start",
            "status": 307,
            "headers": [
                (b"location", location),
                (b"content-length", b"0"),
                (b"x-request-id", Request(scope).request_id),
            ],
        }
    )
    await send({"type": "http.response.body", "body": b""})


def error_body(error: DockrionError) -> dict[str, Any]:
    if isinstance(error, AuthError | RateLimitError):
        return {"detail": {"message": error.message, "code": error.code}}
    return {
        "success": False,
        "error": error.message,
        "code": error.code,
        "details": error.details,
    }


def error_headers(error: DockrionError) -> Headers:
    if error.status == 401 and isinstance(error, AuthError):
        return [(b"www-authenticate", error.challenge.encode())]
    seconds = retry_seconds(error)
    if seconds is not None:
        return [(b"retry-after", b"%d" % seconds)]
    if error.status == 413:
        # The rest of the body is not read, so nothing else can come on this connection.
        return [(b"connection", b"close")]
    return []


def retry_seconds(error: DockrionError) -> int | None:
    """Return after how many seconds a caller may try again; None where that would not help."""
    if error.status not in (429, 503):
        return None
    known = error.retry_after if isinstance(error, RateLimitError) else None
    return RETRY_SECONDS if known is None else known


async def start_stream(
    send: Send, request: Request, content_type: bytes, run_id: str, more: Sequence[Header] = ()
) -> None:
    """Send the head of a stream; `Connection` only where HTTP/1.1 has one and the caller did not ask for its end."""
    headers: Headers = [
        (b"content-type", content_type),
        *_STREAM_HEADERS,
        *more,
        (b"x-run-id", run_id.encode()),
        (b"x-request-id", request.request_id),
        *request.answer_headers,
    ]
    if not request.wants_close:
        headers.append(_KEEP_ALIVE)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
