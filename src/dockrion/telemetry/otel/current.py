"""A span as the current one of code that may still run when it has ended.

LangChain tells that a call has ended in a task of its own, from which nothing can be made current for those who go on. So
what they find as the current span is this: the span while it is open, and from then on the one around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanContext, Status, StatusCode


class CurrentSpan(trace.Span):
    __slots__ = ("_outer", "_span")

    def __init__(self, span: trace.Span, outer: trace.Span) -> None:
        self._span = span
        # Of those that have ended nothing is kept.
        self._outer = still_open(outer)

    @property
    def now(self) -> trace.Span:
        return self._span if self._span.is_recording() else still_open(self._outer)

    def end(self, end_time: int | None = None) -> None:
        self.now.end(end_time)

    def get_span_context(self) -> SpanContext:
        return self.now.get_span_context()

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.now.set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self.now.set_attribute(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        self.now.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        self.now.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self.now.update_name(name)

    def is_recording(self) -> bool:
        return self.now.is_recording()

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self.now.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self.now.record_exception(exception, attributes, timestamp, escaped)


def still_open(span: trace.Span) -> trace.Span:
    """Return what a span stands for."""
    return span.now if isinstance(span, CurrentSpan) else span
