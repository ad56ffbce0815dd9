"""Whatever stands in any field of a protocol's request: it is answered in time, with its run or in the protocol's words for an
error, and nothing of it is an error of the server.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.events.context import StreamContext
from dockrion.events.jsonable import encode
from dockrion.testing import app_for, read_sse, request, running
from tests.runtime.protocol_requests import FUZZED, HEADERS
from tests.wires.changing import changed

PROTOCOLS = ["openai", "ag-ui", "ai-sdk", "a2a", "mcp"]
KEPT = {"connection": {"on_disconnect": "continue"}}
ONE_TEXT = {"properties": {"query": {"type": "string"}}, "required": ["query"]}
WHOLE = {"properties": {"messages": {"type": "array", "items": {}}}}
INPUTS: dict[str, Any] = {"a text": ONE_TEXT, "whole messages": WHOLE}
ANSWER_SECONDS = 5
# JSON for what no JSON library writes.
STRANGE = "strange"
RAW = st.sampled_from(
    [
        b"1e999", b"NaN", b"1" * 400, b"-1e-999", b'"\\ud800"', b'"\xff"', b'"\\u0000"',
        b'{"a":1,"a":2}', b"[" * 500, b"[" * 120 + b"]" * 120, b"tru", b"18446744073709551616",
    ]
)  # fmt: skip


async def asks(payload: Any, context: StreamContext) -> Any:
    yield "a"
    if "ask" in str(payload)[:500]:
        await context.ask({"message": "Really?"})
    yield "b"


def served(schema: Any) -> FastAPI:
    return app_for(
        asks, expose={"protocols": PROTOCOLS}, io_schema={"input": schema}, streaming=KEPT
    )


async def answer(
    app: Any, path: str, body: bytes, head: dict[str, str]
) -> tuple[int, str | None, bytes]:
    async with (
        asyncio.timeout(ANSWER_SECONDS),
        request(app, "POST", path, body=body, headers=head) as exchange,
    ):
        await exchange.head()
        kind = exchange.headers.get("content-type")
        # A stream that is come back to may wait for what follows an answer.
        waits = kind == "text/event-stream" and "last-event-id" in head
        raw = b"" if waits else await exchange.read()
    return exchange.status, kind, raw


def fuzz(path: str, schema: Any, cases: int, caplog: pytest.LogCaptureFixture) -> None:
    bodies, is_refusal, headers = FUZZED[path]
    app = served(schema)

    with asyncio.Runner() as runner:
        serving = running(app)
        runner.run(serving.__aenter__())

        @settings(max_examples=cases, deadline=None, database=None, derandomize=True)
        @given(
            body=changed(bodies, marked=STRANGE),
            head=st.sampled_from([*HEADERS, *headers]),
            raw=RAW,
        )
        def sends(body: Any, head: dict[str, str], raw: bytes) -> None:
            sent = json.dumps(body).encode().replace(b'"%b"' % STRANGE.encode(), raw)
            status, kind, answered = runner.run(answer(app, path, sent, head))
            assert status < 500, answered
            match kind:
                case "text/event-stream":
                    assert status == 200
                    for event in read_sse(answered):
                        assert not event.data or event.data == "[DONE]" or event.json()
                case "application/json":
                    said = json.loads(answered)
                    assert status < 400 or is_refusal(said), said
                case _:
                    assert (status, answered) in ((202, b""), (204, b""))

        try:
            sends()
        finally:
            runner.run(serving.__aexit__(None, None, None))
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == []


BOTH = pytest.mark.parametrize("schema", INPUTS.values(), ids=INPUTS)
EACH = pytest.mark.parametrize("path", FUZZED)


@BOTH
@EACH
def test_whatever_is_in_a_request_is_answered(
    path: str, schema: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fuzz(path, schema, 120, caplog)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@BOTH
@EACH
def test_whatever_is_in_a_request_is_answered_in_many_cases(
    path: str, schema: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fuzz(path, schema, 10_000, caplog)


@EACH
async def test_what_is_changed_was_good(path: str) -> None:
    bodies, _, headers = FUZZED[path]
    wrong = b'"code":-3260' if path in ("/a2a", "/mcp") else b"VALIDATION_ERROR"
    heads = [head for head in ({}, *headers) if "last-event-id" not in head]
    async with running(served(WHOLE)) as app:
        for body in bodies:
            answers = [(await answer(app, path, encode(body), head))[2] for head in heads]
            assert any(wrong not in one for one in answers), (body, answers)
