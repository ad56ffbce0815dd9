"""The seams of protocols."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import msgspec

from dockrion.errors import DockrionError
from dockrion.events.model import Batch, Failed, Interrupt


class Wire(Protocol):
    """Writes the events of one run for one connection: one object for each request, fed in order.

    `encode` gives the bytes of a whole batch, for one write; how the events are cut into batches changes no byte.
    `heartbeat` gives what keeps an idle connection alive; it belongs to the connection, not to the run.
    `paused` gives what ends a stream whose run goes on when its questions, which are out, are answered.
    """

    @property
    def content_type(self) -> bytes: ...

    def encode(self, batch: Batch) -> bytes: ...

    def heartbeat(self) -> bytes: ...

    def paused(self) -> bytes: ...


@runtime_checkable
class AnswerWire(Wire, Protocol):
    """A wire that can also say everything at once: `answer`, after the last batch, is the body of a plain answer."""

    def answer(self) -> Any: ...


@runtime_checkable
class BreakableWire(Wire, Protocol):
    """A wire with words for a stream that cannot go on while its run may: `broken` ends it, and says why."""

    def broken(self, failure: DockrionError) -> bytes: ...


@runtime_checkable
class ReturningWire(Wire, Protocol):
    """A wire whose clients come back by themselves to a stream that has not ended as it should: `handed_over` is what they
    get where this process stops to follow a run that goes on.
    """

    def handed_over(self, failure: Failed) -> bytes: ...


@runtime_checkable
class AskingWire(Wire, Protocol):
    """A wire that has to know which questions of its run are open, since events do not tell of answers: `stay_open` says
    so before the last batch in front of `paused`. There is one at least.
    """

    def stay_open(self, questions: tuple[Interrupt, ...]) -> None: ...


@runtime_checkable
class OpeningWire(Wire, Protocol):
    """A wire that has something to tell before the first event of its run, which may have to wait for its turn.

    `opening` is called first, or not at all: whoever comes back has had it.
    """

    def opening(self, timestamp: str) -> bytes: ...


class WireRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a wire is told of its run. With `cursors`, its frames carry `id:` lines to come back with (`cursors.py`)."""

    run_id: str
    thread_id: str | None
    streams: bool
    cursors: bool


class WireCall(Protocol):
    """What one request asks for, read and checked as far as the protocol goes; makes the wire of its run: an
    `AnswerWire`, where it does not stream.

    With `is_input`, its payload is the agent's input, and has to fit; else it is what a run goes on with.
    """

    @property
    def payload(self) -> Any: ...

    @property
    def thread_id(self) -> str | None: ...

    @property
    def streams(self) -> bool: ...

    @property
    def is_input(self) -> bool: ...

    def wire(self, run: WireRun) -> Wire: ...


@runtime_checkable
class AnsweringCall(WireCall, Protocol):
    """A call that may have answers, whose stream begins with what follows the questions: `begins` says after how many events
    of that run. It is 0 where that is not known.
    """

    def begins(self, run_id: str) -> int: ...


class WireEntry(Protocol):
    """One path of a protocol; `refusal` is the body of an error's answer."""

    @property
    def path(self) -> str: ...

    def refusal(self, error: DockrionError) -> Any: ...


class WirePath(WireEntry, Protocol):
    """How one path of a protocol reads its requests. Values in, values out: no I/O.

    `read` gets the body as JSON data and raises `ValidationError`. `read_again` gets the body of a caller who comes
    back to a run of its own (None: it is no JSON), and must not refuse it.
    """

    def read(self, body: Any) -> WireCall: ...

    def read_again(self, body: Any) -> WireCall: ...
