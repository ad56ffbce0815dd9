"""Spans of ours as OpenTelemetry's: whoever's tracer it is, the agent's code finds them as the current ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import SpanKind, Status, StatusCode

from dockrion.telemetry.base import Attributes, Carrier, Cause, Kind, Span
from dockrion.telemetry.http import request_attributes, shown_method
from dockrion.telemetry.otel.current import CurrentSpan
from dockrion.telemetry.w3c import carrier_in

_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}


class StartsSpans(Protocol):
    """What is needed of an OpenTelemetry tracer."""

    def start_span(
        self, name: str, context: Context, kind: SpanKind, attributes: Any, /
    ) -> trace.Span: ...


class OtelTracer:
    """`Tracer` over one of OpenTelemetry."""

    def __init__(
        self, tracer: StartsSpans, *, clean: Callable[[str, str], str] | None = None
    ) -> None:
        """With `clean` texts pass it here: whoever sends them does not."""
        self._tracer = tracer
        self._clean = clean
        # Those of OTEL_PROPAGATORS.
        self._fields = tuple(sorted(propagate.get_global_textmap().fields))
        self._looked_for = tuple(name.encode() for name in self._fields)

    def request(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], route: str) -> Span:
        around = get_current()
        # Where something around the app traces requests, it has read the headers.
        if trace.get_current_span(around) is trace.INVALID_SPAN:
            for name in self._looked_for:
                if name in headers:
                    around = propagate.extract(carrier_in(headers, self._fields) or {}, around)
                    break
        attributes = request_attributes(scope, headers, route)
        name = f"{shown_method(scope['method'])} {route}"
        return self._start(name, around, SpanKind.SERVER, attributes)

    def span(
        self,
        name: str,
        attributes: Attributes,
        *,
        kind: Kind = "internal",
        cause: Cause = None,
    ) -> Span:
        if cause is None:
            return self._start(name, get_current(), _KINDS[kind], attributes, outlived=True)
        if isinstance(cause, OtelSpan):
            around = cause.context
        elif isinstance(cause, dict):
            around = propagate.extract(cause, Context())
        else:
            around = propagate.extract(cause.carrier(), Context())
        return self._start(name, around, _KINDS[kind], attributes)

    def _start(
        self,
        name: str,
        around: Context,
        kind: SpanKind,
        attributes: Attributes,
        *,
        outlived: bool = False,
    ) -> OtelSpan:
        """`outlived`: code in which it is current may go on when it has ended."""
        given: Any = {name: value for name, value in attributes.items() if value is not None}
        clean = self._clean
        if clean is not None:
            given = {key: cleaned(clean, key, value) for key, value in given.items()}
            name = clean("", name)
        span = current = self._tracer.start_span(name, around, kind, given)
        if outlived:
            current = CurrentSpan(span, trace.get_current_span(around))
        inside = trace.set_span_in_context(current, around)
        return OtelSpan(span, inside) if clean is None else CleanedSpan(span, inside, clean)


class OtelSpan:
    """`Span` over one of OpenTelemetry; `context` is what is current inside it."""

    __slots__ = ("_before", "context", "span")

    def __init__(self, span: trace.Span, context: Context) -> None:
        self.span = span
        self.context = context
        self._before: Context | None = None

    @property
    def trace_id(self) -> str:
        return trace.format_trace_id(self.span.get_span_context().trace_id)

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

    def __init__(
        self, span: trace.Span, context: Context, clean: Callable[[str, str], str]
    ) -> None:
        super().__init__(span, context)
        self._clean = clean

    def note(self, attributes: Attributes) -> None:
        super().note({name: cleaned(self._clean, name, attributes[name]) for name in attributes})

    def fail(self, kind: str, sentence: str | None = None) -> None:
        super().fail(
            self._clean("error.type", kind),
            None if sentence is None else self._clean("", sentence),
        )


def cleaned(clean: Callable[[str, str], str], name: str, value: Any) -> Any:
    if isinstance(value, str):
        return clean(name, value)
    if isinstance(value, list | tuple):
        return [cleaned(clean, name, one) for one in cast("Sequence[Any]", value)]
    return value


def provider_of_others() -> trace.TracerProvider | None:
    """Return what somebody else has set up for this process to trace with."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return None if getattr(provider, "is_dockrions", False) else provider
