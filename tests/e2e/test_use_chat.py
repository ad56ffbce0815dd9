"""`useChat` of the AI SDK in a real React page in a real Chromium, from another origin than the server's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Generator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .cutting import cutting
from .driving import Browser
from .readers import CLIENTS
from .server import Server, agent_source

pytestmark = pytest.mark.chromium
KEY = "key-of-the-test"
PAGE = Path(__file__).parents[2] / "docs" / "ai-sdk.md"
MAIN = """
import { createRoot } from 'react-dom/client';
import { Chat } from './Chat.jsx';

createRoot(document.body.appendChild(document.createElement('div'))).render(<Chat />);
"""


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that holds its runs, whose log has what the agent raises."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKRION_API_KEY", KEY)
        sections: dict[str, Any] = {
            "expose": {"protocols": ["ai-sdk"]},
            "auth": {"mode": "api_key"},
            "streaming": {"connection": {"resume_window": 20}},
        }
        folder = tmp_path_factory.mktemp("use-chat")
        one = Server(folder, agent_source("showing"), handler="handle", sections=sections)
    yield one
    one.kill()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, chatting: Server) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pages")
    bundle(CLIENTS / "use-chat.jsx", folder / "use-chat")
    [snippet] = snippets("jsx", chatting)
    (folder / "Chat.jsx").write_text(snippet)
    (folder / "main.jsx").write_text(MAIN)
    bundle(folder / "main.jsx", folder / "snippet")
    with serving(folder) as url:
        yield url


def snippets(language: str, server: Server) -> list[str]:
    """Return those of the page, with the address and the key that the test has."""
    found = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE.read_text())
    return [
        one.replace("http://127.0.0.1:8080", server.url).replace("<your key>", KEY) for one in found
    ]


def bundle(source: Path, page: Path) -> None:
    """Make a page of a source, with all that it imports."""
    subprocess.run(
        [
            CLIENTS / "node_modules" / ".bin" / "esbuild",
            source,
            "--bundle",
            "--jsx=automatic",
            '--define:process.env.NODE_ENV="production"',
            f"--outfile={page}.js",
            "--log-level=error",
        ],
        check=True,
        timeout=60,
        env={**os.environ, "NODE_PATH": str(CLIENTS / "node_modules")},
    )
    html = f'<!doctype html><link rel="icon" href="data:,"><body><script src="{page.name}.js"></script>'
    page.with_suffix(".html").write_text(html)


@contextlib.contextmanager
def serving(folder: Path) -> Generator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Chat:
    """The page, in a chat of its own."""

    def __init__(self, browser: Browser, origin: str, url: str, chat: str, **told: Any) -> None:
        self.browser = browser
        given = {"url": url, "key": KEY, "chat": chat, "resume": False, **told}
        browser.open(f"{origin}/use-chat.html#{quote(json.dumps(given))}")

    def say(self, text: str) -> None:
        self.browser.fill("#said", text)
        self.browser.click("#send")

    def settle(self, status: str = "ready", *, text: str = "") -> dict[str, Any]:
        """Return the state once the hook has the status, and the last message the text."""
        self.browser.wait(f'main[data-status="{status}"]:has(#text:text("{text}"))')
        return self.state

    def asks(self, question: str) -> dict[str, Any]:
        self.browser.wait(
            f'main[data-status="ready"][data-asks="true"]:has(#state:text("{question}"))'
        )
        return self.state

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.browser.text("#state"))


def parts_of(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in state["messages"][-1]["parts"] if part["type"] != "step-start"]


def test_text_tools_and_data_are_parts_of_the_message(
    browser: Browser, origin: str, chatting: Server
) -> None:
    chat = Chat(browser, origin, chatting.url, "parts")
    chat.say("one two")
    state = chat.settle(text="one two end")
    assert [message["role"] for message in state["messages"]] == ["user", "assistant"]
    chat.say("tool")
    add, find, text = parts_of(chat.settle(text="It is 3."))
    assert (add["toolName"], add["state"], add["output"]) == ("add", "output-available", 3)
    assert (find["state"], find["errorText"]) == ("output-error", "not there")
    assert text["state"] == "done"
    chat.say("data")
    state = chat.settle(text="Look: ")
    assert [part["type"] for part in parts_of(state)] == [
        "data-weather",
        "text",
        "data-step",
        "data-checkpoint",
    ]
    assert parts_of(state)[0]["data"]["sky"] == "blue"
    assert "data-progress" in [part["type"] for part in state["data"]]


def test_an_error_is_the_hook_s_in_the_stream_and_before_it(
    browser: Browser, origin: str, chatting: Server
) -> None:
    chat = Chat(browser, origin, chatting.url, "errors")
    chat.say("fail")
    state = chat.settle("error", text="Well, ")
    assert state["error"] == "RuntimeError: I cannot"
    chat = Chat(browser, origin, chatting.url, "strangers", key="wrong")
    chat.say("x")
    refused = json.loads(chat.settle("error")["error"])
    assert refused == {"type": "error", "errorText": "Invalid API key", "code": "AUTH_ERROR"}


def test_questions_are_answered_and_the_message_goes_on(
    browser: Browser, origin: str, chatting: Server
) -> None:
    chat = Chat(browser, origin, chatting.url, "asking")
    chat.say("ask")
    asked = chat.asks("Really?")
    browser.click("#deny")
    chat.asks("colour")
    browser.fill("#said", "blue")
    browser.click("#answer")
    state = chat.settle(text="You said False and blue.")
    assert [message["id"] for message in state["messages"]] == [
        message["id"] for message in asked["messages"]
    ]
    _, send, first, second, _ = parts_of(state)
    assert (send["toolName"], send["output"]) == ("send", "sent")
    assert (first["state"], second["state"]) == ("output-denied", "output-available")
    calls = (chatting.folder / "calls").read_text().splitlines()
    assert calls.count("ask") == 1


def test_a_question_is_asked_again_after_a_reload(
    browser: Browser, origin: str, chatting: Server
) -> None:
    chat = Chat(browser, origin, chatting.url, "reloading", resume=True)
    chat.say("ask")
    chat.asks("Really?")
    browser.reload()
    state = chat.asks("Really?")
    assert [message["role"] for message in state["messages"]] == ["user", "assistant"]
    browser.click("#approve")
    chat.asks("colour")


def test_an_answer_is_given_anew(browser: Browser, origin: str, chatting: Server) -> None:
    chat = Chat(browser, origin, chatting.url, "anew")
    chat.say("anew")
    before = chat.settle(text="anew end")
    browser.click("#regenerate")
    browser.wait(
        f'main[data-status="ready"]:not(:has(#state:text("{before["messages"][1]["id"]}")))'
    )
    after = chat.settle(text="anew end")
    assert after["messages"][0] == before["messages"][0]
    assert len(after["messages"]) == 2


def test_a_stop_ends_it_for_the_page_and_a_cut_is_an_error_that_can_be_resumed(
    browser: Browser, origin: str, chatting: Server
) -> None:
    (chatting.folder / "go").unlink(missing_ok=True)
    chat = Chat(browser, origin, chatting.url, "stopping")
    chat.say("wait here")
    chat.settle("streaming", text="wait here ")
    browser.click("#stop")
    state = chat.settle(text="wait here ")
    assert state["error"] is None
    # The first connection is the browser's question whether it may ask.
    with cutting(chatting.port, [10_000, 250]) as cut:
        chat = Chat(browser, origin, cut, "cut")
        chat.say("wait for a cut")
        assert chat.settle("error")["error"] == "network error"
        browser.click("#resume")
        chat.settle("streaming", text="wait for a cut ")
        (chatting.folder / "go").touch()
        state = chat.settle(text="wait for a cut end")
    assert [message["role"] for message in state["messages"]] == ["user", "assistant"]
    calls = (chatting.folder / "calls").read_text().splitlines()
    assert calls.count("wait for a cut") == 1


def test_a_page_that_is_reloaded_has_the_run_that_goes_on(
    browser: Browser, origin: str, chatting: Server
) -> None:
    (chatting.folder / "go").unlink(missing_ok=True)
    chat = Chat(browser, origin, chatting.url, "coming back", resume=True)
    chat.say("wait for me")
    chat.settle("streaming", text="wait for me ")
    browser.reload()
    chat.settle("streaming", text="wait for me ")
    (chatting.folder / "go").touch()
    state = chat.settle(text="wait for me end")
    assert [message["role"] for message in state["messages"]] == ["user", "assistant"]
    # There is nothing to come back to any more, and what is there stays.
    browser.reload()
    assert chat.settle(text="wait for me end")["messages"] == state["messages"]


def test_the_component_of_the_page_runs(browser: Browser, origin: str, chatting: Server) -> None:
    browser.open(f"{origin}/snippet.html")
    browser.fill('input[aria-label="Message"]', "tool")
    browser.click("text=Send")
    browser.wait("text=It is 3.")
    assert browser.text("pre >> nth=0") == "add: 3"
    browser.fill('input[aria-label="Message"]', "ask")
    browser.click("text=Send")
    browser.click("text=Yes")
    browser.wait('text={"which":"colour"}')
    assert browser.text("pre >> nth=2") == 'send: "sent"'
    assert browser.text("pre >> nth=3") == "question: true"
    assert browser.problems == []


SAYS_MORE = """
const messages = ['one', 'two', 'history'].map((text) => ({ id: text, role: 'user', parts: [{ type: 'text', text }] }));
const told = await newOnes.sendMessages({ chatId: 'c', messages, trigger: 'submit-message' });
for await (const { delta } of told) {
  process.stdout.write(delta ?? '');
}
"""


STOPS = """
const messages = [{ id: '1', role: 'user', parts: [{ type: 'text', text: 'wait to be stopped' }] }];
const stop = new AbortController();
const asked = { chatId: 's', messages, trigger: 'submit-message', abortSignal: stop.signal };
const told = (await stopping.sendMessages(asked)).getReader();
let chunk = (await told.read()).value;
const { runId } = chunk.messageMetadata;
while (chunk.type !== 'text-delta') {
  chunk = (await told.read()).value;
}
stop.abort();
let run;
do {
  run = await (await fetch(`${server}/runs/${runId}`, { headers })).json();
} while (run.status === 'RUNNING');
process.stdout.write(run.status);
"""


@pytest.mark.node
def test_the_snippets_without_a_page_run(chatting: Server) -> None:
    alone, stopping, new_ones = snippets("js", chatting)
    assert in_node(alone) == "one two end\n"
    # The server would let it go on for the length of a `resume_window`.
    (chatting.folder / "go").unlink(missing_ok=True)
    assert in_node(stopping + STOPS) == "CANCELLED"
    assert in_node(new_ones + SAYS_MORE) == "user:history"


def in_node(code: str) -> str:
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", code],
        cwd=CLIENTS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
