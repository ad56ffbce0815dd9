"""OpenAI's Chat Completions: `POST /v1/chat/completions`."""

from __future__ import annotations

from typing import Any, Final, assert_never, cast

import msgspec

from dockrion.errors import DockrionError
from dockrion.events import sse
from dockrion.events.jsonable import encode
from dockrion.events.model import (
    Batch,
    Cancelled,
    Checkpoint,
    Complete,
    Custom,
    Event,
    Failed,
    Interrupt,
    Policy,
    Progress,
    Started,
    Step,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.events.room import Room
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, counts_of, kind_of, messages_of, question_text, wrong
from dockrion.wires.cursors import mark_event, mark_pause
from dockrion.wires.openai.parts import (
    failure_of,
    flag_of,
    object_of,
    refusal,
    refuse_form,
    refuse_tools,
    seconds_of,
)
from dockrion.wires.texts import frames_of

_DONE: Final = sse.frame(b"[DONE]")


class ChatCall(msgspec.Struct, frozen=True):
    """One request. `with_usage`: its stream ends with a chunk of counts."""

    chat: Chat
    payload: Any
    streams: bool
    with_usage: bool
    thread_id: str | None = None
    is_input: bool = True

    def wire(self, run: WireRun) -> ChatWire:
        return ChatWire(self.chat, run, with_usage=self.with_usage)


class ChatCompletions:
    """Reads the requests; what only steers a model (`temperature`, `max_tokens`, ...) has no effect on an agent."""

    path: str = "/v1/chat/completions"

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def read(self, body: Any) -> ChatCall:
        asked = object_of(body)
        refuse_tools(asked)
        refuse_form(asked.get("response_format"), "response_format")
        if asked.get("n") not in (None, 1):
            raise wrong(
                "n", f"the agent gives one reply; must be 1, got {encode(asked['n']).decode()[:20]}"
            )
        options = asked.get("stream_options")
        if options is not None and not isinstance(options, dict):
            raise wrong("stream_options", f"must be an object, got {kind_of(options)}")
        messages = messages_of(asked.get("messages"), field="messages")
        return ChatCall(
            self._chat,
            self._chat.payload(messages, field="messages"),
            flag_of(asked, "stream"),
            _wants_usage(options),
        )

    def read_again(self, body: Any) -> ChatCall:
        options = (
            cast("dict[str, Any]", body).get("stream_options") if isinstance(body, dict) else None
        )
        return ChatCall(self._chat, None, True, _wants_usage(options))

    def refusal(self, error: DockrionError) -> dict[str, Any]:
        return refusal(error)


class ChatWire:
    """The reply grows by its tokens; without any, it is what the output says. Tools that the agent runs are not shown:
    a client would take a `tool_call` for one that it has to run.
    """

    content_type: bytes = b"text/event-stream"

    def __init__(self, chat: Chat, run: WireRun, *, with_usage: bool) -> None:
        self._chat = chat
        self._id = f"chatcmpl-{run.run_id}"
        self._keeps = not run.streams
        self._with_usage = with_usage
        self._cursor = f"{run.run_id}:%d".encode() if run.cursors else None
        self._created = 0
        self._token = b""
        self._spoke = False
        self._pieces: list[str] = []
        self._room = Room(chat.max_bytes)
        self._sequence = 0
        self._finish_reason = "stop"
        self._counts: tuple[int, int] | None = None

    def encode(self, batch: Batch) -> bytes:
        if not self._token:
            self._begin(batch.timestamp)
        parts: list[bytes] = []
        self._sequence = batch.first
        texts: list[str] = []
        for event in batch.events:
            if type(event) is Token and event.content:
                texts.append(event.content)
                continue
            if texts:
                parts.append(self._texts(texts))
                texts = []
            if type(event) is not Token:
                told = len(parts)
                parts += self._said(event)
                mark_event(parts, told, self._cursor, self._sequence)
            self._sequence += 1
        if texts:
            parts.append(self._texts(texts))
        return b"".join(parts)

    def heartbeat(self) -> bytes:
        return sse.COMMENT_HEARTBEAT

    def paused(self) -> bytes:
        parts = [self._chunk({}, self._finish_reason), *self._end()]
        mark_pause(parts, self._cursor, self._sequence - 1)
        return b"".join(parts)

    def answer(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": "".join(self._pieces), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None}
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._chat.agent,
            "choices": [{**choice, "finish_reason": self._finish_reason}],
            **self._usage(),
        }

    def _begin(self, timestamp: str) -> None:
        self._created = seconds_of(timestamp)
        # The text goes to a place that no name of an agent can be mistaken for.
        data = encode(self._chunk_data({"content": 0}, None)).replace(b"%", b"%%")
        whole = data.replace(b'{"content":0}', b'{"content":%b}')
        self._token = sse.frame(whole, event_id=self._cursor)

    def _texts(self, texts: list[str]) -> bytes:
        """Return the chunks of events in a row."""
        self._spoke = True
        if self._keeps:
            self._keep("".join(texts))
        first = self._sequence
        self._sequence += len(texts)
        return frames_of(self._token, texts, None if self._cursor is None else first)

    def _said(self, event: Event) -> list[bytes]:
        match event:
            case Started():
                if event.attempt is not None:
                    self._begin_again()
                    return []
                return [self._chunk({"role": "assistant", "content": ""}, None)]
            case Interrupt(value=value):
                text = ("\n\n" if self._spoke else "") + question_text(value)
                return [self._chunk(self._speak(text), None)]
            case Complete():
                return self._completed(event)
            case Failed() | Cancelled():
                return [sse.frame(encode(refusal(failure_of(event))))]
            case (
                Step()
                | Progress()
                | Checkpoint()
                | ToolCall()
                | ToolResult()
                | Policy()
                | Custom()
                | Token()
            ):
                return []
            case _:
                assert_never(event)

    def _begin_again(self) -> None:
        """A worker was lost: what it has said is not said again at the end, and what comes is said in its place."""
        self._pieces.clear()
        self._spoke, self._room, self._finish_reason = False, Room(self._chat.max_bytes), "stop"

    def _completed(self, event: Complete) -> list[bytes]:
        if event.metadata.get("truncated"):
            self._finish_reason = "length"
        self._counts = counts_of(event.metadata)
        delta = {} if self._spoke else self._speak(self._chat.reply(event.output))
        return [self._chunk(delta, self._finish_reason), *self._end()]

    def _speak(self, text: str) -> dict[str, Any]:
        self._spoke = True
        if self._keeps:
            self._keep(text)
        return {"content": text}

    def _keep(self, text: str) -> None:
        if kept := self._room.fit(text):
            self._pieces.append(kept)
        if self._room.is_full:
            self._finish_reason = "length"

    def _end(self) -> list[bytes]:
        usage = self._usage()
        if not (self._with_usage and usage):
            return [_DONE]
        data: dict[str, Any] = {**self._chunk_data({}, None), "choices": [], **usage}
        return [sse.frame(encode(data)), _DONE]

    def _usage(self) -> dict[str, Any]:
        if self._counts is None:
            return {}
        read, written = self._counts
        counts = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }
        return {"usage": counts}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None) -> bytes:
        return sse.frame(encode(self._chunk_data(delta, finish_reason)))

    def _chunk_data(self, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._chat.agent,
            "choices": [choice],
        }


def _wants_usage(options: Any) -> bool:
    return isinstance(options, dict) and bool(cast("dict[str, Any]", options).get("include_usage"))
