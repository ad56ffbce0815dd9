"""The events of a run as MCP's messages: progress, and one response."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, TypeAlias

import msgspec

from dockrion.events import sse
from dockrion.events.jsonable import encode
from dockrion.events.model import (
    Batch,
    Cancelled,
    Channel,
    Complete,
    Event,
    Failed,
    Interrupt,
    Policy,
    Progress,
    Step,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.wires.base import WireRun
from dockrion.wires.mcp.rpc import RequestId
from dockrion.wires.mcp.tool import Question, Tool, failure, form, required, unanswered
from dockrion.wires.texts import frames_of, take

# Progress is counted in millionths of the whole, and every message is one ahead of the last, as MCP has it.
_WHOLE: Final = 1_000_000
# Of the first event of a stream that can be come back to; a client comes back after so many milliseconds.
_RETRY: Final = b"retry: 1000\n"


class Told(msgspec.Struct, frozen=True):
    """How one call is told, so much of it that whoever comes back to it is told the same.

    `asks`: its client can ask its user. `modern`: it does so with the result, and calls again; else while the stream
    is open. `primes`: it takes an event without data, whose id it can come back with.
    """

    request_id: RequestId
    progress_token: RequestId | None = None
    tokens: bool = False
    asks: bool = False
    modern: bool = False
    primes: bool = False

    def __str__(self) -> str:
        """Return it for the id of an event: short, since it is in each."""
        flags = sum(1 << place for place, name in enumerate(_FLAGS) if getattr(self, name))
        data = msgspec.json.encode([self.request_id, self.progress_token, flags])
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str) -> Told | None:
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            request_id, token, flags = msgspec.json.decode(data, type=_Written)
        except (binascii.Error, msgspec.MsgspecError, ValueError):
            return None
        named = {name: bool(flags & 1 << place) for place, name in enumerate(_FLAGS)}
        return cls(request_id, token, **named)


_FLAGS: Final = ("tokens", "asks", "modern", "primes")
_Written: TypeAlias = tuple[RequestId, RequestId | None, int]


class McpWire:
    """The answer of one `tools/call`. `waits` while its stream is to stay open for what follows an answer."""

    content_type: bytes = b"text/event-stream"

    def __init__(
        self,
        tool: Tool,
        run: WireRun,
        told: Told,
        *,
        can_be_answered: bool,
        stamp: dict[str, Any],
        opens: bool = True,
    ) -> None:
        """`stamp`: what every result says of the server. `opens`: it is told from the run's beginning."""
        self._tool = tool
        self.run_id: Final = run.run_id
        self.told: Final = told
        self._streams = run.streams
        self._can_be_answered = can_be_answered
        self._asks = told.asks and can_be_answered and (told.modern or run.streams)
        self._stamp = stamp
        self._cursor = f"{run.run_id}:%d:{told}".encode() if run.cursors else None
        # The next sequence.
        self.position = 0
        self.waits = False
        self._parts: list[bytes] = []
        # The open questions, each with its sequence.
        self._asked: list[tuple[int, Question]] = []
        # Those that are, where more is known than events tell.
        self._still_open: tuple[Interrupt, ...] = ()
        self._result: dict[str, Any] | None = None
        self._progress = 0
        self._opens = opens
        token = told.progress_token
        self._tells = token is not None and run.streams
        self._tells_tokens = self._tells and told.tokens
        # In place of a `%` of the token's stand two, since the frame is filled.
        params = encode({"progressToken": token})[:-1].replace(b"%", b"%%")
        self._head = b'{"jsonrpc":"2.0","method":"notifications/progress","params":' + params
        # For progress that is written as a number over `_from`, up to before `_until`.
        self._frame = b""
        self._from = self._until = 0

    def encode(self, batch: Batch) -> bytes:
        self.position = batch.first
        take(batch.events, texts=self._go_on, other=self._follow)
        return self._taken()

    def opening(self, _timestamp: str) -> bytes:
        """Return an event without data, whose id, that of none, a client can come back with before anything has happened."""
        if self._cursor is None or not (self._opens and self.told.primes and self._streams):
            return b""
        return b"data:\n%bid: %b\n\n" % (_RETRY, self._cursor % -1)

    def heartbeat(self) -> bytes:
        return sse.COMMENT_HEARTBEAT

    def stay_open(self, questions: tuple[Interrupt, ...]) -> None:
        self._still_open = questions

    def paused(self) -> bytes:
        asked, self._asked = self._asked, []
        last = self.position - 1
        if self._still_open:
            places = {one.interrupt_id: at for at, one in asked}
            asked = [
                (places.get(one.interrupt_id, last), Question(one.interrupt_id, one.value))
                for one in self._still_open
            ]
        questions = [one for _, one in asked]
        if not self._asks:
            result = unanswered(questions, self.run_id, can_be=self._can_be_answered)
            self._respond(result, at=last)
        elif self.told.modern:
            self._respond(required(questions, self.run_id), at=last)
        else:
            for at, one in asked:
                named = {"id": f"{self.run_id}:{one.interrupt_id}", "method": "elicitation/create"}
                self._send({"jsonrpc": "2.0", **named, "params": form(one)}, at=at)
            self.waits = True
        return self._taken()

    def handed_over(self, failure: Failed) -> bytes:
        """Let a stream end without its response, where its client has an id to come back with."""
        if self._cursor is None or not self._streams:
            self._take(failure)
        return self._taken()

    def answer(self) -> Any:
        """Return the response; there is one, since the run has ended, or waits."""
        assert self._result is not None, "a run that is answered has come to something"
        return self._response(self._result)

    @property
    def is_answered(self) -> bool:
        return self._result is not None

    def _go_on(self, _channel: Channel, texts: list[str]) -> None:
        """Take tokens in a row: by far the most."""
        if self._tells_tokens:
            self._say(texts)
        self.position += len(texts)

    def _follow(self, event: Event) -> None:
        self._take(event)
        self.position += 1

    def _take(self, event: Event) -> None:
        match event:
            case Token(content=content):
                if self._tells_tokens and content:
                    self._say([content])
            case Progress(step=step, progress=progress, message=message):
                self._progress = max(self._progress, round(progress * _WHOLE) - 1)
                self._tell(message or step)
            case Step(node_name=name):
                self._tell(name)
            case ToolCall(tool=tool):
                self._tell(f"calls {tool}")
            case ToolResult(tool=tool, error=error):
                if error is not None:
                    self._tell(f"{tool} failed: {error}")
            case Policy(message=message):
                self._tell(message)
            case Interrupt(value=value, interrupt_id=interrupt_id):
                if self._asked and self._asked[-1][0] < self.position - 1:
                    # They have been answered: something has come after them.
                    self._asked.clear()
                self._asked.append((self.position, Question(interrupt_id, value)))
            case Complete(output=output, metadata=metadata):
                self._end(self._tool.result(output, metadata, self.run_id))
            case Failed(error=error, code=code):
                self._end(failure(error, code, self.run_id))
            case Cancelled(reason=reason):
                self._end(failure(f"The run was cancelled: {reason}", "CANCELLED", self.run_id))
            case _:
                pass

    def _end(self, result: dict[str, Any]) -> None:
        self._respond(result, at=self.position)

    def _tell(self, message: str) -> None:
        if self._tells:
            self._say([message])

    def _say(self, texts: list[str]) -> None:
        """Tell of events in a row, the first of which is at `position`."""
        first = self.position
        while texts:
            count = self._progress + 1
            if count >= self._until:
                self._frame_from(count)
            room = self._until - count
            some, texts = texts[:room], texts[room:]
            at = None if self._cursor is None else first
            self._parts.append(frames_of(self._frame, some, at, count=count - self._from))
            self._progress += len(some)
            first += len(some)

    def _frame_from(self, count: int) -> None:
        """Write the point and the zeros behind it into the frame: plain numbers are much cheaper to format."""
        whole, part = divmod(count, _WHOLE)
        digits = len(str(part))
        self._from = whole * _WHOLE
        self._until = self._from + 10**digits
        zeros = b"0" * (len(str(_WHOLE - 1)) - digits)
        message = self._head + b',"progress":%d.%b%%d,"total":1,"message":%%b}}' % (whole, zeros)
        self._frame = sse.frame(message, event_id=self._cursor)

    def _respond(self, result: dict[str, Any], *, at: int) -> None:
        if self._streams:
            self._send(self._response(result), at=at)
        else:
            self._result = result

    def _response(self, result: dict[str, Any]) -> dict[str, Any]:
        return responded(self.told, result, self._stamp)

    def _send(self, message: dict[str, Any], *, at: int) -> None:
        cursor = None if self._cursor is None else self._cursor % at
        self._parts.append(sse.frame(encode(message), event_id=cursor))

    def _taken(self) -> bytes:
        body = b"".join(self._parts)
        self._parts.clear()
        return body


def responded(told: Told, result: dict[str, Any], stamp: dict[str, Any]) -> dict[str, Any]:
    """Return the response with a result, which says more since 2026."""
    if told.modern:
        meta = {**result.get("_meta", {}), **stamp}
        result = {"resultType": "complete", **result, "_meta": meta}
    return {"jsonrpc": "2.0", "id": told.request_id, "result": result}
