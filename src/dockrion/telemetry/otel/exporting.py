"""The traces of an app that go to destinations of its own, and those of libraries in its process with them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.trace import TraceState

from dockrion.spec import process_setting
from dockrion.telemetry.destinations import Destination
from dockrion.telemetry.otel.encoding import SpanEncoder
from dockrion.telemetry.otel.sending import Batching, Sender
from dockrion.telemetry.otel.spans import LightSpan, LightTracer
from dockrion.telemetry.otel.tracer import Clean, OtelTracer
from dockrion.version import VERSION

# Whose spans they are: a name and a version.
Scope = tuple[str, str]
SCOPE: Final[Scope] = ("dockrion", VERSION)
_SPANS_A_TURN: Final = 32


class Exporting:
    """Starts and sends spans. `clean` takes out of a text what may not leave; it gets the attribute's name, too."""

    def __init__(
        self, destinations: Sequence[Destination], service: dict[str, str], clean: Clean | None
    ) -> None:
        resource = _resource(service)
        limits = SpanLimits()
        self._encoder = SpanEncoder(clean, max_chars=limits.max_span_attribute_length)
        self._resource = dict(resource.attributes)
        # Reads the variables of the sampler.
        self._provider = SharedProvider(resource)
        self._others = Others(self._put)
        self.tracer = OtelTracer(LightTracer(self._provider.sampler, self._put))
        self._counts = threading.Lock()
        self.lost = 0
        batching = _batching()
        self._senders = [
            Sender(one, batching, pack=self._pack, lost=self._lose) for one in destinations
        ]

    def start(self) -> None:
        for sender in self._senders:
            sender.start()

    def take_from(self, provider: Any) -> None:
        """Send what others trace with their provider, too, where it is one of the SDK."""
        if hasattr(provider, "add_span_processor"):
            provider.add_span_processor(self._others)

    def share(self) -> None:
        """Let libraries of this process trace with ours, where nobody else has set up a provider.

        A process has one provider for good: of several apps the one that was loaded last gets their spans.
        """
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self._provider)
        provider = trace.get_tracer_provider()
        if isinstance(provider, SharedProvider):
            provider.others.put = self._put

    async def close(self, seconds: float) -> None:
        self._others.put = None
        provider = trace.get_tracer_provider()
        if isinstance(provider, SharedProvider) and provider.others.put == self._put:
            provider.others.put = None
        async with asyncio.TaskGroup() as closing:
            for sender in self._senders:
                closing.create_task(sender.close(seconds))

    def _put(self, span: LightSpan) -> None:
        for sender in self._senders:
            sender.put(span)

    def _lose(self, spans: int) -> None:
        with self._counts:
            self.lost += spans

    def _pack(self, spans: Sequence[LightSpan]) -> bytes:
        """Make a request of spans, in a sender's thread."""
        by_scope: dict[Scope, list[bytes]] = {}
        for number, span in enumerate(spans):
            by_scope.setdefault(span.scope or SCOPE, []).append(self._encoder.span(span))
            if number % _SPANS_A_TURN == 0:
                # Else the loop's thread waits for up to five milliseconds.
                time.sleep(0)
        return self._encoder.request(self._resource, by_scope)


class Others(SpanProcessor):
    """Hands on spans that were made with the SDK."""

    def __init__(self, put: Callable[[LightSpan], None] | None = None) -> None:
        self.put = put

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    def on_end(self, span: ReadableSpan) -> None:
        if self.put is not None and span.context is not None and span.context.trace_flags.sampled:
            self.put(light_of(span))


class SharedProvider(TracerProvider):
    """What libraries of the process trace with, where nobody else has set up a provider."""

    is_dockrions = True

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource=resource, shutdown_on_exit=False)
        self.others = Others()
        self.add_span_processor(self.others)


def light_of(span: ReadableSpan) -> LightSpan:
    """Return a span that was made with the SDK, and has ended, as ours are kept."""
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    light = LightSpan(
        _nothing,
        span.name,
        span.kind,
        dict(span.attributes or {}),
        trace_id=context.trace_id,
        flags=context.trace_flags,
        state=context.trace_state or TraceState(),
        parent_id=0 if parent is None else parent.span_id,
        parent_is_remote=parent is not None and parent.is_remote,
    )
    scope = span.instrumentation_scope
    light.scope = None if scope is None else (scope.name, scope.version or "")
    light.span_id = context.span_id
    light.status = span.status
    light.links = list(span.links)
    light.happenings = [
        (event.name, event.timestamp, event.attributes or {}) for event in span.events
    ]
    light.dropped = span.dropped_attributes
    light.started_ns, light.ended_ns = span.start_time or 0, span.end_time or 0
    return light


def _nothing(_: Any) -> None:
    pass


def _resource(service: dict[str, str]) -> Resource:
    """Return what the process is, as OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, and else as the Dockfile does."""
    said = Resource.create()
    missing = {name: value for name, value in service.items() if name not in said.attributes}
    if str(said.attributes[SERVICE_NAME]).startswith("unknown_service"):
        missing[SERVICE_NAME] = service[SERVICE_NAME]
    return said.merge(Resource(missing))


def _batching() -> Batching:
    usual = Batching()
    return Batching(
        most=_number("OTEL_BSP_MAX_QUEUE_SIZE", usual.most),
        batch=_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", usual.batch),
        seconds=_number("OTEL_BSP_SCHEDULE_DELAY", round(usual.seconds * 1000)) / 1000,
    )


def _number(name: str, usual: int) -> int:
    said = process_setting(name)
    return int(said) if said is not None and said.isdecimal() and int(said) > 0 else usual
