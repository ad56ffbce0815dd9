"""`dockrion invoke`: what it prints where, its exit codes, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dockrion.testing import read_sse
from tests.certificates import issue
from tests.cli.conftest import Result, Running, command_line, dockrion, running
from tests.client.peer import Peer
from tests.client.recording import Recording, playing

SERVICE = """
import asyncio

async def handle(payload, context):
    match payload["do"]:
        case "words":
            yield "one "
            yield "two"
        case "ask":
            yield {"answer": await context.ask({"send": "it?"})}
        case "fail":
            raise LookupError("no such thing")
        case "wait":
            yield "waiting"
            await asyncio.sleep(60)
"""
DO = {"properties": {"do": {"type": "string"}}, "required": ["do"]}
WORDS = '{"do": "words"}'
Call = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("invoked")
    (folder / "service.py").write_text(SERVICE)
    return folder


def serving(folder: Path, name: str, **sections: Any) -> Generator[Running]:
    dockfile = {
        "version": "1.0",
        "agent": {"name": "invoked", "handler": "service:handle"},
        "io_schema": {"input": DO},
        "expose": {},
        "streaming": {"connection": {"on_disconnect": "continue"}},
        **sections,
    }
    (folder / name).write_text(json.dumps(dockfile))
    with running(folder / name) as server:
        server.until_ready()
        yield server


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    yield from serving(folder, "Dockfile.yaml")


@pytest.fixture(scope="module")
def closed(folder: Path) -> Iterator[Running]:
    """A server that wants a key."""
    os.environ["INVOKE_TEST_KEY"] = "right-key"
    try:
        auth = {"mode": "api_key", "api_keys": {"env_var": "INVOKE_TEST_KEY"}}
        yield from serving(folder, "closed.yaml", auth=auth)
    finally:
        del os.environ["INVOKE_TEST_KEY"]


def test_the_output_alone_is_on_standard_output(server: Running, call: Call) -> None:
    done = call("invoke", server.url, "-p", WORDS)
    assert done == Result(0, '{\n  "content": "one two"\n}\n', "")


@pytest.mark.parametrize("ending", ["/", "/invoke", "/invoke/stream", "/runs/"])
def test_the_url_may_be_that_of_a_request_or_have_no_scheme(
    server: Running, call: Call, ending: str
) -> None:
    bare = server.url.removeprefix("http://")
    assert call("invoke", server.url + ending, "-p", WORDS).code == 0
    assert call("invoke", bare + ending, "-p", WORDS).code == 0


def test_a_stream_is_shown_live_on_standard_error(server: Running, call: Call) -> None:
    done = call("invoke", server.url, "-p", WORDS, "--stream")
    assert done.code == 0
    assert json.loads(done.out) == {"content": "one two"}
    started, *tokens, complete = done.err.splitlines()
    assert started == 'started {"agent":"invoked","framework":"custom","agent_name":"invoked"}'
    assert tokens == [
        'token {"content":"one ","finish_reason":null}',
        'token {"content":"two","finish_reason":null}',
    ]
    assert complete.startswith('complete {"output":{"content":"one two"},')


def test_a_payload_from_a_file_and_an_output_into_one(
    server: Running, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "in.json").write_text(WORDS)
    out = tmp_path / "out.json"
    done = call("invoke", server.url, "-f", tmp_path / "in.json", "-o", out)
    assert done == Result(0, "", "")
    assert json.loads(out.read_text()) == {"content": "one two"}
    assert call("invoke", server.url, "-p", WORDS, "-o", tmp_path).code == 1


def test_json_is_one_object_in_good_times_and_bad(server: Running, call: Call) -> None:
    for more in ([], ["--stream"]):
        good = call("invoke", server.url, "-p", WORDS, "--json", *more)
        told = json.loads(good.out)
        assert told["success"] is True
        assert told["status"] == "COMPLETED"
        assert told["output"] == {"content": "one two"}
        assert told["metadata"]["run_id"] == told["run_id"]
    bad = call("invoke", server.url, "-p", '{"do": "fail"}', "--json")
    assert bad.code == 1
    assert json.loads(bad.out) == {
        "success": False,
        "error": "LookupError: no such thing",
        "code": "AGENT_EXECUTION_ERROR",
    }


@pytest.mark.parametrize("more", [[], ["--stream"]])
def test_an_agent_that_fails_is_an_error_with_a_hint(
    server: Running, call: Call, more: list[str]
) -> None:
    done = call("invoke", server.url, "-p", '{"do": "fail"}', *more)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith(
        "Error: LookupError: no such thing\n"
        "Hint: the agent itself raised this; the log of its server has the traceback\n"
    )


def test_a_question_is_shown_with_the_way_to_answer_it_and_to_go_on(
    server: Running, call: Call
) -> None:
    asked = call("invoke", server.url, "-p", '{"do": "ask"}', "--stream")
    assert (asked.code, asked.out) == (1, "")
    assert '{"send":"it?"}' in asked.err
    curl = re.findall(r"^  (curl .*)$", asked.err, re.MULTILINE)[0]
    go_on = re.findall(r"^  dockrion (.*)$", asked.err, re.MULTILINE)[0]

    subprocess.run(curl, shell=True, check=True, capture_output=True)
    rest = call(*go_on.split())

    assert rest.code == 0
    assert json.loads(rest.out) == {"answer": "yes"}


def test_a_question_without_a_stream(server: Running, call: Call) -> None:
    asked = call("invoke", server.url, "-p", '{"do": "ask"}')
    assert (asked.code, asked.out) == (1, "")
    assert "Answer it, with JSON:\n  curl -X POST" in asked.err
    told = json.loads(call("invoke", server.url, "-p", '{"do": "ask"}', "--json").out)
    assert told["status"] == "INTERRUPTED"
    assert [one["value"] for one in told["interrupts"]] == [{"send": "it?"}]


def test_a_stream_goes_on_behind_an_event_without_a_new_run(server: Running, call: Call) -> None:
    request = urllib.request.Request(
        f"{server.url}/invoke/stream", WORDS.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        events = read_sse(response.read())
    rest = call("invoke", server.url, "--stream", "--last-event-id", events[1].id)
    assert json.loads(rest.out) == {"content": "one two"}
    assert [line.split()[0] for line in rest.err.splitlines()] == ["token", "complete"]
    # Behind the last one there is nothing, but the run has its output.
    ended = call("invoke", server.url, "--last-event-id", events[-1].id)
    assert ended == Result(0, rest.out, "")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--last-event-id", "unknown:1"], "not held here", "without --last-event-id"),
        (["--last-event-id", "unknown"], "must be <run_id>:<sequence>", "--help"),
        (["-p", "{}"], "do", "/schema says what the agent takes"),
        (["-p", "{"], "the payload is not JSON", "quote it for the shell"),
        (["-p", '{"do": "wait"}', "--timeout", "0.2"], "within 0.2 s", "--timeout is for"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    server: Running, call: Call, arguments: list[str], message: str, hint: str
) -> None:
    done = call("invoke", server.url, *arguments)
    assert (done.code, done.out) == (1, "")
    error, _, told = done.err.partition("Hint: ")
    assert message in error
    assert hint in told


@pytest.mark.parametrize(
    "arguments",
    [[], ["-p", "{}", "-f", "x"], ["-p", "{}", "--timeout", "0"], ["-p", "{}", "-H", "nothing"]],
)
def test_wrong_usage_is_2(call: Call, arguments: list[str]) -> None:
    assert call("invoke", "http://localhost:1", *arguments).code == 2


def test_a_key_from_the_environment_or_the_command_line(
    closed: Running, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKRION_API_KEY", raising=False)
    none = call("invoke", closed.url, "-p", WORDS)
    assert none.code == 1
    assert "Error: API key required\nHint: put the key into DOCKRION_API_KEY" in none.err
    assert call("invoke", closed.url, "-p", WORDS, "--api-key", "right-key").code == 0
    assert call("invoke", closed.url, "-p", WORDS, "-H", "X-API-Key: right-key").code == 0
    monkeypatch.setenv("DOCKRION_API_KEY", "right-key")
    assert call("invoke", closed.url, "-p", WORDS, "--stream").code == 0
    asked = call("invoke", closed.url, "-p", '{"do": "ask"}')
    assert '  curl -H "X-API-Key: $DOCKRION_API_KEY" -X POST' in asked.err
    assert "right-key" not in asked.err
    wrong = call("invoke", closed.url, "-p", WORDS, "--api-key", "wrong-key", "--debug")
    assert wrong.code == 1
    assert "Error: Invalid API key" in wrong.err
    assert "wrong-key" not in wrong.err


def test_a_server_that_is_not_there(call: Call) -> None:
    done = call("invoke", "http://127.0.0.1:1", "-p", "{}")
    assert done == Result(
        1,
        "",
        "Error: POST http://127.0.0.1:1/invoke: no connection: Connection refused\n"
        "Hint: is the server running, and is this its host and port? `dockrion run` starts one\n",
    )


def test_a_server_of_something_else(call: Call) -> None:
    peer = Peer()
    page = b"<html>nothing here</html>"
    peer.answering = lambda client: client.sendall(
        b"HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%b"
        % (len(page), page)
    )
    done = call("invoke", peer.url, "-p", "{}", "--stream")
    peer.close()
    assert done.code == 1
    assert "answered 404, not as a dockrion server does: an HTML page" in done.err
    assert f"{peer.url}/info tells whether a dockrion server is there" in done.err


def test_certificates_that_nobody_trusts(call: Call, tmp_path: Path) -> None:
    certificate = issue(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    peer = Peer(context)
    done = call("invoke", peer.url, "-p", "{}")
    plain = call("invoke", peer.url.replace("https", "http"), "-p", "{}")
    body = b'{"success": true, "output": 1, "metadata": {}}'
    peer.answering = lambda client: client.sendall(
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    trusted = dockrion("invoke", peer.url, "-p", "{}", SSL_CERT_FILE=str(certificate.authority))
    peer.close()
    assert trusted == Result(0, "1\n", "")
    assert "its certificate is not trusted" in done.err
    assert "SSL_CERT_FILE names a file" in done.err
    assert (done.code, plain.code) == (1, 1)


def test_a_cut_stream_is_taken_up_again(call: Call) -> None:
    recording = Recording()
    with playing(recording) as url:
        recording.play([600, 500])
        done = call("invoke", url, "-p", "{}", "--stream")
    assert done.code == 0
    assert json.loads(done.out) == {"content": "x"}
    assert [line.split()[0] for line in done.err.splitlines()] == [
        "started",
        "token",
        "token",
        "progress",
        "custom:thing",
        "complete",
    ]
    assert recording.started == 1


@pytest.mark.parametrize("more", [[], ["--stream"]])
def test_ctrl_c_ends_the_run_and_is_130(server: Running, more: list[str]) -> None:
    before = _runs(server, "CANCELLED")
    command = command_line(["invoke", server.url, "-p", '{"do": "wait"}', *more])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    if more:
        while "waiting" not in process.stderr.readline():
            pass
    else:
        while not _active(server):
            pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    while _active(server):
        pass
    # The one that streams would go on without its caller.
    assert len(_runs(server, "CANCELLED")) == len(before) + len(more)
    assert ("Cancelled the run" in err) == bool(more)


def test_ctrl_c_before_an_answer_has_come_ends_the_run_too() -> None:
    """The server has the run already, and its head is held up on the way."""
    asked: list[bytes] = []
    came = threading.Event()

    def answering(client: socket.socket) -> None:
        asked.append(peer.requests[-1])
        if asked[-1].startswith(b"POST"):
            came.set()
            return
        body = b'{"run_id": "r", "status": "CANCELLED"}'
        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    peer = Peer()
    peer.answering = answering
    command = command_line(["invoke", peer.url, "-p", "{}", "--stream"])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert came.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    peer.close()
    assert (process.returncode, out) == (130, "")
    [post, delete] = asked
    found = re.match(rb"POST /invoke/stream\?run_id=([0-9a-f-]{36}) ", post)
    assert found
    assert delete.startswith(b"DELETE /runs/%b?reason=Ctrl-C " % found[1])
    assert f"Cancelled the run {found[1].decode()}." in err


def test_where_callers_may_not_choose_ids_a_stream_takes_the_servers(folder: Path) -> None:
    sections = {"streaming": {"allow_client_ids": False}}
    with contextmanager(serving)(folder, "ids.yaml", **sections) as server:
        done = dockrion("invoke", server.url, "-p", WORDS, "--stream")
        assert done.code == 0
        assert json.loads(done.out) == {"content": "one two"}


def test_help_says_where_keys_belong() -> None:
    done = dockrion("invoke", "--help")
    assert done.code == 0
    assert "DOCKRION_API_KEY" in done.out


def _runs(server: Running, status: str) -> list[Any]:
    return server.ask(f"/runs?status={status}&limit=100")["runs"]


def _active(server: Running) -> bool:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=20) as response:
        text = response.read().decode()
    return any(
        float(line.rsplit(" ", 1)[1]) > 0
        for line in text.splitlines()
        if line.startswith("dockrion_active_requests")
    )
