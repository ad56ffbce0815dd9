"""The events of a run as OpenAI's response: its items as they grow, and the whole of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, assert_never

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
from dockrion.wires.chat import Chat, counts_of, question_text
from dockrion.wires.openai.parts import failure_of, seconds_of
from dockrion.wires.texts import frames_of

_DELTA: Final = "response.output_text.delta"
# Fields that say how a model was steered, which an agent is not: each at the value that changes nothing. Clients that
# read strictly want them all.
_STEERED: Final[Mapping[str, Any]] = {
    "frequency_penalty": 0,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "prompt": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "temperature": 1,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1,
    "truncation": "disabled",
    "user": None,
}

Item = dict[str, Any]


class ResponsesWire:
    """Numbers its own events; those up to `starting_after` are made and not sent.

    Text is a message until a tool is called, and what follows is another one. A tool that the agent runs is an
    `mcp_call`: of a client's own kind, `function_call`, the client would think that it has to run it.
    """

    content_type: bytes = b"text/event-stream"

    def __init__(
        self,
        chat: Chat,
        run: WireRun,
        response_id: str,
        *,
        echo: Mapping[str, Any],
        background: bool = False,
        starting_after: int = -1,
    ) -> None:
        self._chat = chat
        self._run_id = run.run_id
        self._id = response_id
        self._echo = dict(echo)
        self._background = background
        self._is_kept = run.cursors
        self._starting_after = starting_after
        self._created = 0
        self._now = ""
        self._number = 0
        self._parts: list[bytes] = []
        self._output: list[Item] = []
        # The message that is open, as what is in front of, between and behind what changes from one delta to the next.
        self._message: Item | None = None
        self._delta = b""
        self._pieces: list[str] = []
        self._room = Room(chat.max_bytes)
        self._spoke = False
        self._cut = False
        self._calls: list[tuple[str | None, int]] = []
        self._status = "in_progress"
        self._error: dict[str, Any] | None = None
        self._counts: tuple[int, int] | None = None

    def encode(self, batch: Batch) -> bytes:
        if not self._created:
            self._created = seconds_of(batch.timestamp)
        self._now = batch.timestamp
        texts: list[str] = []
        for event in batch.events:
            if type(event) is Token:
                if event.content:
                    texts.append(event.content)
                continue
            if texts:
                self._speak(texts)
                texts = []
            self._take(event)
        if texts:
            self._speak(texts)
        return self._taken()

    def heartbeat(self) -> bytes:
        return sse.COMMENT_HEARTBEAT

    def paused(self) -> bytes:
        self._close_message()
        self._finish()
        return self._taken()

    def answer(self) -> dict[str, Any]:
        """Return the response as far as it has come."""
        usage = None
        if self._counts is not None:
            read, written = self._counts
            usage = {
                "input_tokens": read,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": written,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": read + written,
            }
        cut = self._status == "incomplete"
        return {
            **_STEERED,
            "id": self._id,
            "object": "response",
            "background": self._background,
            "created_at": self._created,
            "completed_at": seconds_of(self._now) if self._status == "completed" else None,
            "conversation": None,
            "status": self._status,
            "error": self._error,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": None,
            "metadata": {},
            "model": self._chat.agent,
            "output": [*self._output],
            "previous_response_id": None,
            "store": self._is_kept,
            "usage": usage,
            **self._echo,
        }

    # What happens

    def _take(self, event: Event) -> None:
        match event:
            case Started():
                if event.attempt is not None:
                    self._begin_again()
                self._say("response.created", {"response": self.answer()})
                self._say("response.in_progress", {"response": self.answer()})
            case ToolCall():
                self._call(event)
            case ToolResult():
                self._called(event)
            case Interrupt(value=value):
                self._close_message()
                self._speak([question_text(value)])
            case Complete():
                self._complete(event)
            case Failed() | Cancelled():
                self._fail(event)
            case Step() | Progress() | Checkpoint() | Policy() | Custom() | Token():
                pass
            case _:
                assert_never(event)

    def _begin_again(self) -> None:
        """Another worker begins anew: what the first one has said counts no more."""
        self._output.clear()
        self._calls.clear()
        self._message, self._pieces = None, []
        self._spoke, self._room = False, Room(self._chat.max_bytes)

    def _complete(self, event: Complete) -> None:
        if not self._spoke:
            self._speak([self._chat.reply(event.output)])
        self._close_message()
        self._counts = counts_of(event.metadata)
        self._cut = self._cut or bool(event.metadata.get("truncated"))
        self._finish()

    def _finish(self) -> None:
        self._status = "incomplete" if self._cut else "completed"
        self._say(f"response.{self._status}", {"response": self.answer()})

    def _fail(self, event: Failed | Cancelled) -> None:
        self._close_message(status="incomplete")
        error = failure_of(event)
        self._status = "cancelled" if isinstance(event, Cancelled) else "failed"
        self._error = {"code": error.code, "message": error.message}
        self._say("response.failed", {"response": self.answer()})

    # Text

    def _speak(self, texts: list[str]) -> None:
        if self._message is None:
            self._open_message()
        self._spoke = True
        first = self._number
        self._number += len(texts)
        if first > self._starting_after:
            self._parts.append(frames_of(self._delta, texts, first))
        elif new := texts[self._starting_after + 1 - first :]:
            self._parts.append(frames_of(self._delta, new, self._starting_after + 1))
        if kept := self._room.fit("".join(texts)):
            self._pieces.append(kept)
        self._cut = self._cut or self._room.is_full

    def _open_message(self) -> None:
        index = len(self._output)
        message: Item = {
            "id": f"msg_{self._run_id}_{index}",
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        self._message = message
        self._output.append(message)
        self._say("response.output_item.added", {"output_index": index, "item": message})
        at = self._place(message)
        self._say("response.content_part.added", {**at, "part": _text_part("")})
        # Ids have no characters that `%` would fill.
        data = encode({"type": _DELTA, **at, "logprobs": []})[:-1]
        self._delta = sse.frame(data + b',"delta":%b,"sequence_number":%d}', event=_DELTA.encode())

    def _close_message(self, *, status: str = "completed") -> None:
        message, self._message = self._message, None
        if message is None:
            return
        text = "".join(self._pieces)
        self._pieces.clear()
        at, part = self._place(message), _text_part(text)
        closed = {**message, "status": status, "content": [part]}
        self._output[at["output_index"]] = closed
        self._say("response.output_text.done", {**at, "text": text, "logprobs": []})
        self._say("response.content_part.done", {**at, "part": part})
        self._done(at["output_index"])

    def _place(self, message: Item) -> dict[str, Any]:
        index = int(message["id"].rpartition("_")[2])
        return {"item_id": message["id"], "output_index": index, "content_index": 0}

    # Tools

    def _call(self, event: ToolCall) -> None:
        self._close_message()
        index = len(self._output)
        arguments = encode(event.arguments).decode()
        item = {
            "id": f"mcp_{self._run_id}_{index}",
            "type": "mcp_call",
            "server_label": self._chat.agent,
            "name": event.tool,
            "arguments": "",
            "output": None,
            "error": None,
            "status": "in_progress",
        }
        at = {"item_id": item["id"], "output_index": index}
        self._output.append({**item, "arguments": arguments})
        self._calls.append((event.call_id, index))
        self._say("response.output_item.added", {"output_index": index, "item": item})
        self._say("response.mcp_call.in_progress", at)
        self._say("response.mcp_call_arguments.delta", {**at, "delta": arguments})
        self._say("response.mcp_call_arguments.done", {**at, "arguments": arguments})

    def _called(self, event: ToolResult) -> None:
        index = self._index_of(event)
        if index is None:
            # The Dockfile's filter lets results pass, and no calls.
            return
        failed = event.error is not None
        output = event.output if isinstance(event.output, str) else encode(event.output).decode()
        item = self._output[index]
        self._output[index] = {
            **item,
            "output": None if failed else output,
            "error": _tool_error(event.error),
            "status": "failed" if failed else "completed",
        }
        kind = "failed" if failed else "completed"
        self._say(f"response.mcp_call.{kind}", {"item_id": item["id"], "output_index": index})
        self._done(index)

    def _index_of(self, event: ToolResult) -> int | None:
        """Return where its call stands, which is over then; without an id it is the oldest one of that tool."""
        for call in self._calls:
            call_id, index = call
            if call_id == event.call_id and self._output[index]["name"] == event.tool:
                self._calls.remove(call)
                return index
        return None

    # Frames

    def _done(self, index: int) -> None:
        item = self._output[index]
        self._say("response.output_item.done", {"output_index": index, "item": item})

    def _say(self, kind: str, fields: Mapping[str, Any]) -> None:
        if self._number > self._starting_after:
            data = encode({"type": kind, **fields, "sequence_number": self._number})
            self._parts.append(sse.frame(data, event=kind.encode()))
        self._number += 1

    def _taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _tool_error(error: str | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": error}]}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
