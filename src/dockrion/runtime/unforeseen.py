"""What no code of ours expects, of a request: a bug, or what a part raises that somebody else has written.

It is logged here, once, with its traceback. Callers get a fixed sentence, and the id that the log has it under.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

from dockrion.errors import DockrionError
from dockrion.runtime.asgi import RUN_ID_KEY, ASGIApp, Message, Receive, Scope, Send
from dockrion.runtime.requests import Request
from dockrion.runtime.responses import error_body, send_json

logger = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """An error as an answer."""

    status: int
    body: Any


# How an error is told on a path; the scope has what is known of its request.
Words: TypeAlias = Callable[[DockrionError, Scope], Refusal]


def native_words(error: DockrionError, _scope: Scope) -> Refusal:
    return Refusal(error.status, error_body(error))


def told(exc: Exception, scope: Scope, *, run_id: str | None = None) -> DockrionError:
    """Return what a caller is told of an exception, be it one of ours or none that anybody expects."""
    return exc if isinstance(exc, DockrionError) else unforeseen(exc, scope, run_id=run_id)


def unforeseen(exc: Exception, scope: Scope, *, run_id: str | None = None) -> DockrionError:
    """Log an exception, and return what a caller is told of it."""
    error_id = secrets.token_hex(6)
    extra = {
        "path": scope["path"],
        "request_id": Request(scope).request_id.decode("latin-1"),
        "run_id": run_id or scope.get(RUN_ID_KEY),
        "error_id": error_id,
    }
    logger.error("request failed", exc_info=exc, extra=extra)
    return DockrionError(f"Internal error. error_id: {error_id}")


async def guarded(
    endpoint: ASGIApp, words: Words, scope: Scope, receive: Receive, send: Send
) -> None:
    """Let an endpoint answer; where it raises before it has begun to, answer for it.

    A stream that has begun ends with words of its own (`endpoints/connection.py`); what else has begun is broken off, by
    the server, which takes it for what it is.
    """
    answer = _Answer(send)
    try:
        await endpoint(scope, receive, answer.send)
    except Exception as exc:
        if answer.has_begun:
            raise
        error = unforeseen(exc, scope)
        status, body = words(error, scope)
        run_id = scope.get(RUN_ID_KEY)
        headers = [] if run_id is None else [(b"x-run-id", run_id.encode())]
        await send_json(send, status, body, Request(scope).request_id, headers)


class _Answer:
    """Sends an answer, and knows whether it has begun."""

    __slots__ = ("has_begun", "rest")

    def __init__(self, send: Send) -> None:
        self.has_begun = False
        self.rest: Final = send

    # Not a coroutine itself, and not there for each piece of a stream (`past_head`).
    def send(self, message: Message) -> Awaitable[None]:
        self.has_begun = True
        return self.rest(message)


def past_head(send: Send) -> Send:
    """Return what takes the rest of an answer whose head has been sent: nothing looks at that any more."""
    owner = getattr(send, "__self__", None)
    return owner.rest if isinstance(owner, _Answer) else send
