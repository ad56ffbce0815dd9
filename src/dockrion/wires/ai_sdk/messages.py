"""The messages of the AI SDK's pages: as agents know them from chats, and the answers to questions in them."""

from __future__ import annotations

from typing import Any, Final, cast

from msgspec import structs

from dockrion.events.jsonable import encode
from dockrion.wires.ai_sdk.chunks import HEARD, QUESTION, Call, UiAnswer
from dockrion.wires.chat import Message, kind_of, wrong
from dockrion.wires.questions import QuestionId

_TOOL: Final = "tool-"
_DYNAMIC_TOOL: Final = "dynamic-tool"

Part = dict[str, Any]


def as_in_chats(messages: list[Message], *, field: str) -> tuple[list[Message], list[int]]:
    """Return objects with `role` and `content`, and which of the page's messages each is of.

    What only the page shows is left out: data, reasoning, sources, files of the agent's, its questions. Tools that
    the agent has called are `tool_calls`, and messages of the role `tool`; those without a result are left out, too.
    """
    heard: list[Message] = []
    places: list[int] = []
    for number, message in enumerate(messages):
        said = _said(message, field=f"{field}[{number}]")
        heard += said
        places += [number] * len(said)
    return heard, places


def answers_in(message: Message, *, field: str) -> tuple[UiAnswer, ...]:
    """Return what the user has said to the agent's questions, which are tools to the page. What a run has taken, it
    has marked as executed.
    """
    if message["role"] != "assistant" or not isinstance(message.get("parts"), list):
        return ()
    found: list[UiAnswer] = []
    heard = _heard_in(message)
    for at, part in _parts_of(message, field=field):
        if _is_question(part) and not part.get("providerExecuted"):
            answer = _answer(part, at)
            if answer is not None:
                found.append(structs.replace(answer, heard=heard))
    if len({one.question.run_id for one in found}) > 1:
        raise wrong(f"{field}.parts", "has answers to questions of several runs")
    if len({one.question for one in found}) < len(found):
        raise wrong(f"{field}.parts", "answers one question twice")
    return tuple(found)


def calls_that_wait(message: Message) -> tuple[Call, ...]:
    """Return the agent's own calls that have no result so far, in a message with answers."""
    found: list[Call] = []
    for part in cast("list[Part]", message["parts"]):
        match part:
            case {
                "type": "dynamic-tool",
                "state": "input-available",
                "providerExecuted": True,
                "toolName": str(tool),
                "toolCallId": str(call_id),
            }:
                found.append(Call(tool, None, call_id, part.get("input"), waits=True))
            case _:
                pass
    return tuple(found)


def _answer(part: Part, at: str) -> UiAnswer | None:
    """Return the answer, unless the question is still open."""
    match part:
        case {"state": "approval-responded", "approval": {"approved": bool(approved)}}:
            reason = part["approval"].get("reason")
            value = approved if reason is None else {"approved": approved, "reason": reason}
            return UiAnswer(_question(part, at), True, value, denied=not approved)
        case {"state": "approval-responded"}:
            raise wrong(f"{at}.approval", "must say with `approved`, true or false, what was said")
        case {"state": "output-available"}:
            return UiAnswer(_question(part, at), True, part.get("output"))
        case {"state": "output-error"}:
            return UiAnswer(_question(part, at), False, str(part.get("errorText") or ""))
        case _:
            return None


def _heard_in(message: Message) -> int | None:
    metadata = message.get("metadata")
    heard = cast("Part", metadata).get(HEARD) if isinstance(metadata, dict) else None
    is_count = isinstance(heard, int) and not isinstance(heard, bool) and heard >= 0
    return heard if is_count else None


def _question(part: Part, at: str) -> QuestionId:
    call_id = part.get("toolCallId")
    question = QuestionId.read(call_id) if isinstance(call_id, str) else None
    if question is None:
        raise wrong(f"{at}.toolCallId", "is no id of a question of this agent")
    return question


def _is_question(part: Part) -> bool:
    if part.get("type") != _DYNAMIC_TOOL or part.get("toolName") != QUESTION:
        return False
    # A tool of the agent's may have that name, too.
    call_id = part.get("toolCallId")
    known = isinstance(call_id, str) and QuestionId.read(call_id) is not None
    return known or not part.get("providerExecuted")


def _said(message: Message, *, field: str) -> list[Message]:
    if "parts" not in message:
        if "content" not in message:
            raise wrong(field, "must have `parts`, as pages of the AI SDK send them, or `content`")
        return [message]
    parts = _parts_of(message, field=field)
    if message["role"] == "assistant":
        return _by_the_agent(message.get("id"), parts)
    content = [said for at, part in parts if (said := _by_the_user(part, at)) is not None]
    return [{**_id(message.get("id")), "role": message["role"], "content": content or ""}]


def _parts_of(message: Message, *, field: str) -> list[tuple[str, Part]]:
    given = message["parts"]
    if not isinstance(given, list):
        raise wrong(f"{field}.parts", f"must be a list, got {kind_of(given)}")
    parts = [(f"{field}.parts[{at}]", part) for at, part in enumerate(cast("list[Any]", given))]
    for at, part in parts:
        if not isinstance(part, dict) or not isinstance(cast("Part", part).get("type"), str):
            raise wrong(at, "must be an object with a `type`, such as `text`")
    return parts


def _by_the_user(part: Part, at: str) -> Part | None:
    match part:
        case {"type": "text"}:
            return {"type": "text", "text": _text(part, "text", at)}
        case {"type": "file"}:
            return _file(_text(part, "url", at), _text(part, "mediaType", at), part.get("filename"))
        case _:
            return None


def _file(url: str, media_type: str, name: Any) -> Part:
    if media_type.partition("/")[0] == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    named = {"filename": name} if isinstance(name, str) else {}
    known = {"file_data": url} if url.startswith("data:") else {"file_url": url}
    return {"type": "file", "file": {**named, **known}}


def _by_the_agent(message_id: Any, parts: list[tuple[str, Part]]) -> list[Message]:
    """A text after tools is a message of its own."""
    said: list[Message] = []
    texts: list[str] = []
    calls: list[Part] = []
    results: list[Message] = []

    def flush() -> None:
        text = "".join(texts)
        if text or calls:
            called = {"tool_calls": calls.copy()} if calls else {}
            said.append({"role": "assistant", "content": text, **called})
            said.extend(results)
        texts.clear()
        calls.clear()
        results.clear()

    for at, part in parts:
        kind: str = part["type"]
        if kind == "text":
            if calls:
                flush()
            texts.append(_text(part, "text", at))
        elif kind == "step-start":
            flush()
        elif (kind == _DYNAMIC_TOOL or kind.startswith(_TOOL)) and not _is_question(part):
            result = _result(part)
            if result is not None:
                call_id = _text(part, "toolCallId", at)
                calls.append(_call(part, call_id, at))
                results.append({"role": "tool", "tool_call_id": call_id, "content": result})
    flush()
    # Those who keep conversations know a message by its id, whenever it comes.
    for number, one in enumerate(said):
        one |= _id(f"{message_id}.{number}" if number and message_id else message_id)
    return said


def _call(part: Part, call_id: str, at: str) -> Part:
    kind: str = part["type"]
    name = _text(part, "toolName", at) if kind == _DYNAMIC_TOOL else kind.removeprefix(_TOOL)
    arguments = encode(part.get("input")).decode()
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _result(part: Part) -> str | None:
    match part:
        case {"state": "output-available"}:
            output = part.get("output")
            return output if isinstance(output, str) else encode(output).decode()
        case {"state": "output-error"}:
            return str(part.get("errorText") or "")
        case _:
            return None


def _text(part: Part, name: str, at: str) -> str:
    value = part.get(name)
    if not isinstance(value, str):
        raise wrong(f"{at}.{name}", f"must be a string, got {kind_of(value)}")
    return value


def _id(message_id: Any) -> Message:
    return {"id": message_id} if isinstance(message_id, str) and message_id else {}
