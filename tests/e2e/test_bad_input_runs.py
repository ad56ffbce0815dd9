"""Requests for runs as they should not be, each with its whole answer, against a real server that serves on after each."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from .bad_requests import (
    CURL,
    EMPTY,
    FORM,
    INVALID,
    LARGE,
    LARGER,
    MEDIA,
    METHOD,
    RUN_ID,
    TOO_LARGE,
    UNKNOWN,
    post,
)
from .rawhttp import Connection, request
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

CONFLICT, GONE = "CONFLICT", "GONE"
ANSWER = b'{"name": "Ann"}'
STATUSES = "ACCEPTED, RUNNING, INTERRUPTED, COMPLETED, FAILED, CANCELLED"
KEY = "Idempotency-Key: must be 1 to 255 printable characters, got "
LIMIT = "limit: must be a whole number from 1 to 100, got "
SECONDS = "timeout: must be a number of seconds from 1 to 3600, got "
FROM = "from_sequence: must be the number of an event, 0 or more, got "
SEEN = "Last-Event-ID: must be done:<sequence> or <sequence>, got "
REASON = "reason: must be at most 500 printable characters, got "


class Row(NamedTuple):
    name: str
    sent: bytes
    status: int
    code: str = ""
    says: str = ""
    header: tuple[bytes, bytes] | None = None


def get(path: str, *headers: str) -> bytes:
    return request("GET", path, headers=headers)


def seen(last: str) -> bytes:
    return get("/runs/done/events", f"Last-Event-ID: {last}")


# fmt: off
ROWS = [
    Row("no body", post(b"", "/runs"), 400, INVALID, EMPTY),
    Row("no JSON", post(b"{'a': 1}", "/runs"), 400, INVALID, "The body is not JSON: object keys must be strings (byte 1)"),
    Row("does not fit", post(b"[]", "/runs"), 400, INVALID, 'the payload: [] is not of type "object"'),
    Row("11 MiB", post(LARGE, "/runs"), 413, LARGER, TOO_LARGE, (b"connection", b"close")),
    Row("what curl -d sends", post(ANSWER, "/runs", media="application/x-www-form-urlencoded"), 415, MEDIA, f"{FORM}/runs {CURL}"),
    Row("bad run_id", post(ANSWER, "/runs?run_id=a/b"), 400, INVALID, f"{RUN_ID}'a/b'"),
    Row("bad run_id in a header", post(ANSWER, "/runs", headers=["X-Run-ID: -a"]), 400, INVALID, f"{RUN_ID}'-a'"),
    Row("empty key", post(ANSWER, "/runs", headers=["Idempotency-Key:"]), 400, INVALID, f"{KEY}''"),
    Row("long key", post(ANSWER, "/runs", headers=[f"Idempotency-Key: {'k' * 256}"]), 400, INVALID, f"{KEY}'{'k' * 77}...'"),
    Row("another payload with an id", post(b'{"name": "Bob"}', "/runs?run_id=done"), 409, CONFLICT, "A run with the id 'done' exists already."),
    Row("another thread with an id", post(ANSWER, "/runs?run_id=done&thread_id=t"), 409, CONFLICT, "A run with the id 'done' exists already."),
    Row("the id of a run on another way", post(ANSWER, "/invoke?run_id=done"), 409, CONFLICT, "A run with the id 'done' exists already."),
    Row("limit 0", get("/runs?limit=0"), 400, INVALID, f"{LIMIT}'0'"),
    Row("limit 101", get("/runs?limit=101"), 400, INVALID, f"{LIMIT}'101'"),
    Row("limit of words", get("/runs?limit=all"), 400, INVALID, f"{LIMIT}'all'"),
    Row("unknown status", get("/runs?status=DONE"), 400, INVALID, f"status: must be one of {STATUSES}, got 'DONE'"),
    Row("small status", get("/runs?status=running"), 400, INVALID, f"status: must be one of {STATUSES}, got 'running'"),
    Row("empty cursor", get("/runs?cursor="), 400, INVALID, "cursor: must be the next_cursor of another page, got ''"),
    Row("PUT", request("PUT", "/runs", {}), 405, METHOD, "/runs takes GET, HEAD and POST, not PUT.", (b"allow", b"GET, HEAD, POST")),
    Row("PATCH of a run", request("PATCH", "/runs/done", {}), 405, METHOD, "/runs/done takes GET, HEAD and DELETE, not PATCH.", (b"allow", b"GET, HEAD, DELETE")),
    Row("POST to events", post(ANSWER, "/runs/done/events"), 405, METHOD, "/runs/done/events takes GET and HEAD, not POST.", (b"allow", b"GET, HEAD")),
    Row("GET of an answer", get("/runs/done/resume"), 405, METHOD, "/runs/done/resume takes POST, not GET.", (b"allow", b"POST")),
    Row("unknown run", get("/runs/none"), 404, UNKNOWN, "There is no run 'none'."),
    Row("no id of a run", get("/runs/a%20b"), 404, UNKNOWN, "There is no run 'a b'."),
    Row("no UTF-8 in an id", get("/runs/%ff"), 404, UNKNOWN, "There is no run '\ufffd'."),
    Row("way out", get("/runs/..%2f..%2fetc"), 404, UNKNOWN, "There is nothing at /runs/../../etc."),
    Row("events of an unknown run", get("/runs/none/events"), 404, UNKNOWN, "There is no run 'none'."),
    Row("cancel of an unknown run", request("DELETE", "/runs/none"), 404, UNKNOWN, "There is no run 'none'."),
    Row("answer to an unknown run", post(b"1", "/runs/none/resume"), 404, UNKNOWN, "There is no run 'none'."),
    Row("nothing below", get("/runs/done/output"), 404, UNKNOWN, "There is nothing at /runs/done/output."),
    Row("cancel of a finished run", request("DELETE", "/runs/done"), 400, CONFLICT, "The run 'done' has ended already: COMPLETED.", (b"x-run-id", b"done")),
    Row("long reason", request("DELETE", f"/runs/done?reason={'a' * 501}"), 400, INVALID, f"{REASON}'{'a' * 77}...'"),
    Row("reason with a line end", request("DELETE", "/runs/done?reason=a%0a"), 400, INVALID, f"{REASON}'a\\n'"),
    Row("answer to a finished run", post(b"1", "/runs/done/resume"), 409, CONFLICT, "The run 'done' does not wait for an answer: COMPLETED.", (b"x-run-id", b"done")),
    Row("no answer", post(b"", "/runs/done/resume"), 400, INVALID, "The body is empty; send the answer as JSON."),
    Row("answer that is no JSON", post(b"yes", "/runs/done/resume"), 400, INVALID, "The body is not JSON: invalid character (byte 0)"),
    Row("answer of another type", post(b"1", "/runs/done/resume", media="text/plain"), 415, MEDIA, "Content-Type: must be application/json, got 'text/plain'"),
    Row("time 0", get("/runs/done/events?timeout=0"), 400, INVALID, f"{SECONDS}'0'"),
    Row("an hour and more", get("/runs/done/events?timeout=3601"), 400, INVALID, f"{SECONDS}'3601'"),
    Row("infinite time", get("/runs/done/events?timeout=inf"), 400, INVALID, f"{SECONDS}'inf'"),
    Row("sequence below 0", get("/runs/done/events?from_sequence=-1"), 400, INVALID, f"{FROM}'-1'"),
    Row("sequence of 19 digits", get(f"/runs/done/events?from_sequence={'9' * 19}"), 400, INVALID, f"{FROM}'{'9' * 19}'"),
    Row("sequence beyond the end", get("/runs/done/events?from_sequence=9"), 410, GONE, "from_sequence: the run 'done' has no event 8 (yet).", (b"x-run-id", b"done")),
    Row("event beyond the end", seen("done:8"), 410, GONE, "Last-Event-ID: the run 'done' has no event 8 (yet).", (b"x-run-id", b"done")),
    Row("event of another run", seen("other:1"), 400, INVALID, f"{SEEN}'other:1'"),
    Row("event without number", seen("done:"), 400, INVALID, f"{SEEN}'done:'"),
    Row("empty event", seen(""), 400, INVALID, f"{SEEN}''"),
    Row("bad sequence beside a good event", get("/runs/done/events?from_sequence=x", "Last-Event-ID: 1"), 400, INVALID, f"{FROM}'x'"),
    Row("the terminal event seen", seen("done:2"), 204, header=(b"x-run-id", b"done")),
    Row("slash at the end", get("/runs/done/?a=b"), 307, header=(b"location", b"/runs/done?a=b")),
    Row("HEAD of events", request("HEAD", "/runs/done/events"), 200, header=(b"content-type", b"text/event-stream")),
    Row("preflight of a cancel", request("OPTIONS", "/runs/done", headers=["Origin: http://a.test", "Access-Control-Request-Method: DELETE"]), 200, header=(b"access-control-allow-origin", b"*")),
]
# fmt: on
SCHEMA = {"input": {"properties": {"name": {"type": "string"}}}}


@pytest.fixture(scope="module")
def done(server: StartServer) -> Server:
    """A server that has a finished run `done`, whose events are 0 to 2."""
    one = server(agent_source("pacing"), io_schema=SCHEMA, handler="greet")
    with Connection(one.port) as connection:
        connection.send(post(ANSWER, "/runs?run_id=done"))
        head = connection.head()
        assert head.status in (200, 202)
        connection.body(head)
    deadline = time.monotonic() + 10
    while one.get("/runs/done")[1]["status"] != "COMPLETED":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return one


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_bad_input_gets_its_answer_and_the_next_caller_is_served(done: Server, row: Row) -> None:
    with Connection(done.port) as connection:
        connection.send(row.sent)
        head = connection.head()
        bare = row.sent.startswith(b"HEAD ") or row.status == 204
        body = b"" if bare else connection.body(head)
        assert head.status == row.status
        assert len(head.values(b"x-request-id")) == 1
        if row.header is not None:
            assert row.header in head.fields
        if row.code:
            assert_error(body, row)
        if head.values(b"connection") == [b"close"]:
            assert connection.at_eof()
        else:
            connection.send(request("GET", "/runs/done"))
            assert connection.head().status == 200
    assert done.get("/runs")[1]["runs"][0]["run_id"] == "done"


def assert_error(body: bytes, row: Row) -> None:
    error: dict[str, Any] = json.loads(body)
    assert set(error) == {"success", "error", "code", "details"}
    assert (error["success"], error["error"], error["code"]) == (False, row.says, row.code)
