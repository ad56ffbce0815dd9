"""A2A: what `POST /a2a` takes, in the words of 1.0 and of 0.3. https://a2a-protocol.org/latest/specification"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from datetime import datetime
from typing import Any, Final, cast

import msgspec

from dockrion.errors import ValidationError
from dockrion.events.jsonable import encode
from dockrion.wires.a2a.artifacts import ALL_MODES, Modes
from dockrion.wires.a2a.rpc import Kind, RefusedError, RpcRequest
from dockrion.wires.a2a.tasks import A2aWire, Known
from dockrion.wires.a2a.words import State, Words
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, Message, kind_of, wrong

PATH: Final = "/a2a"
MAX_PAGE: Final = 100
DEFAULT_PAGE: Final = 50
_USERS: Final = frozenset({"user", "ROLE_USER", 1})
_PUSH: Final = "Push notifications are not supported; subscribe to the task, or get it."
_NO_MORE_OF_A_CARD: Final = (
    "This agent has no extended card; the one at /.well-known/agent-card.json has all."
)
_ACTIONS: Final = {
    "SendMessage": "send",
    "SendStreamingMessage": "stream",
    "GetTask": "get",
    "ListTasks": "list",
    "CancelTask": "cancel",
    "SubscribeToTask": "subscribe",
    "message/send": "send",
    "message/stream": "stream",
    "tasks/get": "get",
    "tasks/cancel": "cancel",
    "tasks/resubscribe": "subscribe",
}
_OF_CARDS: Final = frozenset({"GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"})
_OF_PUSH: Final = frozenset(
    {
        *(
            f"{verb}TaskPushNotificationConfig{s}"
            for verb, s in [("Create", ""), ("Get", ""), ("List", "s"), ("Delete", "")]
        ),
        *(f"tasks/pushNotificationConfig/{verb}" for verb in ("set", "get", "list", "delete")),
    }
)


def methods() -> list[str]:
    """Return the names of all methods that do something here."""
    return list(_ACTIONS)


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """A message for a new task, whose input is `payload`, or for a task that waits, which `payload` answers."""

    chat: Chat
    words: Words
    payload: Any = None
    streams: bool = True
    at_once: bool = False
    task_id: str | None = None
    thread_id: str | None = None
    modes: Modes = ALL_MODES

    @property
    def is_input(self) -> bool:
        return self.task_id is None

    def wire(
        self, run: WireRun, known: Known | None = None, *, resumes_at: int | None = None
    ) -> A2aWire:
        return A2aWire(
            self.chat, run, self.words, modes=self.modes, known=known, resumes_at=resumes_at
        )


class Get(msgspec.Struct, frozen=True):
    words: Words
    task_id: str


class Cancel(msgspec.Struct, frozen=True):
    words: Words
    task_id: str


class Subscribe(msgspec.Struct, frozen=True):
    words: Words
    task_id: str


class ListAll(msgspec.Struct, frozen=True, kw_only=True):
    """`after`: only tasks that have come into their state since, in Unix seconds. 1.0 alone has it."""

    words: Words
    limit: int
    token: str | None
    state: State | None
    thread_id: str | None
    after: float | None
    artifacts: bool


Asked = Send | Get | Cancel | Subscribe | ListAll


class A2a:
    """Reads the requests. `metadata`, extensions and `referenceTaskIds` do not reach the agent."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def read(self, rpc: RpcRequest) -> Asked:
        """Return what is asked for; raise `ValidationError`."""
        words = Words(legacy=rpc.legacy, request_id=rpc.id)
        params = rpc.params
        match _ACTIONS.get(rpc.method):
            case "send" | "stream" as action:
                return self._send(params, words, streams=action == "stream")
            case "get":
                _history(params)
                return Get(words, _text(params, "id"))
            case "cancel":
                return Cancel(words, _text(params, "id"))
            case "subscribe":
                return Subscribe(words, _text(params, "id"))
            case "list":
                return _list(params, words)
            case _:
                raise _refused_method(rpc.method)

    def read_again(self, rpc: RpcRequest) -> Send:
        """Return the call of a caller who comes back to a stream; it must not be refused for what it says."""
        words = Words(legacy=rpc.legacy, request_id=rpc.id)
        try:
            modes = _modes(_object(rpc.params, "configuration"))
        except ValidationError:
            modes = ALL_MODES
        return Send(chat=self._chat, words=words, modes=modes)

    def _send(self, params: dict[str, Any], words: Words, *, streams: bool) -> Send:
        message = _object(params, "message", required=True)
        configuration = _object(params, "configuration")
        for name in ("taskPushNotificationConfig", "pushNotificationConfig"):
            if _field(configuration, name) is not None:
                raise RefusedError(Kind.NO_PUSH, _PUSH)
        _history(configuration)
        task_id = _optional_text(message, "taskId", "message")
        parts = _parts_of(message)
        return Send(
            chat=self._chat,
            words=words,
            payload=_answer(parts) if task_id else self._payload(parts),
            streams=streams,
            at_once=_at_once(configuration, legacy=words.legacy) and not streams,
            task_id=task_id,
            thread_id=_optional_text(message, "contextId", "message"),
            modes=_modes(configuration),
        )

    def _payload(self, parts: list[_Part]) -> Any:
        chat = self._chat
        if len(parts) == 1 and parts[0].kind == "data":
            return parts[0].value
        if not chat.takes_text:
            raise RefusedError(
                Kind.CONTENT_TYPE,
                "message.parts: this agent takes one part with `data`, its input as JSON",
            )
        other = next((number for number, part in enumerate(parts) if part.kind != "text"), None)
        if other is None:
            content: Any = "".join([part.value for part in parts])
        elif chat.takes_messages:
            content = [part.in_chats() for part in parts]
        else:
            raise RefusedError(
                Kind.CONTENT_TYPE,
                f"message.parts[{other}]: this agent takes texts, or one part with `data` "
                f"alone, its input as JSON; got a part with {parts[other].kind}",
            )
        return chat.payload([{"role": "user", "content": content}], field="message")


class _Part(msgspec.Struct, frozen=True):
    """`kind`: text, data, url or raw (base64)."""

    kind: str
    value: Any
    media_type: str | None = None
    filename: str | None = None

    def in_chats(self) -> Message:
        """Return it with the names that agents know from chats."""
        if self.kind == "text":
            return {"type": "text", "text": self.value}
        if self.kind == "data":
            return {"type": "text", "text": encode(self.value).decode()}
        kind = self.media_type or "application/octet-stream"
        url = self.value if self.kind == "url" else f"data:{kind};base64,{self.value}"
        if kind.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": url}}
        named = {} if self.filename is None else {"filename": self.filename}
        where = "file_url" if self.kind == "url" else "file_data"
        return {"type": "file", "file": {**named, where: url}}


def _refused_method(method: str) -> RefusedError:
    if method in _OF_PUSH:
        return RefusedError(Kind.NO_PUSH, _PUSH)
    if method in _OF_CARDS:
        return RefusedError(Kind.UNSUPPORTED, _NO_MORE_OF_A_CARD)
    return RefusedError(Kind.METHOD, f"There is no method {method[:80]!r}.")


def _parts_of(message: dict[str, Any]) -> list[_Part]:
    _text(message, "messageId", "message")
    role: Any = message.get("role")
    # A number is how Protocol Buffers may write it, and true is none.
    if not isinstance(role, str | int) or isinstance(role, bool) or role not in _USERS:
        raise wrong("message.role", "must be that of the user (`ROLE_USER`; `user` in 0.3)")
    parts: Any = message.get("parts")
    if not isinstance(parts, list) or not parts:
        raise wrong("message.parts", f"must be a list with at least one part, got {kind_of(parts)}")
    return [_part(part, number) for number, part in enumerate(cast("list[Any]", parts))]


def _part(part: Any, number: int) -> _Part:
    text = cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else None
    # Before all else, since there may be very many.
    if isinstance(text, str):
        return _Part("text", text)
    return _other_part(part, f"message.parts[{number}]")


def _other_part(part: Any, at: str) -> _Part:
    match part:
        case {"data": value}:
            return _Part("data", _unwrapped(value, cast("dict[str, Any]", part).get("metadata")))
        case {"kind": "file", "file": dict()}:
            return _file(
                _object(cast("dict[str, Any]", part), "file"),
                f"{at}.file",
                ("uri", "bytes"),
                "mimeType",
            )
        case {"url": str()} | {"raw": str()}:
            return _file(cast("dict[str, Any]", part), at, ("url", "raw"), "mediaType")
        case _:
            raise wrong(at, "must have one of `text`, `data`, `url`, `raw` (0.3: `file`)")


def _file(file: dict[str, Any], at: str, names: tuple[str, str], type_name: str) -> _Part:
    media_type = _optional_text(file, type_name, at)
    filename = _optional_text(file, "filename" if type_name == "mediaType" else "name", at)
    url, raw = file.get(names[0]), file.get(names[1])
    if isinstance(url, str):
        return _Part("url", url, media_type, filename)
    if not isinstance(raw, str):
        raise wrong(at, f"must have `{names[0]}` or `{names[1]}`")
    try:
        b64decode(raw, validate=True)
    except (Base64Error, ValueError):
        raise wrong(f"{at}.{names[1]}", "must be Base64") from None
    return _Part("raw", raw, media_type, filename)


def _unwrapped(value: Any, metadata: Any) -> Any:
    """Return data of 0.3 that was no object before a client that knows both has made it one."""
    match metadata, value:
        case {"data_part_compat": True}, {"value": inner}:
            return inner
        case _:
            return value


def _answer(parts: list[_Part]) -> Any:
    match parts:
        case [_Part(kind="data", value=value)]:
            return value
        case _ if all(part.kind == "text" for part in parts):
            return "".join(part.value for part in parts)
        case _:
            says = "message.parts: an answer is texts, or one part with `data`"
            raise RefusedError(Kind.CONTENT_TYPE, says)


def _modes(configuration: dict[str, Any]) -> Modes:
    given: Any = _field(configuration, "acceptedOutputModes")
    if given is None or given == []:
        return ALL_MODES
    at = "configuration.acceptedOutputModes"
    if not isinstance(given, list):
        raise wrong(at, f"must be a list of media types, got {kind_of(given)}")
    # Some call them by the kinds of parts.
    kinds = {str(one).partition(";")[0].strip().lower() for one in cast("list[Any]", given)}
    modes = Modes(
        text=bool(kinds & {"text/plain", "text/*", "*/*", "text", "text/markdown"}),
        data=bool(kinds & {"application/json", "application/*", "*/*", "data"}),
    )
    if not any(modes):
        says = f"{at}: must have text/plain or application/json, which this agent writes"
        raise RefusedError(Kind.CONTENT_TYPE, says)
    return modes


def _at_once(configuration: dict[str, Any], *, legacy: bool) -> bool:
    name = "blocking" if legacy else "returnImmediately"
    given: Any = _field(configuration, name)
    if given is None:
        return False
    if not isinstance(given, bool):
        raise wrong(f"configuration.{name}", f"must be true or false, got {kind_of(given)}")
    return not given if legacy else given


def _history(given: dict[str, Any]) -> None:
    """No history is kept, so any length is right that is one."""
    length: Any = _field(given, "historyLength")
    if length is not None and (isinstance(length, bool) or not _is_count(length)):
        raise wrong("historyLength", "must be a whole number, 0 or more")


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and value >= 0 and value % 1 == 0


def _list(params: dict[str, Any], words: Words) -> ListAll:
    size: Any = _field(params, "pageSize")
    is_number = not isinstance(size, bool) and _is_count(size)
    if size is not None and not (is_number and 1 <= size <= MAX_PAGE):
        raise wrong("pageSize", f"must be a whole number from 1 to {MAX_PAGE}")
    _history(params)
    artifacts: Any = _field(params, "includeArtifacts")
    if not isinstance(artifacts, bool | None):
        raise wrong("includeArtifacts", f"must be true or false, got {kind_of(artifacts)}")
    return ListAll(
        words=words,
        limit=int(size or DEFAULT_PAGE),
        token=_optional_text(params, "pageToken"),
        state=_state(_optional_text(params, "status")),
        thread_id=_optional_text(params, "contextId"),
        after=_seconds(_optional_text(params, "statusTimestampAfter")),
        artifacts=bool(artifacts),
    )


def _state(name: str | None) -> State | None:
    if name is None or name == "TASK_STATE_UNSPECIFIED":
        return None
    found = {f"TASK_STATE_{state.name}": state for state in State}
    if name not in found:
        raise wrong("status", f"must be one of {', '.join(found)}")
    return found[name]


def _seconds(time: str | None) -> float | None:
    if time is None:
        return None
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise wrong("statusTimestampAfter", "must be a time such as 2026-11-29T12:00:00Z")
    return moment.timestamp()


def _field(given: dict[str, Any], name: str) -> Any:
    """Return a field by either of the names that the JSON of Protocol Buffers has for it."""
    if name in given:
        return given[name]
    return given.get("".join(f"_{char.lower()}" if char.isupper() else char for char in name))


def _object(given: dict[str, Any], name: str, *, required: bool = False) -> dict[str, Any]:
    value: Any = _field(given, name)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        raise wrong(name, f"must be an object, got {kind_of(value)}")
    return cast("dict[str, Any]", value)


def _text(given: dict[str, Any], name: str, within: str = "") -> str:
    value = _optional_text(given, name, within)
    if value is None:
        raise wrong(f"{within}.{name}".lstrip("."), "must be a string with at least one character")
    return value


def _optional_text(given: dict[str, Any], name: str, within: str = "") -> str | None:
    """Return a text, None for an empty one: Protocol Buffers know no difference."""
    value: Any = _field(given, name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise wrong(f"{within}.{name}".lstrip("."), f"must be a string, got {kind_of(value)}")
    return value
