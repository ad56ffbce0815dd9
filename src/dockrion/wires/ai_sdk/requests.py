"""The AI SDK of Vercel, version 7: what `POST /ai-sdk` takes of `useChat`. https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import msgspec

from dockrion.errors import DockrionError, ValidationError
from dockrion.wires.ai_sdk.chunks import AiSdkWire, Told
from dockrion.wires.ai_sdk.messages import answers_in, as_in_chats, calls_that_wait
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, Message, kind_of, messages_of, wrong
from dockrion.wires.questions import begins_after


class AiSdkCall(msgspec.Struct, frozen=True, kw_only=True):
    """One request: messages for a new run, or answers with which one goes on, whose payload they are then."""

    chat: Chat
    told: Told
    payload: Any = None
    thread_id: str | None = None
    streams: bool = True

    @property
    def is_input(self) -> bool:
        return not self.told.answers

    def begins(self, run_id: str) -> int:
        return begins_after(self.told.answers, run_id)

    def wire(self, run: WireRun) -> AiSdkWire:
        return AiSdkWire(self.chat, run, self.told)


class AiSdk:
    """Reads the requests. Of their fields `id` and `messages` count; the page has taken out what it wants told anew."""

    path: str = "/ai-sdk"

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def read(self, body: Any) -> AiSdkCall:
        if not isinstance(body, dict):
            raise wrong("body", f"must be an object with `id` and `messages`, got {kind_of(body)}")
        asked = cast("dict[str, Any]", body)
        thread_id = asked.get("id")
        if thread_id is not None and not isinstance(thread_id, str):
            raise wrong("id", f"must be a string, the id of the chat, got {kind_of(thread_id)}")
        messages = messages_of(asked.get("messages"), field="messages")
        last = messages[-1]
        answers = answers_in(last, field=f"messages[{len(messages) - 1}]")
        if answers:
            told = Told(_continued(last), answers, calls_that_wait(last))
            payload = {one.question.interrupt_id: one.value for one in answers}
        else:
            heard, places = as_in_chats(messages, field="messages")
            if not heard:
                raise wrong("messages", "must have a message with more than what a page shows")
            told = Told(_continued(last))
            payload = self._chat.payload(heard, field="messages", places=places)
        return AiSdkCall(chat=self._chat, told=told, payload=payload, thread_id=thread_id)

    def read_again(self, body: Any) -> AiSdkCall:
        match body:
            case {"messages": [*_, {"role": str()} as last]}:
                message = cast("Message", last)
                told = Told(_continued(message))
                with suppress(ValidationError):
                    if answers := answers_in(message, field="messages"):
                        told = Told(told.message_id, answers, calls_that_wait(message))
            case _:
                told = Told()
        return AiSdkCall(chat=self._chat, told=told)

    def refusal(self, error: DockrionError) -> dict[str, Any]:
        return {"type": "error", "errorText": error.message, "code": error.code}


def _continued(last: Message) -> str | None:
    """Return the id of the message that the page goes on with, where it does not begin one."""
    message_id = last.get("id")
    continues = last["role"] == "assistant" and isinstance(message_id, str) and message_id
    return cast("str", message_id) if continues else None
