"""What a client does, without doing it: generators of steps, which `sync.py` and `aio.py` carry out.

A step is sent the result of what it asks for, or thrown the `httpx2.RequestError` that came of it.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import count
from os import strerror
from ssl import SSLCertVerificationError
from typing import Any, Final, TypeAlias, cast

import httpx2
import msgspec

from dockrion.client.answers import Answer, Run, read
from dockrion.client.asking import Ask, get_ask, without_user
from dockrion.client.backoff import Backoff
from dockrion.client.events import StreamEvent
from dockrion.errors import ConflictError, ServiceUnavailableError
from dockrion.events.model import RunStatus

# A server that asks for more patience than that gets none: its caller is told.
MAX_RETRY_AFTER: Final = 30


class Send(msgspec.Struct, frozen=True):
    """Send a request; the result is the head of its `Answer`."""

    ask: Ask


class Receive(msgspec.Struct, frozen=True):
    """Wait for the next bytes of the body; none are its end."""


class ReceiveAll(msgspec.Struct, frozen=True):
    """Wait for the whole body; the result is the whole `Answer`."""


class Finish(msgspec.Struct, frozen=True):
    """Let go of the answer whose last event is known, so that its connection can be used again if it soon ends."""


class Close(msgspec.Struct, frozen=True):
    """Let go of the answer, and of its connection where it is not over."""


class Pause(msgspec.Struct, frozen=True):
    seconds: float


class Opened(msgspec.Struct, frozen=True):
    """For the caller: the stream is there."""


class Arrived(msgspec.Struct, frozen=True):
    """For the caller: events, at least one."""

    events: list[StreamEvent]


Step: TypeAlias = Send | Receive | ReceiveAll | Finish | Close | Pause | Opened | Arrived
Flow: TypeAlias = Generator[Step, Any, Any]


def call(ask: Ask, *, retries: int) -> Generator[Step, Any, Answer]:
    """Ask once, or again where that does no harm; return the answer, whatever it says."""
    backoff = Backoff()
    for tried in count():
        try:
            yield Send(ask)
            answer: Answer = yield ReceiveAll()
        except httpx2.RequestError as exc:
            yield Close()
            if tried >= retries or not (ask.is_safe or was_never_sent(exc)):
                raise unreachable(exc) from exc
            yield Pause(backoff.next())
        else:
            patience = patience_for(answer, is_safe=ask.is_safe)
            if tried >= retries or patience is None:
                return answer
            yield Pause(backoff.next(at_least=patience))
    raise AssertionError("it is tried for ever, or returns")


def cancel(ask: Ask, run_id: str, *, retries: int) -> Generator[Step, Any, Run]:
    """Cancel a run; that it is cancelled already, by a request whose answer was lost, is no conflict."""
    answer = yield from call(ask, retries=retries)
    try:
        return read(answer, Run)
    except ConflictError:
        run = read((yield from call(get_ask(run_id), retries=retries)), Run)
        if run.status != RunStatus.CANCELLED:
            raise
        return run


def was_never_sent(exc: httpx2.RequestError) -> bool:
    """Whether nothing of the request can have come to a server."""
    return isinstance(
        exc,
        httpx2.ConnectError
        | httpx2.ConnectTimeout
        | httpx2.PoolTimeout
        | httpx2.ProxyError
        | httpx2.UnsupportedProtocol
        | httpx2.LocalProtocolError,
    )


def patience_for(answer: Answer, *, is_safe: bool) -> int | None:
    """Return the seconds after which it makes sense to ask again at the earliest; None where it does not."""
    # Without a run's id none was started: see "Codes" in docs/errors.md.
    again = answer.status == 503 and answer.run_id is None
    if not (again or (is_safe and answer.status in (502, 503, 504))):
        return None
    seconds = answer.retry_after or 0
    return seconds if seconds <= MAX_RETRY_AFTER else None


def unreachable(exc: httpx2.RequestError) -> ServiceUnavailableError:
    try:
        request = exc.request
    except RuntimeError:  # it was cancelled before there was one
        return ServiceUnavailableError(why(exc))
    url = without_user(request.url.copy_with(query=None))
    return ServiceUnavailableError(f"{request.method} {url}: {why(exc)}")


def why(exc: Exception) -> str:
    """Say in a few words what became of a connection."""
    match exc:
        case httpx2.ConnectTimeout():
            return "no connection in time"
        case httpx2.PoolTimeout():
            return "no free connection in time"
        case httpx2.ReadTimeout():
            return "the server said nothing for too long"
        case httpx2.WriteTimeout():
            return "the server took nothing for too long"
        case httpx2.ConnectError():
            return f"no connection: {_reason(exc)}"
        case httpx2.RequestError():
            return f"the connection broke: {_reason(exc)}"
        case _:
            return _reason(exc)


def _reason(exc: Exception) -> str:
    """Return what the system said, where that is what the exception came of."""
    reason = str(exc) or type(exc).__name__
    below: BaseException | None = exc
    while below is not None:
        if isinstance(below, SSLCertVerificationError):
            reason = f"its certificate is not trusted: {below.verify_message}"
        elif isinstance(below, ConnectionError) and below.errno:
            # asyncio has a text of its own.
            reason = strerror(below.errno)
        elif isinstance(below, OSError) and below.strerror:
            reason = below.strerror
        # Of several tries (`::1`, then `127.0.0.1`) the first tells as much as any.
        tries = cast("tuple[BaseException, ...]", getattr(below, "exceptions", ()))
        below = tries[0] if tries else below.__cause__ or below.__context__
    return " ".join(reason.split())
