"""`/invoke/ws` of a real server: the clients that people have, a proxy, and processes that end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from .browser import in_chromium
from .nginx import Nginx
from .puppet import Puppet
from .readers import CLIENTS
from .server import DOCKRION_RUN, Server, agent_source

if TYPE_CHECKING:
    from .conftest import StartServer

KEY = "key-of-the-test"
PAGE = Path(__file__).parents[2] / "docs" / "websocket.md"
EXPOSE = {"streaming": ["sse", "websocket"]}
AGENT = """
import asyncio


async def handle(payload, context):
    text = payload["text"]
    if text == "ask":
        yield "You said " + await context.ask("Really?")
        return
    for word in text.split():
        yield word + " "
        if text == "wait":
            await asyncio.sleep(60)
        if text == "slow":
            for number in range(20):
                await asyncio.sleep(0.02)
                yield str(number)
"""


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKRION_API_KEY", KEY)
        sections: dict[str, Any] = {
            "expose": EXPOSE,
            "auth": {"mode": "api_key"},
            "streaming": {"connection": {"on_disconnect": "continue"}},
        }
        folder = tmp_path_factory.mktemp("talking")
        one = Server(folder, AGENT, handler="handle", sections=sections)
    yield one
    one.signal(signal.SIGTERM)
    assert one.wait() == 0, one.log
    assert "Traceback" not in one.log, one.log
    assert KEY not in one.log, "what callers send is never logged"


def socket_to(port: int, **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/invoke/ws", proxy=None, **options)


def say(ws: ClientConnection, kind: str, **fields: Any) -> None:
    ws.send(json.dumps({"type": kind, **fields}))


def hear(ws: ClientConnection, *until: str) -> list[dict[str, Any]]:
    """Return messages up to the first of one of these types."""
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["type"] not in until:
        seen.append(json.loads(ws.recv(timeout=10)))
    return seen


@pytest.fixture(scope="module")
def seen(talking: Server) -> dict[str, Any]:
    told = {"url": talking.url.replace("http", "ws"), "key": KEY}
    ran = subprocess.run(
        ["node", "websocket.mjs"],
        cwd=CLIENTS,
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.node
def test_ws_of_node_hears_a_run(seen: dict[str, Any]) -> None:
    accepted, *events = seen["said"]
    assert (accepted["type"], accepted["id"]) == ("accepted", "a")
    assert [event["type"] for event in events] == ["started", "token", "token", "complete"]
    assert events[-1]["output"] == {"content": "one two "}


@pytest.mark.node
def test_ws_of_node_answers_cancels_and_runs_two_hundred_at_once(seen: dict[str, Any]) -> None:
    assert seen["answered"][-1]["output"] == {"content": "You said yes"}
    assert seen["cancelled"]["reason"] == "enough"
    assert seen["many"] is True


@pytest.mark.node
def test_ws_of_node_is_told_why_it_is_closed(seen: dict[str, Any]) -> None:
    assert seen["pong"] == "are you there?"
    assert seen["binary"] == [1003, "messages are JSON, in text frames"]
    assert seen["refused"].startswith("401 ")
    assert "Invalid API key" in seen["refused"]
    [said, closed] = seen["stranger"]
    assert (said["code"], closed) == ("AUTH_ERROR", [4401, "Invalid API key"])
    assert seen["closed"][0] == 1000


@pytest.mark.node
def test_ws_of_node_loses_nothing_of_a_cut_connection(seen: dict[str, Any]) -> None:
    assert seen["cut"] == list(range(len(seen["cut"])))
    assert len(seen["cut"]) == 23


def snippet(language: str) -> str:
    [found] = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE.read_text())
    return found


def of_page(language: str, server: Server) -> str:
    """Return the snippet for a server of the test, whose agent takes a `text`."""
    code = snippet(language).replace("8080", str(server.port)).replace("<your key>", KEY)
    assert "query" in code
    return code.replace("query", "text")


def test_the_python_of_the_page_runs(talking: Server) -> None:
    code = of_page("python", talking)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert [line.strip() for line in ran.stdout.splitlines()] == [
        "accepted",
        "started",
        "token one",
        "token two",
        "complete",
    ]


@pytest.mark.chromium
def test_the_javascript_of_the_page_runs_in_a_browser(talking: Server) -> None:
    said = in_chromium(
        "websocket-page.mjs",
        url=f"{talking.url}/health",
        code=of_page("js", talking).replace("document.body.append", "show"),
        globals={},
    )
    # The close of a browser has no code of its own.
    assert json.loads(said) == ["one ", "two ", 1005]


@pytest.mark.nginx
def test_a_proxy_as_the_page_has_it_lets_each_message_through(
    server: StartServer, tmp_path: Path
) -> None:
    [lines] = re.findall(r"(?ms)^```nginx\nlocation / \{\n(.*?)^\}\n```$", PAGE.read_text())
    further = "\n".join(line for line in lines.splitlines() if "proxy_pass" not in line)
    upstream = server(agent_source("puppet"), expose=EXPOSE)
    nginx = Nginx(tmp_path, upstream.url, location=further)
    try:
        with (
            Puppet() as puppet,
            socket_to(nginx.port, origin=f"http://127.0.0.1:{nginx.port}") as ws,
        ):
            say(ws, "run", payload=puppet.payload)
            assert hear(ws, "started")[0]["type"] == "accepted"
            for number in range(10):
                puppet.token(str(number))
                assert hear(ws, "token")[-1]["content"] == str(number)
            ws.close()
            assert puppet.left(within=1.0) == "CancelledError"
    finally:
        nginx.stop()


UVICORN = (sys.executable, "-m", "uvicorn", "main:app")
MAIN = "from dockrion import create_app\n\napp = create_app('Dockfile.yaml')\n"


@pytest.mark.parametrize("command", [DOCKRION_RUN, UVICORN], ids=["dockrion", "uvicorn"])
def test_a_shutdown_tells_each_run_and_closes(
    tmp_path: Path, command: tuple[str | Path, ...]
) -> None:
    (tmp_path / "main.py").write_text(MAIN)
    sections = {"expose": {**EXPOSE, "shutdown_grace": 1}}
    source = agent_source("puppet")
    one = Server(tmp_path, source, handler="handle", sections=sections, command=command)
    try:
        _shut_down(one)
    finally:
        one.kill()
    assert "Traceback" not in one.log


def _shut_down(one: Server) -> None:
    with Puppet() as puppet, socket_to(one.port) as ws, socket_to(one.port) as idle:
        say(ws, "run", payload=puppet.payload)
        hear(ws, "started")
        puppet.token("one")
        one.signal(signal.SIGTERM)
        last = hear(ws, "error")[-1]
        assert last["code"] == "SHUTTING_DOWN"
        for connection in (ws, idle):
            with pytest.raises(ConnectionClosed) as closed:
                connection.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
    assert one.wait() == 0


def test_a_run_whose_server_was_killed_is_told_to_be_lost(own_server: StartServer) -> None:
    one = own_server(
        agent_source("puppet"),
        expose=EXPOSE,
        streaming={"backend": "sqlite", "connection": {"on_disconnect": "continue"}},
        runs={"lease_seconds": 2},
    )
    with Puppet() as puppet:
        with socket_to(one.port) as ws:
            say(ws, "run", payload=puppet.payload)
            run_id = hear(ws, "started")[-1]["run_id"]
            puppet.token("one")
            assert hear(ws, "token")[-1]["sequence"] == 1
            one.kill()
            with pytest.raises(ConnectionClosed):
                ws.recv(timeout=10)
        one.start_again()
        with socket_to(one.port) as ws:
            say(ws, "follow", run_id=run_id, after=1)
            events = hear(ws, "error")
    assert [event["type"] for event in events] == ["accepted", "error"]
    assert (events[-1]["code"], events[-1]["sequence"]) == ("WORKER_LOST", 2)
