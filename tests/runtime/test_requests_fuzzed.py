"""Any bytes on a socket: every answer is one of ours, none is a 500, none is late, and the server goes on."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.runtime.protocol import ConnectionLimits
from dockrion.testing import app_for, running
from tests.runtime.connections import serving

LIMITS = ConnectionLimits(head_bytes=4000, head_seconds=0.2, request_seconds=0.2)
ANSWER_SECONDS = 5
STATUSES = {200, 204, 304, 307, 400, 404, 405, 408, 410, 413, 415, 431}

PATHS = st.one_of(
    st.sampled_from(
        [b"/invoke", b"/invoke/stream", b"/invoke/", b"/", b"/info", b"/docs", b"/redoc", b"*"]
    ),
    st.binary(max_size=20).map(lambda raw: b"/" + raw),
    st.text("/.%?&=#:;@0afx\\", max_size=20).map(lambda text: b"/docs/" + text.encode()),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade",
            b"content-type", b"content-encoding", b"last-event-id", b"x-run-id", b"x-thread-id",
            b"x-request-id", b"origin", b"access-control-request-method", b"x-forwarded-for", b"te",
            b"range", b"if-none-match",
        ]
    ),
    st.binary(max_size=8),
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [
            b"x", b"0", b"2", b"7", b"-1", b"chunked", b"gzip", b"close", b"keep-alive, upgrade",
            b"100-continue", b"h2c", b"application/json", b"text/plain", b"a:1", b"*", b"[::1]",
        ]
    ),
    st.binary(max_size=30),
)  # fmt: skip
BODIES = st.one_of(
    st.just(b"{}"),
    st.just(b"2\r\n{}\r\n0\r\n\r\n"),
    st.just(b"2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n"),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=5,
    ).map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"get", b"X\x00"]))
    version = draw(
        st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2.0", b"", b"HTTP/1.1 "])
    )
    body = draw(BODIES)
    lines = [b"%b %b %b" % (method, draw(PATHS), version)]
    lines += draw(st.sampled_from([[b"host: x"]] * 4 + [[]]))
    lines += draw(
        st.sampled_from(
            [[b"content-length: %d" % len(body)]] * 3 + [[b"transfer-encoding: chunked"], []]
        )
    )
    fields = st.tuples(NAMES, VALUES).map(lambda field: b"%b: %b" % field)
    lines += draw(st.lists(fields, max_size=4))
    raw = b"\r\n".join([*lines, b"", b""]) + body
    for at, byte in draw(
        st.lists(st.tuples(st.integers(0, len(raw)), st.binary(max_size=2)), max_size=2)
    ):
        raw = raw[:at] + byte + raw[at + 1 :]
    return raw


CONNECTIONS = st.lists(
    st.one_of(requests(), requests(), st.binary(max_size=50)), min_size=1, max_size=3
)


async def echo(payload: Any) -> Any:
    yield "token"
    yield {"got": payload}


def fuzz(cases: int, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    app = app_for(echo)

    async def talk(port: int, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(sent)
                writer.write_eof()
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def serve(ready: asyncio.Future[int], end: asyncio.Event) -> None:
        async with running(app), serving(app, limits=LIMITS) as port:
            ready.set_result(port)
            await end.wait()

    ready: asyncio.Future[int] = loop.create_future()
    end = asyncio.Event()
    server = loop.create_task(serve(ready, end))
    port = loop.run_until_complete(ready)

    @settings(max_examples=cases, deadline=None, database=None, derandomize=True)
    @given(sent=CONNECTIONS)
    def talks(sent: list[bytes]) -> None:
        answer = loop.run_until_complete(talk(port, b"".join(sent)))
        if answer:
            assert answer.startswith(b"HTTP/1.1 ")
            assert int(answer[9:12]) in STATUSES, answer

    try:
        talks()
        alive = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        assert loop.run_until_complete(talk(port, alive)).startswith(b"HTTP/1.1 200 ")
    finally:
        end.set()
        loop.run_until_complete(server)
        loop.close()
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


def test_no_bytes_break_the_server(caplog: pytest.LogCaptureFixture) -> None:
    fuzz(300, caplog)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_no_bytes_break_the_server_in_many_cases(caplog: pytest.LogCaptureFixture) -> None:
    fuzz(20_000, caplog)
