"""Reading an invocation: headers, options, the JSON body. Every refusal is a `DockrionError`."""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from itertools import accumulate
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import msgspec

from dockrion.errors import (
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    ValidationError,
)
from dockrion.events.ids import EVENT_ID, RUN_ID, SEQUENCE
from dockrion.runtime.asgi import REQUEST_ID_KEY, Receive, Scope
from dockrion.telemetry.base import Cause

MAX_NESTING: Final = 128
# In the dialect of `events/ids.py`.
THREAD_ID: Final = r"[^\u0000-\u001f\u007f]{1,256}"
TICKET_PATH: Final = r"/[^\u0000-\u0020?#]{0,1023}"
_RUN_ID: Final = re.compile(RUN_ID)
_THREAD_ID: Final = re.compile(THREAD_ID)
RUN_ID_SAYS: Final = "1 to 128 letters, digits, `-` or `_`, a letter or digit first"
THREAD_ID_SAYS: Final = "1 to 256 printable characters"
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}\Z")
_EVENT_ID: Final = re.compile(EVENT_ID)
# As protocols have them that tell an event in several frames, or say more after the last (`wires/cursors.py`).
_FRAME_ID: Final = re.compile(rf"({RUN_ID}):({SEQUENCE})(\.[0-9]{{1,9}}|\+[0-9]{{0,9}})?")
_JSON_TYPE: Final = re.compile(
    rb"(?:application|text)/(?:[\w.+-]+\+)?json\s*(?:;.*)?\Z", re.IGNORECASE
)


AnswerHeaders = tuple[tuple[bytes, bytes], ...]


class Heard(NamedTuple):
    """Where a caller comes back to: it has all of so many events, and of the frames after them those up to the one with the
    id `last`. One that `waits` has all up to the questions of a run, and wants what follows the answers.
    """

    run_id: str
    events: int
    last: bytes
    waits: bool


class CallerLeftError(Exception):
    """The caller went away before its request was complete: there is nobody to answer."""


def new_request_id() -> bytes:
    return os.urandom(16).hex().encode()


class Request:
    """Head of one invocation. Header names are lower case; of a header that comes twice the last one counts.

    `answer_headers` are what its answer carries whatever becomes of it.
    """

    __slots__ = ("answer_headers", "cause", "headers", "request_id", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.answer_headers: AnswerHeaders = ()
        # What it is traced to, once it counts as a call.
        self.cause: Cause = None
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id: bytes = scope.get(REQUEST_ID_KEY) or self._new_id()

    def _new_id(self) -> bytes:
        request_id = self.headers.get(b"x-request-id")
        if request_id is None or not _REQUEST_ID.match(request_id):
            request_id = new_request_id()
        self.scope[REQUEST_ID_KEY] = request_id
        return request_id

    @property
    def wants_close(self) -> bool:
        """Whether a `Connection: keep-alive` would be wrong."""
        if self.scope.get("http_version", "1.1") != "1.1":
            return True
        return b"close" in self.headers.get(b"connection", b"").lower()

    def run_id(self, *, allowed: bool) -> str | None:
        run_id = self._option("run_id", _RUN_ID, RUN_ID_SAYS, header=b"x-run-id")
        return chosen_id(run_id, allowed=allowed)

    def thread_id(self) -> str | None:
        return self._option("thread_id", _THREAD_ID, THREAD_ID_SAYS, header=b"x-thread-id")

    def _option(
        self, name: str, pattern: re.Pattern[str], says: str, *, header: bytes | None = None
    ) -> str | None:
        """Return a query parameter, or else a header, as text; what is given must be right, used or not."""
        in_header = None if header is None else self.headers.get(header)
        given = [] if in_header is None else [text_of(in_header)]
        query = self.scope.get("query_string", b"")
        if query:
            # In Latin-1 each character is a byte of the value, however it was written.
            fields = parse_qs(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
            given += [text_of(value.encode("latin-1")) for value in fields.get(name, ())]
        for value in given:
            if not pattern.fullmatch(value):
                raise ValidationError(f"{name}: must be {says}, got {shown(value)}")
        return given[-1] if given else None

    def last_event(self) -> tuple[str, int] | None:
        """Return run id and sequence of `Last-Event-ID`: such a POST comes from a client that reconnects."""
        value = self.headers.get(b"last-event-id")
        if value is None:
            return None
        text = value.decode("latin-1")
        if not _EVENT_ID.fullmatch(text):
            raise ValidationError(f"Last-Event-ID: must be <run_id>:<sequence>, got {shown(text)}")
        run_id, _, sequence = text.partition(":")
        return run_id, int(sequence)

    def heard(self) -> Heard | None:
        """Return what `Last-Event-ID` says on paths of other protocols."""
        value = self.headers.get(b"last-event-id")
        if value is None:
            return None
        text = value.decode("latin-1")
        found = _FRAME_ID.fullmatch(text)
        if found is None:
            raise ValidationError(
                f"Last-Event-ID: must be the id of an event of this path, got {shown(text)}"
            )
        run_id, sequence, frame = found.groups()
        is_whole = frame is None or frame.startswith("+")
        return Heard(run_id, int(sequence) + is_whole, value, waits=frame == "+")

    def check_media_type(self, curl_path: str) -> None:
        """No Content-Type counts as JSON; a form type, which `curl -d` sends by default, gets the right line."""
        coding = self.headers.get(b"content-encoding", b"identity").strip().lower()
        if coding != b"identity":
            raise UnsupportedMediaTypeError(
                f"Content-Encoding: bodies are taken as they are, not {shown(coding.decode('latin-1'))}"
            )
        value = self.headers.get(b"content-type")
        if value is None or _JSON_TYPE.match(value.strip()):
            return
        essence = value.partition(b";")[0].strip().lower().decode("latin-1")
        hint = ""
        if essence in ("application/x-www-form-urlencoded", "multipart/form-data"):
            hint = (
                f"; with curl: curl -N -X POST <url>{curl_path} "
                "-H 'Content-Type: application/json' -d '{\"key\": \"value\"}'"
            )
        raise UnsupportedMediaTypeError(
            f"Content-Type: must be application/json, got {shown(essence)}{hint}"
        )

    async def body(self, receive: Receive, *, limit: int) -> bytes:
        """Read the whole body, `limit` bytes at most. Raises `CallerLeftError` when the caller goes away meanwhile."""
        length = self.headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] != "http.request":
            raise CallerLeftError
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await _rest(body, receive, limit)
        if len(body) > limit:
            raise _too_large(limit)
        return body


def chosen_id(run_id: str | None, *, allowed: bool) -> str | None:
    """Return the id that a caller has chosen for a run; raise `ValidationError` where callers may not."""
    if run_id is not None and not allowed:
        raise ValidationError(
            "run_id: callers may not choose it here (streaming.allow_client_ids is off)"
        )
    return run_id


def is_run_id(text: str) -> bool:
    return _RUN_ID.fullmatch(text) is not None


def is_thread_id(text: str) -> bool:
    return _THREAD_ID.fullmatch(text) is not None


def decode_payload(
    body: bytes,
    *,
    name: str = "The body",
    wanted: str = "the agent's input",
    nesting: int = MAX_NESTING,
) -> Any:
    """Return the JSON value; raise `ValidationError` with `details` in the contract's form.

    `name` is what the message calls the payload, and `wanted` what should be there.
    """
    # RFC 8259, section 8.1: a byte order mark must not be sent, and may be ignored.
    body = body.removeprefix(BOM_UTF8)
    if not body.strip():
        raise _invalid(f"{name} is empty; send {wanted} as JSON.")
    # Counting brackets is quick and sees too many only where text holds some: then look closely.
    if body.count(b"[") + body.count(b"{") > nesting and _depth(body) > nesting:
        raise _invalid(f"{name} is nested over {nesting} deep.")
    try:
        return msgspec.json.decode(body)
    except (UnicodeDecodeError, msgspec.MsgspecError) as exc:
        raise _invalid(f"{name} {_why_not(body, exc)}") from None


async def _rest(first: bytes, receive: Receive, limit: int) -> bytes:
    body = bytearray(first)
    more = True
    while more:
        if len(body) > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] != "http.request":
            raise CallerLeftError
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def _depth(body: bytes) -> int:
    """Return how deep brackets are nested outside of strings; without a Python step for each byte."""
    brackets = _STRING.sub(b"", body).translate(None, delete=_NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


# Possessive, and content with the end of the text: else an open string is read again from each quote in it.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS: Final = [1 if byte in b"[{" else -1 for byte in range(256)]


def _why_not(body: bytes, exc: Exception) -> str:
    """Say what is wrong with a body that the decoder refuses."""
    try:
        text = body.decode()
    except UnicodeDecodeError as unicode:
        return f"is not UTF-8: byte {unicode.start}."
    if _LONE_SURROGATE.search(text):
        return "has half of a surrogate pair (\\ud800 to \\udfff) by itself."
    if word := _NO_NUMBER.search(_STRING.sub(b"", body)):
        return f"is not JSON: it has no {word[0].decode()}; send null."
    if isinstance(exc, msgspec.ValidationError):  # of numbers alone, where no type is asked for
        return "has a number that is too large."
    return f"is not JSON: {str(exc).removeprefix('JSON is malformed: ')}"


_LONE_SURROGATE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
# What Python's `json` writes for them.
_NO_NUMBER: Final = re.compile(rb"NaN|-?Infinity")


def _invalid(message: str) -> ValidationError:
    return ValidationError(
        message, details=[{"pointer": "", "message": message, "type": "invalid_json"}]
    )


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        f"The body is larger than {limit} bytes (expose.limits.max_body_bytes)."
    )


def text_of(value: bytes) -> str:
    """Read it as UTF-8, as most callers write; what is none is Latin-1, as HTTP once had it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
