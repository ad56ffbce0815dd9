"""AG-UI 1.0: what `POST /ag-ui` takes. https://docs.ag-ui.com/spec/1.0"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import msgspec

from dockrion.errors import DockrionError, ValidationError
from dockrion.wires.ag_ui.events import AgUiWire, Told
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, Message, kind_of, messages_of, wrong
from dockrion.wires.questions import Answer, QuestionId, begins_after

# What the user's page keeps for itself, and no agent has said or heard.
_PASSED_OVER = frozenset({"activity", "reasoning"})


class AgUiCall(msgspec.Struct, frozen=True, kw_only=True):
    """One request: messages for a new run, or `answers` with which one goes on, whose payload they are then."""

    chat: Chat
    told: Told
    payload: Any = None
    thread_id: str | None = None
    answers: tuple[Answer, ...] = ()
    streams: bool = True

    @property
    def is_input(self) -> bool:
        return not self.answers

    def begins(self, run_id: str) -> int:
        return begins_after(self.answers, run_id)

    def wire(self, run: WireRun) -> AgUiWire:
        return AgUiWire(self.chat, run, self.told)


class AgUi:
    """Reads the requests. `tools` of the page, `state`, `context` and `forwardedProps` do not reach the agent."""

    path: str = "/ag-ui"

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def read(self, body: Any) -> AgUiCall:
        if not isinstance(body, dict):
            raise wrong("body", f"must be a RunAgentInput, got {kind_of(body)}")
        asked = cast("dict[str, Any]", body)
        thread_id, run_id = (_name(asked, field) for field in ("threadId", "runId"))
        told = Told(thread_id, run_id)
        answers = _answers(asked.get("resume"))
        if answers:
            payload = {one.question.interrupt_id: one.value for one in answers}
        else:
            messages = messages_of(asked.get("messages"), field="messages")
            heard = [_as_in_chats(one) for one in messages if one["role"] not in _PASSED_OVER]
            payload = self._chat.payload(heard, field="messages")
        return AgUiCall(
            chat=self._chat, told=told, payload=payload, thread_id=thread_id, answers=answers
        )

    def read_again(self, body: Any) -> AgUiCall:
        match body:
            case {"threadId": str(thread_id), "runId": str(run_id)}:
                told = Told(thread_id, run_id)
            case _:
                told = Told()
        answers: tuple[Answer, ...] = ()
        if isinstance(body, dict):
            with suppress(ValidationError):
                answers = _answers(cast("dict[str, Any]", body).get("resume"))
        return AgUiCall(chat=self._chat, told=told, answers=answers)

    def refusal(self, error: DockrionError) -> dict[str, Any]:
        return {"type": "RUN_ERROR", "message": error.message, "code": error.code}


def _name(body: dict[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise wrong(field, f"must be a string with at least one character, got {kind_of(value)}")
    return value


def _answers(entries: Any) -> tuple[Answer, ...]:
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise wrong("resume", f"must be a list of answers, got {kind_of(entries)}")
    answers = [_answer(entry, number) for number, entry in enumerate(cast("list[Any]", entries))]
    if len({one.question.run_id for one in answers}) > 1:
        raise wrong("resume", "has answers to questions of several runs")
    if len({one.question.interrupt_id for one in answers}) < len(answers):
        raise wrong("resume", "answers one question twice")
    return tuple(answers)


def _answer(entry: Any, number: int) -> Answer:
    at = f"resume[{number}]"
    match entry:
        case {"interruptId": str(given), "status": "resolved" | "cancelled" as status}:
            question = QuestionId.read(given)
            if question is None:
                raise wrong(f"{at}.interruptId", "is no id of a question of this agent")
            value = cast("dict[str, Any]", entry).get("payload")
            return Answer(question, status == "resolved", value, question.heard)
        case _:
            raise wrong(at, "must have an `interruptId`, and the `status` resolved or cancelled")


def _as_in_chats(message: Message) -> Message:
    """Return a message with the names that agents know from chats."""
    renamed = {"toolCalls": "tool_calls", "toolCallId": "tool_call_id"}
    out = {renamed.get(key, key): value for key, value in message.items()}
    content = out.get("content")
    if isinstance(content, list):
        out["content"] = [_part(part) for part in cast("list[Any]", content)]
    return out


def _part(part: Any) -> Any:
    match part:
        case {"type": "image", "source": {"type": "url", "value": str(url)}}:
            return {"type": "image_url", "image_url": {"url": url}}
        case {"type": "image", "source": {"value": str(data), "mimeType": str(kind)}}:
            return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
        case _:
            return part
