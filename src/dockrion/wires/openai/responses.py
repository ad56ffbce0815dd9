"""OpenAI's Responses: what `POST /v1/responses` takes, and the ids that say which run a response is."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final, NamedTuple, cast

import msgspec

from dockrion.errors import DockrionError
from dockrion.events.ids import RUN_ID
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, Message, kind_of, messages_of, wrong
from dockrion.wires.openai.items import ResponsesWire
from dockrion.wires.openai.parts import (
    flag_of,
    object_of,
    refusal,
    refuse_form,
    refuse_tools,
)

_ID: Final = re.compile(rf"resp_({RUN_ID})(?:\.([A-Za-z0-9_-]+))?")
# Of our own answers, which clients send back with the messages around them.
_PASSED_OVER: Final = frozenset({"mcp_call", "reasoning"})


class ResponseId(NamedTuple):
    """A response is a run. Its id has the run's thread too, where that is another: so the next one finds it, even
    where nothing of this one is kept.
    """

    run_id: str
    thread_id: str

    def __str__(self) -> str:
        if self.thread_id == self.run_id:
            return f"resp_{self.run_id}"
        thread = urlsafe_b64encode(self.thread_id.encode()).decode().rstrip("=")
        return f"resp_{self.run_id}.{thread}"

    @classmethod
    def read(cls, text: str) -> ResponseId | None:
        found = _ID.fullmatch(text)
        if found is None:
            return None
        run_id, thread = found.groups()
        if thread is None:
            return cls(run_id, run_id)
        try:
            decoded = urlsafe_b64decode(thread + "=" * (-len(thread) % 4)).decode()
        except ValueError:
            return None
        return cls(run_id, decoded)


class ResponsesCall(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `echo` are the fields of the response that say again what was asked."""

    chat: Chat
    payload: Any = None
    streams: bool = True
    background: bool = False
    thread_id: str | None = None
    echo: dict[str, Any] = {}
    starting_after: int = -1
    is_input: bool = True

    def wire(self, run: WireRun) -> ResponsesWire:
        thread_id = run.run_id if run.thread_id is None else run.thread_id
        response_id = str(ResponseId(run.run_id, thread_id))
        return ResponsesWire(
            self.chat,
            run,
            response_id,
            echo=self.echo,
            background=self.background,
            starting_after=self.starting_after,
        )


class Responses:
    """Reads the requests; what only steers a model has no effect on an agent."""

    path: str = "/v1/responses"

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def read(self, body: Any) -> ResponsesCall:
        asked = object_of(body)
        refuse_tools(asked)
        text: Any = asked.get("text")
        if isinstance(text, dict):
            refuse_form(cast("dict[str, Any]", text).get("format"), "text.format")
        messages = _messages(asked.get("input"))
        instructions = asked.get("instructions")
        if isinstance(instructions, str):
            messages = [{"role": "system", "content": instructions}, *messages]
        elif instructions is not None:
            raise wrong("instructions", f"must be a string, got {kind_of(instructions)}")
        previous = asked.get("previous_response_id")
        conversation = _conversation(asked.get("conversation"))
        return ResponsesCall(
            chat=self._chat,
            payload=self._chat.payload(messages, field="input"),
            streams=flag_of(asked, "stream"),
            background=flag_of(asked, "background"),
            thread_id=_thread(previous, conversation),
            echo={
                "conversation": None if conversation is None else {"id": conversation},
                "instructions": instructions,
                "metadata": asked.get("metadata") or {},
                "previous_response_id": previous,
            },
        )

    def read_again(self, body: Any) -> ResponsesCall:  # noqa: ARG002
        return ResponsesCall(chat=self._chat)

    def read_kept(
        self, *, streams: bool, background: bool, starting_after: int = -1
    ) -> ResponsesCall:
        """Return the call of somebody who looks at a response that is there."""
        return ResponsesCall(
            chat=self._chat,
            streams=streams,
            background=background,
            starting_after=starting_after,
        )

    def refusal(self, error: DockrionError) -> dict[str, Any]:
        return refusal(error)


def _messages(given: Any) -> list[Message]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise wrong("input", f"must be a string, or a list of messages, got {kind_of(given)}")
    messages: list[Any] = []
    for number, item in enumerate(cast("list[Any]", given)):
        kind = cast("Message", item).get("type", "message") if isinstance(item, dict) else None
        if kind == "message":
            messages.append(_as_in_chats(cast("Message", item)))
        elif kind is None:
            messages.append(item)
        elif not isinstance(kind, str) or kind not in _PASSED_OVER:
            raise wrong(f"input[{number}].type", f"must be `message`, got {str(kind)[:40]!r}")
    return messages_of(messages, field="input")


def _as_in_chats(item: Message) -> Message:
    """Return a message with the fields and parts that agents know from chats."""
    message = {key: item[key] for key in ("role", "content") if key in item}
    content = message.get("content")
    if isinstance(content, list):
        message["content"] = [_part(part) for part in cast("list[Any]", content)]
    return message


def _part(part: Any) -> Any:
    match part:
        case {"type": "input_text" | "output_text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str(url)}:
            return {"type": "image_url", "image_url": {"url": url}}
        case _:
            return part


def _thread(previous: Any, conversation: str | None) -> str | None:
    if previous is None:
        return conversation
    if conversation is not None:
        raise wrong("conversation", "cannot stand beside `previous_response_id`")
    found = ResponseId.read(previous) if isinstance(previous, str) else None
    if found is None:
        raise wrong("previous_response_id", "is no id of a response of this server")
    return found.thread_id


def _conversation(given: Any) -> str | None:
    match given:
        case None | str():
            return given
        case {"id": str(conversation_id)}:
            return conversation_id
        case _:
            raise wrong("conversation", "must be an id, or an object with an `id`")
