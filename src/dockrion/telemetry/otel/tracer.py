"""Spans of ours as OpenTelemetry's: whoever's tracer it is, the agent's code finds them as the current ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias, cast

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import SpanKind, Status, StatusCode

from dockrion.telemetry.base import Attributes, Carrier, Cause, Kind, Shared, Span
from dockrion.telemetry.http import RequestAttributes, shown_method
from dockrion.telemetry.otel.current import CurrentSpan
from dockrion.telemetry.w3c import carrier_in

# Gets the name of an attribute, or nothing, and a text.
Clean: TypeAlias = Callable[[str, str], str]

_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}


class Starter(Protocol):
    """What starts spans of OpenTelemetry."""

    def start(
        self,
        name: str,
        around: Context,
        kind: SpanKind,
        *,
        shared: Shared | None,
        own: dict[str, Any],
    ) -> trace.Span: ...


class OthersTracer:
    """A tracer of OpenTelemetry that somebody else has set up; texts pass `clean` before it gets them."""

    def __init__(self, tracer: trace.Tracer, clean: Clean | None) -> None:
        self._tracer = tracer
        self._clean = clean

    def start(
        self,
        name: str,
        around: Context,
        kind: SpanKind,
        *,
        shared: Shared | None,
        own: dict[str, Any],
    ) -> trace.Span:
        attributes: dict[str, Any] = {**(shared or {}), **own}
        if self._clean is not None:
            name = self._clean("", name)
            attributes = {key: cleaned(self._clean, key, one) for key, one in attributes.items()}
        return self._tracer.start_span(name, around, kind, attributes)


class OtelTracer:
    """`Tracer` over a starter; with `clean`, what is said of a span later passes it here."""

    def __init__(self, starter: Starter, *, clean: Clean | None = None) -> None:
        self._starter = starter
        self._clean = clean
        self._requests = RequestAttributes()
        # Those of OTEL_PROPAGATORS.
        self._fields = tuple(sorted(propagate.get_global_textmap().fields))
        self._looked_for = tuple(name.encode() for name in self._fields)

    def request(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], route: str) -> Span:
        around = get_current()
        # Where something around the app traces requests, it has read the headers.
        if not around or trace.get_current_span(around) is trace.INVALID_SPAN:
            for name in self._looked_for:
                if name in headers:
                    around = propagate.extract(carrier_in(headers, self._fields) or {}, around)
                    break
        shared, own = self._requests.of(scope, headers, route)
        name = f"{shown_method(scope['method'])} {route}"
        span = self._starter.start(name, around, SpanKind.SERVER, shared=shared, own=own)
        return self._made(span, trace.set_span_in_context(span, around))

    def span(
        self,
        name: str,
        attributes: Attributes,
        *,
        kind: Kind = "internal",
        cause: Cause = None,
        shared: Shared | None = None,
    ) -> Span:
        own: dict[str, Any] = {key: one for key, one in attributes.items() if one is not None}
        around = get_current() if cause is None else _inside(cause)
        span = current = self._starter.start(name, around, _KINDS[kind], shared=shared, own=own)
        if cause is None:
            # Code in which it is current may go on when it has ended.
            current = CurrentSpan(span, trace.get_current_span(around))
        return self._made(span, trace.set_span_in_context(current, around))

    def _made(self, span: trace.Span, inside: Context) -> OtelSpan:
        clean = self._clean
        return OtelSpan(span, inside) if clean is None else CleanedSpan(span, inside, clean)


def _inside(cause: Span | Carrier) -> Context:
    if isinstance(cause, OtelSpan):
        return cause.context
    return propagate.extract(cause if isinstance(cause, dict) else cause.carrier(), Context())


class OtelSpan:
    """`Span` over one of OpenTelemetry; `context` is what is current inside it."""

    __slots__ = ("_before", "context", "span")

    def __init__(self, span: trace.Span, context: Context) -> None:
        self.span = span
        self.context = context
        self._before: Context | None = None

    @property
    def trace_id(self) -> str:
        # Ours has it ready. Its module needs the SDK, which whoever is joined need not have.
        ready: str | None = getattr(self.span, "trace_id_hex", None)
        return ready or trace.format_trace_id(self.span.get_span_context().trace_id)

    def note(self, attributes: Attributes) -> None:
        for name, value in attributes.items():
            if value is not None:
                self.span.set_attribute(name, value)

    def fail(self, kind: str, sentence: str | None = None) -> None:
        self.span.set_attribute("error.type", kind)
        self.span.set_status(Status(StatusCode.ERROR, sentence))

    def follows(self, earlier: Carrier) -> None:
        linked = trace.get_current_span(propagate.extract(earlier, Context())).get_span_context()
        if linked.is_valid:
            self.span.add_link(linked)

    def enter(self) -> None:
        self._before = get_current()
        attach(self.context)

    def leave(self) -> None:
        before, self._before = self._before, None
        # Another task or thread than the one that entered has it from there, and keeps it.
        if before is not None and get_current() is self.context:
            attach(before)

    def end(self) -> None:
        self.leave()
        self.span.end()

    def carrier(self) -> Carrier:
        carrier: Carrier = {}
        propagate.inject(carrier, self.context)
        return carrier


class CleanedSpan(OtelSpan):
    """One whose texts are cleaned before whoever sends them gets them."""

    __slots__ = ("_clean",)

    def __init__(self, span: trace.Span, context: Context, clean: Clean) -> None:
        super().__init__(span, context)
        self._clean = clean

    def note(self, attributes: Attributes) -> None:
        super().note({name: cleaned(self._clean, name, attributes[name]) for name in attributes})

    def fail(self, kind: str, sentence: str | None = None) -> None:
        super().fail(
            self._clean("error.type", kind),
            None if sentence is None else self._clean("", sentence),
        )


def cleaned(clean: Clean, name: str, value: Any) -> Any:
    if isinstance(value, str):
        return clean(name, value)
    if isinstance(value, list | tuple):
        return [cleaned(clean, name, one) for one in cast("Sequence[Any]", value)]
    return value
