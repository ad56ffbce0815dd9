"""The seam of traces, and what models use: told by those who know nothing of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

# A place in a trace as the headers of W3C write it (`traceparent`, `tracestate`, `baggage`): what goes to other processes.
Carrier: TypeAlias = dict[str, str]
Kind: TypeAlias = Literal["server", "client", "internal"]
# What is None is left out.
Attributes: TypeAlias = Mapping[str, str | bool | int | float | Sequence[str] | None]


class Shared(dict[str, "str | bool | int | float"]):
    """Attributes that many spans have in common: made once, and written once."""

    __slots__ = ("written",)

    def __init__(self, attributes: Mapping[str, str | bool | int | float | None]) -> None:
        super().__init__({name: one for name, one in attributes.items() if one is not None})
        self.written: bytes | None = None


class Span(Protocol):
    """One operation, from its start on; used from any thread. After its end nothing is done to it any more."""

    @property
    def trace_id(self) -> str: ...

    def note(self, attributes: Attributes) -> None: ...

    def fail(self, kind: str, sentence: str | None = None) -> None:
        """Say that it went wrong; `kind` is one of few, `sentence` what callers are told."""
        ...

    def follows(self, earlier: Carrier) -> None:
        """Link it to what led to it, in another trace."""
        ...

    def enter(self) -> None:
        """Make it the current one of this task or thread, and of what is started from there."""
        ...

    def leave(self) -> None:
        """Make the one current again that was before, where this one still is."""
        ...

    def end(self) -> None:
        """End it, and leave it."""
        ...

    def carrier(self) -> Carrier: ...


# What a span is the consequence of: None is whatever is current where it starts.
Cause: TypeAlias = Span | Carrier | None


class Tracer(Protocol):
    """Starts spans; where nothing is traced there is none. From any thread, never raises, never waits."""

    def request(
        self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], route: str
    ) -> Span: ...

    def span(
        self,
        name: str,
        attributes: Attributes,
        *,
        kind: Kind = "internal",
        cause: Cause = None,
        shared: Shared | None = None,
    ) -> Span: ...


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What one call of a model used, as far as its provider says so.

    `cache_read` and `cache_write` are parts of `input`, `reasoning` is one of `output`. `cost` is in the provider's
    currency.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.reasoning + other.reasoning,
            self.cost + other.cost,
        )


# In the carrier of a run that goes on after an answer: what led to the part before it.
_EARLIER: Final = "dockrion-earlier"


def carrier_of(cause: Cause) -> Carrier | None:
    return cause if cause is None or isinstance(cause, dict) else cause.carrier()


def going_on(cause: Cause, earlier: Carrier | None) -> Carrier | None:
    """Return the carrier of a run that an answer lets go on: a consequence of the answer, and linked to what was before.

    People answer days later, and no trace should last so long.
    """
    carrier = carrier_of(cause)
    before = None if earlier is None else earlier.get("traceparent")
    return carrier if before is None else {**(carrier or {}), _EARLIER: before}


def earlier_of(cause: Cause) -> Carrier | None:
    before = cause.get(_EARLIER) if isinstance(cause, dict) else None
    return None if before is None else {"traceparent": before}
