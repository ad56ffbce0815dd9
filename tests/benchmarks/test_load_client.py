"""The load client must refuse what is wrong: a figure taken from a broken stream would be no figure."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not shutil.which("cc"),
    reason="the load client needs Linux and a C compiler",
)

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


@pytest.fixture(scope="session")
def binary() -> str:
    path = Path(__file__).parents[2] / "benchmarks" / "loadclient.py"
    spec = importlib.util.spec_from_file_location("benchmarks_loadclient", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # msgspec looks the module up by name
    spec.loader.exec_module(module)
    return module.binary()


def event(kind: str, sequence: int, content: str = "hi") -> bytes:
    data = json.dumps({"type": kind, "content": content}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\nid: run:{sequence}\n\n".encode()


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def report_of(binary: str, pieces: list[bytes], *options: str) -> dict[str, Any]:
    """Let the client read one answer, sent in `pieces`, from a server that closes the connection after it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)

        server = threading.Thread(target=serve)
        server.start()
        port = str(listener.getsockname()[1])
        command = [binary, "run", "--port", port, "--timeout-ms", "5000", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        server.join()
    report = json.loads(done.stdout)
    faults = {name for name, count in report["errors"].items() if count}
    assert (done.returncode == 0) == (not faults)
    return report | {"faults": faults}


def test_a_stream_cut_at_every_byte_is_read_whole(binary: str) -> None:
    stream = chunk(event("started", 0) + event("token", 1)) + chunk(event("complete", 2))
    answer = HEAD + stream + END
    report = report_of(binary, [answer[i : i + 1] for i in range(len(answer))])
    assert (report["events"], report["completed"], report["faults"]) == (3, 1, set())


def test_a_line_longer_than_any_buffer_is_one_event(binary: str) -> None:
    long = event("complete", 1, "x" * 2_000_000)
    report = report_of(binary, [HEAD, chunk(event("started", 0)), chunk(long), END])
    assert (report["events"], report["faults"]) == (2, set())


def test_a_body_that_ends_with_the_connection_is_whole(binary: str) -> None:
    body = event("started", 0) + event("complete", 1)
    report = report_of(binary, [b"HTTP/1.0 200 OK\r\n\r\n", body])
    assert (report["completed"], report["faults"]) == (1, set())


def test_a_comment_counts_as_no_event(binary: str) -> None:
    body = chunk(event("started", 0)) + chunk(b":hb\n") + chunk(event("complete", 1))
    report = report_of(binary, [HEAD, body, END])
    assert (report["events"], report["comments"]) == (2, 1)


def test_a_plain_answer_must_hold_what_is_expected(binary: str) -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"success":true}'
    good = report_of(binary, [answer], "--plain", "--end", '"success":true')
    bad = report_of(binary, [answer], "--plain", "--end", '"success":false')
    assert (good["faults"], bad["faults"]) == (set(), {"end"})


def test_a_token_that_is_a_clock_is_timed(binary: str) -> None:
    body = event("started", 0) + event("token", 1, "1") + event("complete", 2)
    report = report_of(binary, [HEAD, chunk(body), END], "--delivery")
    assert report["delivery_ms"]["count"] == 1


@pytest.mark.parametrize(
    ("pieces", "fault"),
    [
        pytest.param(
            [HEAD, chunk(event("started", 0) + event("complete", 1))],
            "truncated",
            id="no last chunk",
        ),
        pytest.param(
            [HEAD, chunk(event("started", 0)), b"zz\r\n"], "truncated", id="no chunk size"
        ),
        pytest.param(
            [HEAD, chunk(event("started", 0) + event("complete", 2)), END], "sequence", id="a gap"
        ),
        pytest.param(
            [HEAD, chunk(event("started", 0) + event("error", 1)), END], "end", id="another end"
        ),
        pytest.param(
            [HEAD, chunk(event("started", 0) + event("complete", 1)[:-1]), END],
            "end",
            id="no blank line after the last event",
        ),
        pytest.param([b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"], "status", id="a 503"),
    ],
)
def test_a_broken_stream_is_a_fault(binary: str, pieces: list[bytes], fault: str) -> None:
    assert report_of(binary, pieces)["faults"] == {fault}
