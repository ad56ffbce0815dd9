"""Every way in, behind one face: how a caller asks, comes back and answers there, and what the bytes say.

A new front end is one class and its line in `FRONT_ENDS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, NamedTuple

import anyio
import msgspec
import pytest
from fastapi import FastAPI

from dockrion.testing import Exchange, app_for, read_sse, request
from tests.contracts.sockets import SocketExchange, socket

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


def _data(raw: bytes) -> Iterator[Any]:
    """Give the JSON of all frames that have some."""
    for event in read_sse(raw):
        if event.data and event.data != "[DONE]":
            yield event.json()


def _is_done(raw: bytes) -> bool:
    """Whether a stream has the end that OpenAI's and the AI SDK's have."""
    return read_sse(raw)[-1].data == "[DONE]"


def _joined(outputs: Any) -> str:
    """Return the text of an agent's output, as its own endpoints leave it to their callers."""
    match outputs:
        case str():
            return outputs
        case {"content": str(text)}:
            return text
        case _:
            return json.dumps(outputs, separators=(",", ":"), ensure_ascii=False)


# dockrion's own


class Native(FrontEnd):
    name = path = "/invoke/stream"
    answers = False

    def body(self, text: str) -> Any:
        return {"query": text}

    def refusal(self, body: Any) -> tuple[str, str]:
        match body:
            case [*_, {"type": "refused", "code": code, "error": message}]:
                return code, message
            case {"detail": {"code": code, "message": message}} | {"code": code, "error": message}:
                return code, message
            case _:
                raise AssertionError(body)

    def hear(self, raw: bytes, heard: Heard) -> None:
        _hear_events([event.json() for event in read_sse(raw)], heard)


def _hear_events(events: list[Any], heard: Heard) -> None:
    tokens: list[str] = []
    for event in events:
        match event:
            case {"type": "token", "content": content}:
                tokens.append(content)
            case {"type": "complete", "output": output}:
                heard.ended, heard.output = "complete", output
                tokens = tokens or [_joined(output)]
            case {"type": "error", "code": code, "error": message}:
                heard.failed(code, message)
            case {"type": "cancelled", "reason": reason}:
                heard.failed(None, reason, ended="cancelled")
            case {"type": "interrupt", "interrupt_id": interrupt_id, "value": value}:
                heard.ended = "interrupt"
                heard.questions.append(Question(interrupt_id, value))
            case _:
                pass
    heard.text = "".join(tokens)


class Whole(Native):
    name = path = "/invoke"
    streams = returns = False

    def hear_whole(self, body: Any, heard: Heard) -> None:
        if body.get("status") == "INTERRUPTED":
            heard.ended = "interrupt"
            heard.questions = [
                Question(one["interrupt_id"], one["value"]) for one in body["interrupts"]
            ]
        else:
            heard.ended, heard.output = "complete", body["output"]
            heard.text = _joined(body["output"])


class Socket(Native):
    """Each message of the body is sent once the one before has been taken."""

    name = path = "/invoke/ws"
    answers = True

    def body(self, text: str) -> Any:
        return [{"type": "run", "payload": {"query": text}}]

    def ask(self, text: str) -> Ask:
        return Ask(self.path, self.body(text))

    def come_back(self, text: str, cursor: str) -> Ask:
        run_id, _, sequence = cursor.partition(":")
        return Ask(self.path, [{"type": "follow", "run_id": run_id, "after": int(sequence)}])

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        given = zip(asked.heard.questions, values, strict=True)
        many = {question.id: value for question, value in given}
        answer = many if len(values) > 1 else values[0]
        [follow] = self.come_back("", asked.heard.cursors[-1]).body
        return Ask(
            self.path, [{"type": "answer", "run_id": asked.run_id, "answer": answer}, follow]
        )

    def open(self, app: FastAPI, ask: Ask, **more: Any) -> Open:
        return socket(app, ask.path, ask.body, ask.headers)

    def is_refusal(self, body: Any) -> bool:
        return any(one["type"] == "refused" for one in body)

    def hear_whole(self, body: Any, heard: Heard) -> None:
        events = [one for one in body if "sequence" in one]
        heard.cursors = [one["id"] for one in events]
        _hear_events(events, heard)


# OpenAI's


class Completions(FrontEnd):
    name = "chat completions"
    path = "/v1/chat/completions"
    answers = False

    def body(self, text: str) -> Any:
        messages = [{"role": "user", "content": text}]
        return {"model": "test", "messages": messages, "stream": self.streams}

    def refusal(self, body: Any) -> tuple[str, str]:
        return body["error"]["code"], body["error"]["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        for chunk in _data(raw):
            match chunk:
                case {"error": {"code": code, "message": message}}:
                    heard.failed(code, message)
                case {"choices": [{"delta": delta, "finish_reason": reason}]}:
                    heard.text += delta.get("content", "")
                    heard.ended = "complete" if reason else heard.ended
                case _:
                    pass
        if heard.ended == "complete" and not _is_done(raw):
            heard.ended = "cut"

    def hear_whole(self, body: Any, heard: Heard) -> None:
        [choice] = body["choices"]
        heard.ended, heard.text = "complete", choice["message"]["content"]


class WholeCompletions(Completions):
    name = "chat completions, whole"
    streams = returns = False


class Responses(FrontEnd):
    name = "responses"
    path = "/v1/responses"
    answers = False
    # There is `GET /v1/responses/{id}` for that.
    returns = False

    def body(self, text: str) -> Any:
        return {"model": "test", "input": text, "stream": self.streams}

    def refusal(self, body: Any) -> tuple[str, str]:
        return body["error"]["code"], body["error"]["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        said: list[str] = []
        for event in _data(raw):
            match event:
                case {"type": "response.output_text.delta", "delta": delta}:
                    said.append(delta)
                case {"type": "response.completed" | "response.failed", "response": response}:
                    self.hear_whole(response, heard)
                case _:
                    pass
        heard.text = "".join(said)

    def hear_whole(self, body: Any, heard: Heard) -> None:
        parts = [part for item in body["output"] for part in item.get("content", [])]
        heard.text = "".join(part["text"] for part in parts)
        match body:
            case {"status": "completed"}:
                heard.ended = "complete"
            case {"status": "failed" | "cancelled" as status, "error": error}:
                ended = "error" if status == "failed" else "cancelled"
                heard.failed(error["code"], error["message"], ended)
            case _:
                heard.ended = body["status"]


class WholeResponses(Responses):
    name = "responses, whole"
    streams = False


# Pages


class AgUi(FrontEnd):
    name = "ag-ui"
    path = "/ag-ui"

    def body(self, text: str) -> Any:
        messages = [{"id": "1", "role": "user", "content": text}]
        told = {"threadId": "t", "runId": "r", "messages": messages}
        return {**told, "tools": [], "context": []}

    def refusal(self, body: Any) -> tuple[str, str]:
        assert body["type"] == "RUN_ERROR"
        return body["code"], body["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        said: list[str] = []
        for event in _data(raw):
            match event:
                case {"type": "TEXT_MESSAGE_CONTENT", "delta": delta}:
                    said.append(delta)
                case {"type": "RUN_ERROR", "code": code, "message": message}:
                    heard.failed(code, message)
                case {"type": "RUN_FINISHED", "outcome": {"type": "success"}}:
                    heard.ended, heard.output = "complete", event["result"]
                case {"type": "RUN_FINISHED", "outcome": {"type": "cancelled"}}:
                    heard.ended = "cancelled"
                case {"type": "RUN_FINISHED", "outcome": {"interrupts": questions}}:
                    heard.ended = "interrupt"
                    for one in questions:
                        heard.questions.append(Question(one["id"], one["metadata"]["value"]))
                case _:
                    pass
        heard.text = "".join(said)

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        resume = [
            {"interruptId": question.id, "status": "resolved", "payload": value}
            for question, value in zip(asked.heard.questions, values, strict=True)
        ]
        return Ask(self.path, {**self.body(""), "runId": "r2", "resume": resume})


class AiSdk(FrontEnd):
    name = "ai-sdk"
    path = "/ai-sdk"

    def body(self, text: str) -> Any:
        message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": text}]}
        return {"id": "t", "messages": [message], "trigger": "submit-message"}

    def refusal(self, body: Any) -> tuple[str, str]:
        assert body["type"] == "error"
        return body["code"], body["errorText"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        said: list[str] = []
        for chunk in _data(raw):
            match chunk:
                case {"type": "text-delta", "delta": delta}:
                    said.append(delta)
                case {"type": "tool-input-available", "toolName": "question"}:
                    heard.questions.append(Question(chunk["toolCallId"], chunk["input"]))
                case {"type": "error", "errorText": message, "code": code}:
                    heard.failed(code, message)
                case {"type": "abort", "reason": reason}:
                    heard.failed(None, reason, ended="cancelled")
                case {"type": "data-output", "data": output}:
                    heard.output = output
                case {"type": "finish", "finishReason": reason}:
                    heard.ended = "interrupt" if reason == "tool-calls" else "complete"
                case _:
                    pass
        heard.text = "".join(said)
        if not _is_done(raw):
            heard.ended = "cut"

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        parts = [
            {
                "type": "dynamic-tool",
                "toolName": "question",
                "toolCallId": question.id,
                "input": question.value,
                "state": "output-available",
                "output": value,
            }
            for question, value in zip(asked.heard.questions, values, strict=True)
        ]
        metadata = {}
        for chunk in _data(asked.raw):
            metadata |= chunk.get("messageMetadata", {})
        known = {"id": f"msg_{asked.run_id}", "role": "assistant", "metadata": metadata}
        message = {**known, "parts": parts}
        body = self.body("hi")
        return Ask(self.path, {**body, "messages": [*body["messages"], message]})


# Agents and tools


class A2a(FrontEnd):
    name = "a2a"
    path = "/a2a"
    method = "SendStreamingMessage"

    def _message(self, text: str) -> dict[str, Any]:
        return {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]}

    def body(self, text: str) -> Any:
        return self._call(message=self._message(text))

    def _call(self, **params: Any) -> Any:
        return {"jsonrpc": "2.0", "id": "q", "method": self.method, "params": params}

    def is_refusal(self, body: Any) -> bool:
        return "error" in body

    def refusal(self, body: Any) -> tuple[str, str]:
        error = body["error"]
        return error["data"][0]["metadata"]["code"], error["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        said: list[str] = []
        for frame in _data(raw):
            if "error" in frame:
                heard.failed(*self.refusal(frame))
                continue
            result = frame["result"]
            match result:
                case {"artifactUpdate": update} | ({"kind": "artifact-update"} as update):
                    artifact = update["artifact"]
                    if artifact["artifactId"].startswith("text"):
                        said += [part["text"] for part in artifact["parts"]]
                    else:
                        self._hear_output(artifact, heard, said)
                case {"statusUpdate": {"status": status}} | {
                    "kind": "status-update",
                    "status": status,
                }:
                    self._hear_status(status, heard)
                case {"task": task} | ({"kind": "task"} as task):
                    said += [text for text, _ in self._texts(task)]
                    self._hear_status(task["status"], heard)
                case _:
                    raise AssertionError(result)
        heard.text = "".join(said)

    def _texts(self, task: Any) -> Iterator[tuple[str, Any]]:
        for artifact in task.get("artifacts", []):
            if artifact["artifactId"].startswith("text"):
                yield "".join(part["text"] for part in artifact["parts"]), artifact

    def _hear_output(self, artifact: Any, heard: Heard, said: list[str]) -> None:
        for part in artifact["parts"]:
            if "data" in part:
                heard.output = part["data"]
            if not said:
                said.append(part["text"] if "text" in part else _joined(part["data"]))

    def _hear_status(self, status: Any, heard: Heard) -> None:
        state = status["state"].removeprefix("TASK_STATE_").lower().replace("-", "_")
        message = status.get("message", {"parts": []})
        text = "".join(part["text"] for part in message["parts"])
        match state:
            case "failed" | "rejected":
                heard.failed(message["metadata"]["code"], text)
            case "canceled":
                heard.failed(None, text, ended="cancelled")
            case "completed":
                heard.ended = "complete"
            case "input_required":
                heard.ended = "interrupt"
                asked = message["metadata"]["interrupts"]
                heard.questions = [Question(one["interrupt_id"], one["value"]) for one in asked]
            case _:
                heard.ended = "cut"

    def hear_whole(self, body: Any, heard: Heard) -> None:
        result = body["result"]
        task = result.get("task", result)
        said = [text for text, _ in self._texts(task)]
        for artifact in task.get("artifacts", []):
            if not artifact["artifactId"].startswith("text"):
                self._hear_output(artifact, heard, said)
        heard.text = "".join(said)
        self._hear_status(task["status"], heard)

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        if len(values) > 1:
            given = zip(asked.heard.questions, values, strict=True)
            parts = [{"data": {question.id: value for question, value in given}}]
        else:
            parts = [{"text": values[0]}]
        message = {**self._message(""), "messageId": "m2", "parts": parts}
        return Ask(self.path, self._call(message={**message, "taskId": asked.run_id}))


class WholeA2a(A2a):
    name = "a2a, whole"
    method = "SendMessage"
    streams = returns = False


class LegacyA2a(A2a):
    name = "a2a 0.3"
    method = "message/stream"

    def _message(self, text: str) -> dict[str, Any]:
        parts = [{"kind": "text", "text": text}]
        return {"kind": "message", "messageId": "m", "role": "user", "parts": parts}

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        ask = super().answer(asked, values)
        [part] = ask.body["params"]["message"]["parts"]
        part["kind"] = "text" if "text" in part else "data"
        return ask


class Mcp(FrontEnd):
    """A client that cannot ask its user, and takes all progress."""

    name = "mcp"
    path = "/mcp"
    answers = False
    headers: ClassVar[Mapping[str, str]] = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
    }

    def body(self, text: str) -> Any:
        meta = {"progressToken": "p", "dockrion/tokens": True}
        return self._call({"name": "test", "arguments": {"query": text}, "_meta": meta})

    def _call(self, params: dict[str, Any]) -> Any:
        return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    def is_refusal(self, body: Any) -> bool:
        return "error" in body

    def refusal(self, body: Any) -> tuple[str, str]:
        error = body["error"]
        data = error.get("data") or {}
        return data.get("code", "VALIDATION_ERROR"), error["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        for message in _data(raw):
            if "result" in message:
                self.hear_whole(message, heard)
            elif "error" in message:
                heard.failed(*self.refusal(message))

    def hear_whole(self, body: Any, heard: Heard) -> None:
        result = body["result"]
        if result.get("resultType") == "input_required":
            heard.ended = "interrupt"
            for interrupt_id, one in result["inputRequests"].items():
                heard.questions.append(Question(interrupt_id, one["params"]["message"]))
            return
        [content] = result["content"]
        meta = result["_meta"]
        if not result["isError"]:
            heard.ended, heard.text = "complete", content["text"]
            heard.output = result.get("structuredContent")
        elif meta["dockrion/code"] == "INTERRUPTED":
            heard.ended = "interrupt"
            asked = meta["dockrion/interrupts"]
            heard.questions = [Question(one["interrupt_id"], one["value"]) for one in asked]
        else:
            code = meta["dockrion/code"]
            # Known before there is a run, it is the answer of a request that was refused.
            ended = "error" if "dockrion/run_id" in meta else "refused"
            ended = "cancelled" if code == "CANCELLED" else ended
            heard.failed(code, content["text"].removeprefix(f"{code}: "), ended)


class WholeMcp(Mcp):
    name = "mcp, whole"
    streams = returns = False
    headers: ClassVar[Mapping[str, str]] = {
        "accept": "application/json",
        "mcp-protocol-version": "2025-11-25",
    }


class ModernMcp(Mcp):
    """A client of the newest revision, whose user can be asked."""

    name = "mcp 2026"
    answers = True
    headers: ClassVar[Mapping[str, str]] = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "test",
    }

    def _call(self, params: dict[str, Any]) -> Any:
        key = "io.modelcontextprotocol/"
        capabilities = {f"{key}clientCapabilities": {"elicitation": {}}}
        meta = {**params["_meta"], f"{key}protocolVersion": "2026-07-28", **capabilities}
        return super()._call({**params, "_meta": meta})

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        body = self.body("hi")
        body["params"]["requestState"] = asked.run_id
        body["params"]["inputResponses"] = {
            question.id: {"action": "accept", "content": {"answer": value}}
            for question, value in zip(asked.heard.questions, values, strict=True)
        }
        return Ask(self.path, body, self.headers)


FRONT_ENDS: list[FrontEnd] = [
    Native(),
    Whole(),
    Socket(),
    Completions(),
    WholeCompletions(),
    Responses(),
    WholeResponses(),
    AgUi(),
    AiSdk(),
    A2a(),
    WholeA2a(),
    LegacyA2a(),
    Mcp(),
    WholeMcp(),
    ModernMcp(),
]


def each(where: Callable[[FrontEnd], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Run a test on every front end, or on those of a kind."""
    found = [front for front in FRONT_ENDS if where(front)]
    return pytest.mark.parametrize("front", found, ids=[front.name for front in found])
