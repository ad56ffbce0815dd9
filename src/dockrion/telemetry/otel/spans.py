"""Spans that cost little: an own tracer behind OpenTelemetry's API.

A span of the SDK costs 50 µs and 70 more to be encoded, most of it for what our spans have no need of (a lock, two
copies, checks of each attribute, instruments of its own). These are written once and read once, by `encoding.py`.
What the SDK decides stays its own: the sampler, the limits and the resource are those that `OTEL_*` variables ask for.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from random import getrandbits
from time import time_ns
from typing import Any, Final, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    DEFAULT_ON,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from dockrion.telemetry.base import Shared
from dockrion.telemetry.otel.current import still_open

# Beyond it, what is added to a span is counted and left out.
MAX_ITEMS: Final = 128
# Each of them says of the spans below one of this process what it has said of that one.
_ASKED_ONCE: Final = (ParentBased, ParentBasedTraceIdRatio, TraceIdRatioBased, StaticSampler)
_NO_STATE: Final = TraceState()
# The flag of W3C's second level: the trace's id is random.
_RANDOM: Final = 2

# A name, nanoseconds, attributes.
Happening = tuple[str, int, Mapping[str, Any]]


class LightSpan(trace.Span):
    """A span that is recorded; `done` gets it when it ends, once."""

    __slots__ = (
        "_context",
        "_hex",
        "attributes",
        "done",
        "dropped",
        "ended_ns",
        "flags",
        "happenings",
        "kind",
        "links",
        "name",
        "parent_id",
        "parent_is_remote",
        "scope",
        "shared",
        "span_id",
        "started_ns",
        "state",
        "status",
        "trace_id",
    )

    def __init__(
        self,
        done: Callable[[LightSpan], None],
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        *,
        trace_id: int,
        flags: int,
        state: TraceState,
        parent_id: int = 0,
        parent_is_remote: bool = False,
        shared: Shared | None = None,
    ) -> None:
        """`attributes` are the span's own, those of `shared` are left as they are."""
        self.done = done
        self.name = name
        self.kind = kind
        # Where it is not ours: who has made it.
        self.scope: tuple[str, str] | None = None
        self.attributes = attributes
        self.shared = shared
        self.trace_id = trace_id
        self._hex: str | None = None
        self.span_id = getrandbits(64) or 1
        self.flags = flags
        self.state = state
        # 0: it is the first of its trace.
        self.parent_id = parent_id
        self.parent_is_remote = parent_is_remote
        self.status: Status | None = None
        self.links: list[Link] | None = None
        self.happenings: list[Happening] | None = None
        self.dropped = 0
        self.started_ns = time_ns()
        self.ended_ns = 0
        self._context: SpanContext | None = None

    def get_span_context(self) -> SpanContext:
        context = self._context
        if context is None:
            context = self._context = SpanContext(
                self.trace_id, self.span_id, False, TraceFlags(self.flags), self.state
            )
        return context

    @property
    def trace_id_hex(self) -> str:
        if self._hex is None:
            self._hex = f"{self.trace_id:032x}"
        return self._hex

    def is_recording(self) -> bool:
        return not self.ended_ns

    def set_attribute(self, key: str, value: Any) -> None:
        if self.ended_ns:
            return
        if self.shared is not None and key in self.shared:
            self.attributes = {**self.shared, **self.attributes}
            self.shared = None
        if len(self.attributes) >= MAX_ITEMS and key not in self.attributes:
            self.dropped += 1
            return
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        if self.ended_ns:
            return
        happenings = self.happenings = self.happenings or []
        if len(happenings) < MAX_ITEMS:
            happenings.append((name, timestamp or time_ns(), dict(attributes or {})))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if self.ended_ns or not context.is_valid:
            return
        links = self.links = self.links or []
        if len(links) < MAX_ITEMS:
            links.append(Link(context, dict(attributes or {})))

    def update_name(self, name: str) -> None:
        if not self.ended_ns:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if isinstance(status, StatusCode):
            status = Status(status, description)
        is_final = self.status is not None and self.status.status_code is StatusCode.OK
        if not (self.ended_ns or is_final or status.status_code is StatusCode.UNSET):
            self.status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        kind = type(exception)
        told: dict[str, Any] = {
            "exception.type": kind.__qualname__
            if kind.__module__ == "builtins"
            else f"{kind.__module__}.{kind.__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**told, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        if not self.ended_ns:
            self.ended_ns = end_time or time_ns()
            self.done(self)


class LightTracer:
    """Starts `LightSpan`s, as far as the sampler wants them."""

    def __init__(self, sampler: Sampler, done: Callable[[LightSpan], None]) -> None:
        self._sampler = sampler
        self._asked_once = type(sampler) in _ASKED_ONCE
        # Everything, but what a caller does not sample.
        self._is_usual = sampler is DEFAULT_ON
        self._done = done

    def start(
        self,
        name: str,
        around: Context,
        kind: SpanKind,
        *,
        shared: Shared | None,
        own: dict[str, Any],
    ) -> trace.Span:
        parent = still_open(trace.get_current_span(around)) if around else trace.INVALID_SPAN
        if type(parent) is LightSpan and self._asked_once:
            return LightSpan(
                self._done,
                name,
                kind,
                own,
                trace_id=parent.trace_id,
                flags=parent.flags,
                state=parent.state,
                parent_id=parent.span_id,
                shared=shared,
            )
        above = parent.get_span_context()
        known = above.is_valid
        trace_id = above.trace_id if known else getrandbits(128) or 1
        flags = int(above.trace_flags) if known else _RANDOM
        is_wanted, state = not known or above.trace_flags.sampled, above.trace_state
        if not self._is_usual and not (known and not above.is_remote and self._asked_once):
            attributes = {**(shared or {}), **own}
            said = self._sampler.should_sample(around, trace_id, name, kind, attributes, ())
            is_wanted, state = said.decision.is_recording(), said.trace_state or _NO_STATE
            shared, own = None, {**cast("Any", said).attributes}
        if not is_wanted:
            unsampled = TraceFlags(flags & ~TraceFlags.SAMPLED)
            return NonRecordingSpan(
                SpanContext(trace_id, getrandbits(64) or 1, False, unsampled, state)
            )
        return LightSpan(
            self._done,
            name,
            kind,
            own,
            trace_id=trace_id,
            flags=flags | TraceFlags.SAMPLED,
            state=state,
            parent_id=above.span_id if known else 0,
            parent_is_remote=known and above.is_remote,
            shared=shared,
        )
