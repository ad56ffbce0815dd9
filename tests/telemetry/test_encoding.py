"""What is written directly is what the official encoder writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from dockrion.telemetry.otel.encoding import SpanEncoder
from dockrion.telemetry.otel.exporting import light_of

TEXTS = st.text(max_size=200)
VALUES: Any = (
    TEXTS
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(allow_nan=False)
    | st.lists(TEXTS, min_size=1, max_size=3)
    | st.lists(st.booleans(), min_size=1, max_size=3)
)
ATTRIBUTES = st.dictionaries(st.text(min_size=1, max_size=20), VALUES, max_size=6)
REMOTE = SpanContext(
    0x0AF7651916CD43DD8448EB211C80319C,
    0xB7AD6B7169203331,
    is_remote=True,
    trace_flags=TraceFlags(1),
    trace_state=TraceState([("vendor", "a1"), ("other", "b2")]),
)
RESOURCE = Resource({"service.name": "é", "n": 3, "list": ["a", "b"]})


def made(
    name: str,
    attributes: dict[str, Any],
    *,
    kind: SpanKind,
    remote: bool,
    status: Status | None,
    event: dict[str, Any] | None,
    link: dict[str, Any] | None,
) -> ReadableSpan:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    around = set_span_in_context(NonRecordingSpan(REMOTE), Context()) if remote else Context()
    links = () if link is None else (Link(REMOTE, link),)
    span = provider.get_tracer("scope", "7").start_span(
        name, around, kind, attributes=attributes, links=links
    )
    if status is not None:
        span.set_status(status)
    if event is not None:
        span.add_event("happened", event)
    span.end()
    return exporter.get_finished_spans()[0]


@given(
    name=TEXTS,
    attributes=ATTRIBUTES,
    kind=st.sampled_from(SpanKind),
    remote=st.booleans(),
    status=st.sampled_from(
        [None, Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "é")]
    ),
    event=st.none() | ATTRIBUTES,
    link=st.none() | ATTRIBUTES,
)
def test_a_span_is_encoded_as_the_official_package_does(**parts: Any) -> None:
    span = made(**parts)
    encoder = SpanEncoder()

    written = encoder.request(
        dict(RESOURCE.attributes), {("scope", "7"): [encoder.span(light_of(span))]}
    )

    ours = ExportTraceServiceRequest()
    ours.ParseFromString(written)
    theirs = encode_spans([span])
    # The official one leaves out the state of a link, which the protocol has a field for.
    for each in ours.resource_spans[0].scope_spans[0].spans[0].links:
        assert each.trace_state == "vendor=a1,other=b2"
        each.trace_state = ""
    assert ours == theirs


def test_true_and_one_are_two_values() -> None:
    encoder = SpanEncoder()
    request = ExportTraceServiceRequest()
    for value in (True, 1, 1.0, "1"):
        span = made(
            "a",
            {"n": value},
            kind=SpanKind.INTERNAL,
            remote=False,
            status=None,
            event=None,
            link=None,
        )
        written = encoder.request({}, {("", ""): [encoder.span(light_of(span))]})
        request.ParseFromString(written)
        [pair] = request.resource_spans[0].scope_spans[0].spans[0].attributes
        assert getattr(pair.value, pair.value.WhichOneof("value") or "") == value
        assert (
            pair.value.WhichOneof("value")
            == {
                bool: "bool_value",
                int: "int_value",
                float: "double_value",
                str: "string_value",
            }[type(value)]
        )


@pytest.mark.parametrize("where", ["name", "attribute", "status", "event", "link", "list"])
def test_no_text_of_a_span_leaves_uncleaned(where: str) -> None:
    secret = "hunter2-hunter2"
    given_to: dict[str, Any] = {where: secret}
    span = made(
        given_to.get("name", "a"),
        {"a": given_to.get("attribute", ""), "l": ["x", given_to.get("list", "")]},
        kind=SpanKind.INTERNAL,
        remote=False,
        status=Status(StatusCode.ERROR, given_to.get("status", "")),
        event={"a": given_to.get("event", "")},
        link={"a": given_to.get("link", "")},
    )
    encoder = SpanEncoder(lambda _, text: text.replace(secret, "***"))

    written = encoder.span(light_of(span))

    assert secret.encode() not in written
    assert b"***" in written


def test_long_texts_are_cut_where_the_environment_says_so() -> None:
    span = made(
        "a",
        {"a": "é" * 20},
        kind=SpanKind.INTERNAL,
        remote=False,
        status=None,
        event=None,
        link=None,
    )
    written = SpanEncoder(max_chars=7).span(light_of(span))
    assert "é".encode() * 7 in written
    assert "é".encode() * 8 not in written
