"""What a server answers, beside streams: runs, and errors of both shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from dockrion.errors import (
    AuthError,
    ConflictError,
    DockrionError,
    GoneError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    RunTimeoutError,
    ServiceUnavailableError,
    UnexpectedAnswerError,
    UnsupportedMediaTypeError,
    ValidationError,
    error_for,
)
from dockrion.events.model import Interrupt, RunStatus

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    """Status, headers (names in lower case) and body of an answer; `place` is what was asked, for messages."""

    status: int
    headers: Mapping[str, str]
    place: str
    body: bytes = b""

    @property
    def run_id(self) -> str | None:
        return self.headers.get("x-run-id")

    @property
    def retry_after(self) -> int | None:
        seconds = self.headers.get("retry-after", "")
        return int(seconds) if seconds.isascii() and seconds.isdigit() else None


class RunError(msgspec.Struct, frozen=True):
    """What a failed run ended with."""

    code: str
    message: str
    details: Any = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the server last told it: what is not known (yet) is None.

    `status` is one of `RunStatus`. `interrupts` are the questions that it waits with. Times are in ISO 8601 and UTC.
    """

    run_id: str
    status: str
    output: Any = None
    error: RunError | None = None
    interrupts: list[Interrupt] = []
    metadata: dict[str, Any] = {}
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None

    def result(self) -> Any:
        """Return the output of a completed run; raise what a failed one ended with, `ConflictError` for others."""
        if self.status == RunStatus.COMPLETED:
            return self.output
        if self.error is not None:
            raise error_for(self.error.code, self.error.message, details=self.error.details)
        if self.interrupts:
            asked = ", ".join(f"{one.interrupt_id}: {one.value!r}" for one in self.interrupts)
            raise ConflictError(
                f"The run {self.run_id!r} waits for an answer (runs.resume) to {asked}"
            )
        raise ConflictError(f"The run {self.run_id!r} has no output: it is {self.status}.")


class RunPage(msgspec.Struct, frozen=True):
    """Runs, the newest first. `next_cursor` is None on the last page."""

    runs: list[Run]
    next_cursor: str | None = None


class _Invoked(msgspec.Struct):
    """The 200 and the 202 of `POST /invoke`."""

    metadata: dict[str, Any]
    output: Any = None
    status: str = RunStatus.COMPLETED
    interrupts: list[Interrupt] = []


class _Refusal(msgspec.Struct):
    error: str
    code: str
    details: Any = None


class _Detail(msgspec.Struct):
    message: str
    code: str


class _Refused(msgspec.Struct):
    """Of who may not, or not now."""

    detail: _Detail


def read(answer: Answer, kind: type[T]) -> T:
    """Return the body of a good answer; raise the error that any other one is."""
    if not 200 <= answer.status < 300:
        raise error_of(answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise UnexpectedAnswerError(
            f"{answer.place} answered {answer.status} with what is no answer of a dockrion server: "
            f"{_shown(answer)}"
        ) from exc


def read_invoked(answer: Answer) -> Run:
    invoked = read(answer, _Invoked)
    return Run(
        run_id=answer.run_id or "",
        status=invoked.status,
        output=invoked.output,
        interrupts=invoked.interrupts,
        metadata=invoked.metadata,
    )


def error_of(answer: Answer) -> DockrionError:
    """Return the error that an answer is; `UnexpectedAnswerError` where nothing else fits."""
    told = _told(answer)
    if told is None:
        return _foreign(answer)
    error = error_for(told.code, told.message, details=told.details)
    if isinstance(error, RateLimitError):
        error.retry_after = answer.retry_after
    return error


class _Told(msgspec.Struct):
    code: str
    message: str
    details: Any = None


def _told(answer: Answer) -> _Told | None:
    """Return what a dockrion server says, in either of its shapes."""
    for shape in (_Refusal, _Refused):
        try:
            said = msgspec.json.decode(answer.body, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if isinstance(said, _Refusal):
            return _Told(said.code, said.error, said.details)
        return _Told(said.detail.code, said.detail.message)
    return None


def _foreign(answer: Answer) -> DockrionError:
    """Return the error for an answer that something before the server gave, or no server of ours."""
    location = answer.headers.get("location")
    if 300 <= answer.status < 400 and location is not None:
        return UnexpectedAnswerError(
            f"{answer.place} redirects to {location!r}, which is another server or another way to ask: "
            "give the client the URL that it is to use."
        )
    cls = _BY_STATUS.get(answer.status, UnexpectedAnswerError)
    message = (
        f"{answer.place} answered {answer.status}, not as a dockrion server does: {_shown(answer)}"
    )
    if issubclass(cls, RateLimitError):
        return cls(message, retry_after=answer.retry_after)
    return cls(message)


def _shown(answer: Answer) -> str:
    """Say what an answer is, in few words."""
    if not answer.body.strip():
        return "an empty body"
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    if kind == "text/html":
        return "an HTML page"
    text = " ".join(answer.body[:400].decode(errors="replace").split())
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


_BY_STATUS: Final[dict[int, type[DockrionError]]] = {
    400: ValidationError,
    401: AuthError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    409: ConflictError,
    410: GoneError,
    413: PayloadTooLargeError,
    415: UnsupportedMediaTypeError,
    429: RateLimitError,
    502: ServiceUnavailableError,
    503: ServiceUnavailableError,
    504: RunTimeoutError,
}
