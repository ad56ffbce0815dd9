"""Which trace a caller is in, where nothing is traced."""

from __future__ import annotations

import pytest

from dockrion.telemetry.base import earlier_of, going_on
from dockrion.telemetry.w3c import MAX_CHARS, carrier_in, trace_id_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.mark.parametrize("header", [PARENT, f" {PARENT}\t", f"01-{TRACE}-b7ad6b7169203331-01-new"])
def test_the_trace_of_a_caller_is_known(header: str) -> None:
    assert trace_id_of({"traceparent": header}) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        TRACE,
        PARENT.upper(),
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-b7ad6b7169203331",
    ],
)
def test_what_is_no_trace_context_is_none(header: str) -> None:
    assert trace_id_of({"traceparent": header}) is None
    assert trace_id_of({"tracestate": "a=b"}) is None
    assert trace_id_of(None) is None


def test_only_the_headers_of_a_trace_are_carried_and_none_that_is_too_long() -> None:
    headers = {b"traceparent": PARENT.encode(), b"baggage": b"a=1", b"cookie": b"c=1"}
    assert carrier_in(headers) == {"traceparent": PARENT, "baggage": "a=1"}
    assert carrier_in({b"cookie": b"c=1"}) is None
    assert carrier_in({b"baggage": b"a" * (MAX_CHARS + 1)}) is None


def test_what_goes_on_after_an_answer_knows_what_was_before() -> None:
    before, answer = {"traceparent": PARENT}, {"traceparent": PARENT.replace("b7", "c8")}

    goes_on = going_on(answer, before)

    assert earlier_of(goes_on) == before
    assert goes_on is not None
    assert goes_on["traceparent"] == answer["traceparent"]
    # A second answer links to the first one.
    assert earlier_of(going_on(before, goes_on)) == answer
    assert earlier_of(going_on(answer, None)) is None
    assert going_on(None, None) is None
