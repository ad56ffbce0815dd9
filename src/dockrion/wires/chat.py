"""Conversations: from messages to the agent's payload, from its output to the text of the reply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from dockrion.errors import ValidationError
from dockrion.events.jsonable import encode
from dockrion.spec import DockSpec
from dockrion.spec.chat import MESSAGES, ChatInput, chat_input
from dockrion.spec.io_schema import text_key

# How protocols call a part of a message that is text.
_TEXTS: Final = frozenset({"text", "input_text", "output_text"})

Message = dict[str, Any]


class Replies:
    """One for each app: it knows where the text of an output is."""

    def __init__(self, spec: DockSpec) -> None:
        named = None if spec.expose.chat is None else spec.expose.chat.output
        self._reply: Final = (named,) if named else (text_key(spec.io_schema.output), MESSAGES)

    def reply(self, output: Any) -> str:
        """Return the text of an output: of an agent that gave no tokens."""
        text = self.text_of(output)
        return encode(output).decode() if text is None else text

    def text_of(self, output: Any) -> str | None:
        """Return what an output says; None of one that has no text for people."""
        if isinstance(output, str):
            return output
        if isinstance(output, Mapping):
            known = cast("Mapping[str, Any]", output)
            for name in self._reply:
                if (text := _said(known.get(name))) is not None:
                    return text
        return None


class Chat(Replies):
    """One for each app: it knows what the Dockfile says of payloads and outputs."""

    def __init__(self, spec: DockSpec) -> None:
        super().__init__(spec)
        self._into: Final[ChatInput | None] = chat_input(spec)
        self.agent: Final = spec.agent.name
        # Of the text that is kept of a reply, to be said again at its end.
        self.max_bytes: Final = spec.expose.limits.max_output_bytes

    def payload(
        self, messages: list[Message], *, field: str, places: Sequence[int] | None = None
    ) -> Any:
        """Return what the agent gets; `field` is what the request calls the messages, and `places` where each stands
        there, unless it has them as they are.
        """
        if self._into is None:
            raise wrong(field, "is no input of this agent, which takes no conversations")
        name, whole = self._into
        if whole:
            return {name: [with_joined_text(message) for message in messages]}
        for number in range(len(messages) - 1, -1, -1):
            if messages[number].get("role") == "user":
                place = number if places is None else places[number]
                text = _text_of(messages[number], field=f"{field}[{place}]")
                return text if name is None else {name: text}
        raise wrong(field, "must have a message of the role `user`, which this agent answers")

    @property
    def takes_text(self) -> bool:
        return self._into is not None

    @property
    def takes_messages(self) -> bool:
        return self._into is not None and self._into.whole


def messages_of(value: Any, *, field: str) -> list[Message]:
    """Check what all protocols ask of messages: objects, each with a `role`."""
    if not isinstance(value, list) or not value:
        raise wrong(field, f"must be a list with at least one message, got {kind_of(value)}")
    for number, message in enumerate(cast("list[Any]", value)):
        at = f"{field}[{number}]"
        if not isinstance(message, dict):
            raise wrong(at, f"must be an object with `role` and `content`, got {kind_of(message)}")
        role = cast("Message", message).get("role")
        if not isinstance(role, str):
            raise wrong(f"{at}.role", f"must be a string such as `user`, got {kind_of(role)}")
    return cast("list[Message]", value)


def with_joined_text(message: Message) -> Message:
    """Return the message with parts that are all text as the one text that they are."""
    texts = _texts(message.get("content"))
    return message if texts is None else {**message, "content": "".join(texts)}


def question_text(value: Any) -> str:
    """Return what an agent asks as people read it."""
    return value if isinstance(value, str) else encode(value).decode()


def counts_of(metadata: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return how many tokens models have read and written for a run, where its framework has told."""
    usage = metadata.get("usage")
    if not isinstance(usage, Mapping):
        return None
    known = cast("Mapping[str, Any]", usage)
    read, written = known.get("input_tokens"), known.get("output_tokens")
    if isinstance(read, int) and isinstance(written, int):
        return read, written
    return None


def usage_of(metadata: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the counts of `counts_of` by the names that pages have for them."""
    counts = counts_of(metadata)
    if counts is None:
        return None
    read, written = counts
    return {"inputTokens": read, "outputTokens": written, "totalTokens": read + written}


def wrong(field: str, message: str) -> ValidationError:
    """Return the error of one field of a request, whose name `details` has for programs."""
    problem = {"pointer": field, "message": message, "type": "invalid_request"}
    return ValidationError(f"{field}: {message}", details=[problem])


def _text_of(message: Message, *, field: str) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    texts = _texts(content)
    if texts is not None:
        return "".join(texts)
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        number = next((at for at, part in enumerate(parts) if _texts([part]) is None), 0)
        shown = encode(_type_of(parts[number])).decode()[:40] if parts else "none"
        raise wrong(f"{field}.content", f"this agent takes text alone, got a part of type {shown}")
    raise wrong(f"{field}.content", f"must be a text or a list of parts, got {kind_of(content)}")


def _texts(content: Any) -> list[str] | None:
    """Return the texts of parts that are all text; None for anything else."""
    if not isinstance(content, list) or not content:
        return None
    texts: list[str] = []
    for part in cast("list[Any]", content):
        text = cast("Message", part).get("text") if isinstance(part, dict) else None
        kind = _type_of(part)
        # What is no string may not even be hashed.
        if not isinstance(text, str) or not isinstance(kind, str) or kind not in _TEXTS:
            return None
        texts.append(text)
    return texts


def _type_of(part: Any) -> Any:
    return cast("Message", part).get("type") if isinstance(part, dict) else kind_of(part)


def _said(value: Any) -> str | None:
    """Return the text of a value: of messages that of the last one; None for what is no text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        last = cast("list[Any]", value)[-1]
        if isinstance(last, dict):
            content: Any = cast("Message", last).get("content")
            return content if isinstance(content, str) else _joined(_texts(content))
    return None


def _joined(texts: Iterable[str] | None) -> str | None:
    return None if texts is None else "".join(texts)


def kind_of(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "an empty list" if not value else "a list"
        case _:
            return "an object"
