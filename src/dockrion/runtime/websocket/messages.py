"""What is said on a connection of `/invoke/ws` beside the events of its runs: a caller's messages, and the answers. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import msgspec

from dockrion.errors import DockrionError, RateLimitError, ValidationError
from dockrion.events.jsonable import encode
from dockrion.runtime.requests import (
    MAX_NESTING,
    RUN_ID_SAYS,
    THREAD_ID_SAYS,
    decode_payload,
    is_run_id,
    is_thread_id,
    shown,
)
from dockrion.runtime.responses import retry_seconds
from dockrion.runtime.run_requests import MAX_REASON, is_reason
from dockrion.spec.fields import is_mapping

MAX_ID: Final = 128
MAX_CREDENTIAL: Final = 16_384
_ID: Final = re.compile(r"[^\u0000-\u001f\u007f]{1,128}")


class RunMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Start a run."""

    id: str | None
    payload: Any
    run_id: str | None
    thread_id: str | None


class FollowMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Send the events of a run that is held, from the one after `after` on."""

    id: str | None
    run_id: str
    after: int


class UnfollowMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Send no more of a run that is open on this connection."""

    id: str | None
    run_id: str


class CancelMessage(msgspec.Struct, frozen=True, kw_only=True):
    id: str | None
    run_id: str
    reason: str | None


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Answer what a run waits for: `answer` itself, or by the ids of its questions where there are several."""

    id: str | None
    run_id: str
    answer: Any


class AuthenticateMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two."""

    id: str | None
    api_key: str | None
    token: str | None


class PingMessage(msgspec.Struct, frozen=True, kw_only=True):
    id: str | None


Asked: TypeAlias = (
    RunMessage
    | FollowMessage
    | UnfollowMessage
    | CancelMessage
    | AnswerMessage
    | AuthenticateMessage
    | PingMessage
)


class UnreadableError(ValidationError):
    """A message that cannot be taken; `id` is the caller's, where it has one."""

    id: str | None = None


def read(text: str) -> Asked:
    """Return what a message asks for; raise `UnreadableError`, whose `details` say where it is wrong."""
    try:
        body = text.encode()
    except UnicodeEncodeError:
        raise UnreadableError("The message is not UTF-8.") from None
    # One deeper than a body, since the payload stands in it.
    try:
        data = decode_payload(
            body, name="The message", wanted="an object with a type", nesting=MAX_NESTING + 1
        )
    except ValidationError as exc:
        raise UnreadableError(exc.message, details=exc.details) from None
    if not is_mapping(data):
        raise _wrong("", "The message must be an object with a `type`.", "type")
    fields = _Fields(cast("Mapping[str, Any]", data))
    try:
        return _read(fields)
    except UnreadableError as exc:
        exc.id = fields.known_id
        raise


def _read(fields: _Fields) -> Asked:
    asked_id = fields.text("id", says=f"1 to {MAX_ID} printable characters", fits=_is_id)
    kind = fields.text("type", says=_TYPES_SAY)
    asked: Asked
    match kind:
        case "run":
            asked = RunMessage(
                id=asked_id,
                payload=fields.any("payload"),
                run_id=fields.text("run_id", says=RUN_ID_SAYS, fits=is_run_id),
                thread_id=fields.text("thread_id", says=THREAD_ID_SAYS, fits=is_thread_id),
            )
        case "follow":
            asked = FollowMessage(
                id=asked_id, run_id=fields.run_id(), after=fields.sequence("after")
            )
        case "unfollow":
            asked = UnfollowMessage(id=asked_id, run_id=fields.run_id())
        case "cancel":
            reason = fields.text(
                "reason", says=f"at most {MAX_REASON} printable characters", fits=is_reason
            )
            asked = CancelMessage(id=asked_id, run_id=fields.run_id(), reason=reason)
        case "answer":
            asked = AnswerMessage(id=asked_id, run_id=fields.run_id(), answer=fields.any("answer"))
        case "authenticate":
            asked = AuthenticateMessage(
                id=asked_id, api_key=fields.credential("api_key"), token=fields.credential("token")
            )
            if (asked.api_key is None) == (asked.token is None):
                message = "authenticate: must have one of api_key and token."
                raise _wrong("", message, "required")
        case "ping":
            asked = PingMessage(id=asked_id)
        case _:
            found = "is missing" if kind is None else f"is {shown(kind)}"
            raise _wrong("/type", f"type: must be {_TYPES_SAY}; it {found}.", "enum")
    fields.no_others(kind)
    return asked


_TYPES: Final = ("run", "follow", "unfollow", "cancel", "answer", "authenticate", "ping")
_TYPES_SAY: Final = f"one of {', '.join(_TYPES)}"


class _Fields:
    """The fields of one message; null is not given, but for `any`."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._seen: set[str] = set()

    @property
    def known_id(self) -> str | None:
        given = self._data.get("id")
        return given if isinstance(given, str) and _is_id(given) else None

    def any(self, name: str) -> Any:
        self._seen.add(name)
        if name not in self._data:
            raise _wrong(f"/{name}", f"{name}: is missing.", "required")
        return self._data[name]

    def text(self, name: str, *, says: str, fits: Any = None) -> str | None:
        self._seen.add(name)
        given = self._data.get(name)
        if given is None:
            return None
        if not isinstance(given, str) or (fits is not None and not fits(given)):
            found = shown(given) if isinstance(given, str) else f"a value of type {_kind(given)}"
            raise _wrong(f"/{name}", f"{name}: must be {says}, got {found}", "pattern")
        return given

    def run_id(self) -> str:
        given = self.text("run_id", says="the id of a run")
        if given is None:
            raise _wrong("/run_id", "run_id: is missing.", "required")
        return given

    def credential(self, name: str) -> str | None:
        says = f"text of at most {MAX_CREDENTIAL} characters"
        self._seen.add(name)
        given = self._data.get(name)
        if given is None:
            return None
        if not isinstance(given, str) or len(given) > MAX_CREDENTIAL:
            # Not what was sent: it may be a good key in the wrong place.
            raise _wrong(f"/{name}", f"{name}: must be {says}.", "type")
        return given

    def sequence(self, name: str) -> int:
        """Return the number of an event; without one, that before the first."""
        self._seen.add(name)
        given = self._data.get(name)
        if given is None:
            return -1
        if not isinstance(given, int) or isinstance(given, bool) or not -1 <= given < 10**18:
            raise _wrong(
                f"/{name}",
                f"{name}: must be the sequence of the last event that you have, or -1 for all of them.",
                "type",
            )
        return given

    def no_others(self, kind: str | None) -> None:
        for name in self._data:
            if name not in self._seen:
                known = ", ".join(sorted(self._seen))
                raise _wrong(
                    "",
                    f"A message of type {kind} has no field {shown(name)}; it may have {known}.",
                    "unknown_field",
                )


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"


def _wrong(pointer: str, message: str, kind: str) -> UnreadableError:
    return UnreadableError(
        message, details=[{"pointer": pointer, "message": message, "type": kind}]
    )


# What is said to a caller


def accepted(asked_id: str | None, *, run_id: str, status: str, request_id: bytes) -> bytes:
    """Say that it is done; after the message of a run, or of one that is followed, its events come."""
    return encode(
        {
            "type": "accepted",
            "id": asked_id,
            "run_id": run_id,
            "status": status,
            "request_id": request_id.decode("latin-1"),
        }
    )


def refused(
    asked_id: str | None,
    error: DockrionError,
    *,
    request_id: bytes,
    run_id: str | None = None,
) -> bytes:
    """Say what an answer with the status of the error would have said."""
    data: dict[str, Any] = {
        "type": "refused",
        "id": asked_id,
        "status": error.status,
        "code": error.code,
        "error": error.message,
        "details": None if isinstance(error, RateLimitError) else error.details,
        "request_id": request_id.decode("latin-1"),
    }
    if run_id is not None:
        data["run_id"] = run_id
    seconds = retry_seconds(error)
    if seconds is not None:
        data["retry_after"] = seconds
    return encode(data)


def unfollowed(asked_id: str | None, *, run_id: str) -> bytes:
    """Say that no event of a run comes any more."""
    return encode({"type": "unfollowed", "id": asked_id, "run_id": run_id})


def authenticated(asked_id: str | None) -> bytes:
    return encode({"type": "authenticated", "id": asked_id})


def pong(asked_id: str | None) -> bytes:
    return encode({"type": "pong", "id": asked_id})
