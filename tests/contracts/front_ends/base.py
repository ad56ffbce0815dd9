"""What a way in is to the tests: how a caller asks, comes back and answers there, and what the bytes say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, NamedTuple

import anyio
import msgspec
from fastapi import FastAPI

from dockrion.testing import Exchange, app_for, read_sse, request
from tests.contracts.sockets import SocketExchange

PROTOCOLS = ["openai", "ag-ui", "ai-sdk", "a2a", "mcp"]
# What all of them can ask for: one text.
INPUT = {"input": {"properties": {"query": {"type": "string"}}, "required": ["query"]}}
# For an answer, however busy the machine is.
SECONDS = 20
KEPT = {"connection": {"on_disconnect": "continue"}}


def served(agent: Any, /, **sections: Any) -> FastAPI:
    """Return an app with every front end."""
    every = {"streaming": ["sse", "websocket"], "protocols": PROTOCOLS}
    expose = {**every, **sections.pop("expose", {})}
    return app_for(agent, **{"io_schema": INPUT, **sections}, expose=expose)


class Ask(NamedTuple):
    """A request; over a WebSocket its body is the messages that are sent one after the other."""

    path: str
    body: Any
    headers: Mapping[str, str] = {}

    def by(self, **headers: str) -> Ask:
        """Return it with more headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._replace(headers={**self.headers, **named})


class Question(NamedTuple):
    id: str
    value: Any


class Heard(msgspec.Struct):
    """What an answer says, in whichever words: `ended` is the type of the event that it ended with, or `refused`."""

    text: str = ""
    ended: str = "cut"
    code: str | None = None
    message: str = ""
    output: Any = None
    questions: list[Question] = []
    # The run's questions as people read them, where a protocol has no place for more.
    asked: str = ""
    cursors: list[str] = []

    def failed(self, code: Any, message: Any, ended: str = "error") -> None:
        self.ended, self.code, self.message = ended, code, message


class Answer(NamedTuple):
    """The whole of an answer: its status, its head and its bytes, and what they say."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    heard: Heard

    @property
    def run_id(self) -> str:
        return self.headers["x-run-id"]

    @property
    def everything(self) -> str:
        """All that the caller was sent, as text, with what JSON and a URL escape."""
        head = json.dumps(dict(self.headers))
        return (
            head + self.raw.decode() + json.dumps(json.loads(f"[{json.dumps(self.raw.decode())}]"))
        )


Open = AbstractAsyncContextManager["Exchange | SocketExchange"]


class FrontEnd:
    """One way in. `label` is its endpoint in metrics; `ends` are the frames that may end its streams."""

    name: str
    path: str
    streams = True
    # Whether who is cut off can come back with `Last-Event-ID`.
    returns = True
    # Whether its own callers can answer questions; else that is for `POST /runs/{run_id}/resume`.
    answers = True
    # The header that a first message of a conversation needs.
    headers: ClassVar[Mapping[str, str]] = {}

    def body(self, text: str) -> Any:
        raise NotImplementedError

    def hear(self, raw: bytes, heard: Heard) -> None:
        """Read the bytes of an answer that has begun well."""
        raise NotImplementedError

    def refusal(self, body: Any) -> tuple[str, str]:
        """Return the code and the sentence of a refusal."""
        raise NotImplementedError

    def ask(self, text: str) -> Ask:
        return Ask(self.path, self.body(text), self.headers)

    def come_back(self, text: str, cursor: str) -> Ask:
        return self.ask(text).by(last_event_id=cursor)

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        """Return what answers the questions of a run, in their order."""
        raise NotImplementedError

    def open(self, app: FastAPI, ask: Ask, **more: Any) -> Open:
        return request(app, "POST", ask.path, body=ask.body, headers=ask.headers, **more)

    def read(self, exchange: Exchange | SocketExchange, raw: bytes) -> Answer:
        heard = Heard()
        if raw and exchange.headers.get("content-type") == "text/event-stream":
            heard.cursors = [event.id for event in read_sse(raw) if event.id]
            self.hear(raw, heard)
        elif raw:
            body = json.loads(raw)
            if exchange.status >= 400 or self.is_refusal(body):
                heard.failed(*self.refusal(body), ended="refused")
            else:
                self.hear_whole(body, heard)
        return Answer(exchange.status, dict(exchange.headers), raw, heard)

    def is_refusal(self, body: Any) -> bool:
        return False

    def hear_whole(self, body: Any, heard: Heard) -> None:
        raise NotImplementedError

    async def tell(self, app: FastAPI, ask: Ask | str) -> Answer:
        """Send a request, or one for a text, and read its answer to the end."""
        ask = self.ask(ask) if isinstance(ask, str) else ask
        with anyio.fail_after(SECONDS):
            async with self.open(app, ask) as exchange:
                raw = await exchange.read()
        return self.read(exchange, raw)


def messages_of(raw: bytes) -> Iterator[Any]:
    """Give the JSON of all frames that have some."""
    for event in read_sse(raw):
        if event.data and event.data != "[DONE]":
            yield event.json()


def is_done(raw: bytes) -> bool:
    """Whether a stream has the end that OpenAI's and the AI SDK's have."""
    return read_sse(raw)[-1].data == "[DONE]"


def joined(outputs: Any) -> str:
    """Return the text of an agent's output, as its own endpoints leave it to their callers."""
    match outputs:
        case str():
            return outputs
        case {"content": str(text)}:
            return text
        case _:
            return json.dumps(outputs, separators=(",", ":"), ensure_ascii=False)
