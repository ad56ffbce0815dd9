"""Bad input over HTTP, seen from outside: what is sent, and the whole answer to it.

After each row the same server still serves, on the same connection too unless the answer has closed it.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from functools import reduce
from socket import MSG_PEEK
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from .bad_requests import ANSWER, BODIES, FINE, HEADS, MIB, Row, chunked, post
from .frames import Frame, parse_all
from .rawhttp import Connection, Head, request
from .server import Server, agent_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Of the server under test, so that a caller who dawdles is soon refused.
HEAD_SECONDS = 1.0
REQUEST_SECONDS = 2.0
WRITE_SECONDS = 1

DOCKRION_WITH_SHORT_LIMITS = f"""
import sys
from functools import partial
from dockrion.cli import main
from dockrion.runtime import server
server.ConnectionLimits = partial(
    server.ConnectionLimits, head_seconds={HEAD_SECONDS}, request_seconds={REQUEST_SECONDS}
)
sys.exit(main(sys.argv[1:]))
"""
SECTIONS: dict[str, Any] = {
    "io_schema": {"input": {"properties": {"do": {"type": "string"}}, "required": ["do"]}},
    "expose": {"limits": {"write_timeout": WRITE_SECONDS}},
}
FOLDERS = re.compile(rb"/(?:etc|home|opt|root|srv|tmp|usr|var)/")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(
        tmp_path_factory.mktemp("bad_input"),
        agent_source("misbehaving"),
        handler="handle",
        sections=SECTIONS,
        command=(sys.executable, "-c", DOCKRION_WITH_SHORT_LIMITS, "run"),
    )
    try:
        yield one
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
        # What the agent raises is logged with its traceback; nothing else is there to be logged so.
        assert all("agent raised" in line for line in one.log.splitlines() if "Traceback" in line)
    finally:
        one.kill()


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in (*BODIES, *HEADS)])
def test_bad_input_gets_its_answer_and_the_next_caller_is_served(server: Server, row: Row) -> None:
    with Connection(server.port) as connection:
        connection.send(row.sent)
        head = connection.head()
        body = b"" if row.sent.startswith(b"HEAD ") else connection.body(head)
        assert head.status == row.status
        check_head(head, body)
        if row.header is not None:
            assert row.header in head.fields
        if row.code:
            error = strict_json(body)
            assert set(error) == {"success", "error", "code", "details"}
            assert (error["success"], error["error"], error["code"]) == (False, row.says, row.code)
            for problem in error["details"] or ():
                assert set(problem) == {"pointer", "message", "type"}
                assert (problem["type"] == "invalid_json") == row.says.startswith("The body ")
        if row.output is not None:
            assert strict_json(body)["output"] == row.output
        if head.values(b"connection") == [b"close"]:
            assert connection.at_eof()
        else:
            connection.send(request("GET", "/ready"))
            assert connection.head().status == 200
    serves(server)


class Deed(NamedTuple):
    """What the agent does, and what its caller gets: an output, or an error."""

    do: str
    output: Any = None
    code: str = ""
    says: str = ""


NO_OBJECT = "return one, yield tokens, or name another `type` in io_schema.output"
NESTED = reduce(lambda inner, _: {"in": inner}, range(150), cast("Any", "<nested too deep>"))

# fmt: off
DEEDS = [
    Deed("raise", code="AGENT_EXECUTION_ERROR", says="ValueError: there is no model at llama.bin"),
    Deed("raise what has no text", code="AGENT_EXECUTION_ERROR", says="UnprintableError"),
    Deed("exit", code="AGENT_EXECUTION_ERROR", says="SystemExit: 3"),
    Deed("interrupt", code="AGENT_EXECUTION_ERROR", says="KeyboardInterrupt"),
    Deed("return nothing", code="INVALID_OUTPUT", says=f"output: must be an object, the agent gave nothing; {NO_OBJECT}"),
    Deed("return a list", code="INVALID_OUTPUT", says=f"output: must be an object, the agent gave an array; {NO_OBJECT}"),
    Deed("return what has no text", {"answer": "<Unprintable>"}),
    Deed("return odd keys", {"(1, 2)": "tuple", "None": "none", "3": "number"}),
    Deed("return a cycle", {"answer": "round", "again": "<cycle>"}),
    Deed("return nesting", NESTED),
    Deed("return half a pair", {"answer": "a\ufffdb", "\ufffd": 1}),
    Deed("return no numbers", {"answer": None, "more": [None, None]}),
    Deed("return bytes", {"answer": "/wA="}),
    Deed("return too many digits", {"answer": "1" + "0" * 5000}),
]
# fmt: on
EACH_DEED = pytest.mark.parametrize("deed", [pytest.param(deed, id=deed.do) for deed in DEEDS])


@EACH_DEED
def test_what_an_agent_does_wrong_is_one_answer(server: Server, deed: Deed) -> None:
    status, body = answer(server, "/invoke", {"do": deed.do})
    data = strict_json(body)
    if deed.code:
        assert status == 500
        assert (data["error"], data["code"], data["details"]) == (deed.says, deed.code, None)
    else:
        assert (status, data["output"]) == (200, deed.output)
    serves(server)


@EACH_DEED
def test_what_an_agent_does_wrong_is_one_terminal_event(server: Server, deed: Deed) -> None:
    started, terminal = events(server, {"do": deed.do})
    assert started.event == "started"
    if deed.code:
        data = terminal.data
        assert (terminal.event, data["error"], data["code"]) == ("error", deed.says, deed.code)
    else:
        assert (terminal.event, terminal.data["output"]) == ("complete", deed.output)
    serves(server)


@pytest.mark.parametrize(
    ("text", "times", "content"),
    [
        pytest.param("a\nb\r\nc\r", 1, "a\nb\r\nc\r", id="lines"),
        pytest.param(
            "\u2028\u2029\x85\x0b\x0c\0", 1, "\u2028\u2029\x85\x0b\x0c\0", id="separators"
        ),
        pytest.param("data: x\n\nevent: error\n", 1, "data: x\n\nevent: error\n", id="a frame"),
        pytest.param("<half a pair>", 1, "\ufffd", id="half a pair"),
        pytest.param("", 1, "", id="nothing"),
        pytest.param("é", 4 * MIB, "é" * 4 * MIB, id="8 MiB"),
    ],
)
def test_a_token_arrives_as_it_is(server: Server, text: str, times: int, content: str) -> None:
    _, token, complete = events(server, {"do": "emit", "text": text, "times": times})
    # Not `==` on its own: a difference of megabytes takes minutes to be shown.
    same = token.data["content"] == content and complete.data["output"] == {"content": content}
    assert same, token.raw[:300]
    serves(server)


def test_code_that_blocks_the_loop_is_logged_with_file_and_line(server: Server) -> None:
    assert answer(server, "/invoke", {"do": "block"})[0] == 200
    source = agent_source("misbehaving").splitlines()
    line = next(n for n, text in enumerate(source, 1) if "the line that the log must name" in text)

    def is_logged() -> bool:
        logged = (json.loads(entry) for entry in server.log.splitlines() if entry[:1] == "{")
        blocks = [entry for entry in logged if "blocks the event loop" in entry["event"]]
        return any(
            (b["file"], b["line"]) == (str(server.folder / "service.py"), line) for b in blocks
        )

    until(is_logged)
    serves(server)


def test_pipelined_requests_are_answered_in_order_whatever_is_among_them(server: Server) -> None:
    sent = (
        post(ANSWER),
        post(b"{"),
        request("GET", "/nothing"),
        post(ANSWER, "/invoke/stream"),
        post(ANSWER, media="text/plain"),
        post(ANSWER),
    )
    with Connection(server.port) as connection:
        connection.send(b"".join(sent))
        answers = [(head := connection.head(), connection.body(head)) for _ in sent]
        assert [head.status for head, _ in answers] == [200, 400, 404, 200, 415, 200]
        assert strict_json(answers[-1][1])["output"] == FINE
    serves(server)


@pytest.mark.parametrize(
    ("sent", "seconds", "part"),
    [
        pytest.param(b"GET /health HTTP/1.1\r\nX-Slow: ", HEAD_SECONDS, "head", id="head"),
        pytest.param(post(b" " * 5000)[:-5000], REQUEST_SECONDS, "body", id="body"),
        pytest.param(chunked(b" " * 5000)[:-5007], REQUEST_SECONDS, "body", id="chunk"),
    ],
)
def test_a_request_that_trickles_is_refused_in_time(
    server: Server, sent: bytes, seconds: float, part: str
) -> None:
    began = time.monotonic()
    with Connection(server.port) as connection:
        connection.send(sent)
        connection.socket.settimeout(0.05)
        while True:
            connection.send(b" ")
            try:
                connection.socket.recv(1, MSG_PEEK)
                break
            except TimeoutError:
                assert time.monotonic() - began < seconds + 5
        connection.socket.settimeout(5)
        head = connection.head()
        body = connection.body(head)
    assert seconds * 0.9 < time.monotonic() - began
    assert head.status == 408
    check_head(head, body)
    error = strict_json(body)
    assert (error["code"], error["error"]) == (
        "TIMEOUT",
        f"The {part} of the request did not come in time.",
    )
    serves(server)


def test_a_caller_that_never_reads_is_let_go_and_holds_nobody_up(server: Server) -> None:
    def open_streams() -> int:
        with Connection(server.port) as other:
            other.send(request("GET", "/metrics"))
            metrics = other.body(other.head()).decode()
        return sum(
            int(float(value))
            for value in re.findall(r"(?m)^dockrion_active_streams\S* (\S+)$", metrics)
        )

    payload = {"do": "emit", "text": "x", "times": 8 * MIB}
    with Connection(server.port, receive_buffer_bytes=4096) as connection:
        connection.send(request("POST", "/invoke/stream", payload))
        until(lambda: open_streams() == 1)
        serves(server)
        until(lambda: open_streams() == 0)
        taken = sum(map(len, iter(connection.piece, b"")))
    assert taken < 8 * MIB
    serves(server)


def check_head(head: Head, body: bytes) -> None:
    """What holds for every answer: it names its request, and tells nothing of the machine."""
    (request_id,) = head.values(b"x-request-id")
    assert re.fullmatch(rb"[0-9a-f]{32}", request_id)
    whole = b"\n".join([*(value for _, value in head.fields), body])
    assert b"Traceback" not in whole
    assert not FOLDERS.search(whole)
    if head.status >= 400 and body:
        assert head.values(b"content-type") == [b"application/json"]


def strict_json(body: bytes) -> Any:
    return json.loads(body.decode(), parse_constant=pytest.fail)


def answer(server: Server, path: str, payload: Any) -> tuple[int, bytes]:
    with Connection(server.port) as connection:
        connection.read_size = MIB
        connection.send(request("POST", path, payload))
        head = connection.head()
        body = connection.body(head)
    check_head(head, body)
    return head.status, body


def events(server: Server, payload: Any) -> list[Frame]:
    """Return the events of one stream, numbered without a gap, as strict JSON."""
    status, body = answer(server, "/invoke/stream", payload)
    assert status == 200
    found = parse_all(body)
    assert [frame.data["sequence"] for frame in found] == list(range(len(found)))
    for frame in found:
        strict_json(frame.raw.split(b"\n")[1].removeprefix(b"data: "))
    return found


def serves(server: Server) -> None:
    assert server.get("/health")[0] == 200
    status, body = answer(server, "/invoke", {"do": "answer"})
    assert (status, strict_json(body)["output"]) == (200, FINE)


def until(happens: Callable[[], bool], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)
