"""A tracer that keeps the spans that have ended."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from dockrion.telemetry.otel.spans import LightSpan, LightTracer
from dockrion.telemetry.otel.tracer import OtelTracer


class Recorded:
    def __init__(self) -> None:
        self.spans: list[LightSpan] = []
        self.tracer = OtelTracer(LightTracer(ALWAYS_ON, self.spans.append))

    def one(self, name: str) -> LightSpan:
        [found] = self.named(name)
        return found

    def named(self, name: str) -> list[LightSpan]:
        return [span for span in self.spans if span.name == name]

    def tree(self) -> list[Any]:
        """Return names as `[name, [children]]`, each in the order in which they began."""
        spans = sorted(self.spans, key=lambda span: span.started_ns)
        known = {span.span_id for span in spans}

        def below(parent: LightSpan) -> list[Any]:
            children = [below(span) for span in spans if span.parent_id == parent.span_id]
            return [parent.name, children] if children else [parent.name]

        return [below(span) for span in spans if span.parent_id not in known]
