"""A2A: what `POST /a2a` takes, in the words of 1.0 and of 0.3. https://a2a-protocol.org/latest/specification"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, cast

import msgspec

from dockrion.errors import ValidationError
from dockrion.wires.a2a.artifacts import ALL_MODES, Modes
from dockrion.wires.a2a.fields import field_of, object_of, optional_text_of, text_of
from dockrion.wires.a2a.parts import Part, answer_in, parts_of
from dockrion.wires.a2a.rpc import Kind, RefusedError, RpcRequest
from dockrion.wires.a2a.tasks import A2aWire, Known
from dockrion.wires.a2a.words import State, Words
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, kind_of, wrong

PATH: Final = "/a2a"
MAX_PAGE: Final = 100
DEFAULT_PAGE: Final = 50
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
                return Get(words, text_of(params, "id"))
            case "cancel":
                return Cancel(words, text_of(params, "id"))
            case "subscribe":
                return Subscribe(words, text_of(params, "id"))
            case "list":
                return _list(params, words)
            case _:
                raise _refused_method(rpc.method)

    def read_again(self, rpc: RpcRequest) -> Send:
        """Return the call of a caller who comes back to a stream; it must not be refused for what it says."""
        words = Words(legacy=rpc.legacy, request_id=rpc.id)
        try:
            modes = _modes(object_of(rpc.params, "configuration"))
        except ValidationError:
            modes = ALL_MODES
        return Send(chat=self._chat, words=words, modes=modes)

    def _send(self, params: dict[str, Any], words: Words, *, streams: bool) -> Send:
        message = object_of(params, "message", required=True)
        configuration = object_of(params, "configuration")
        for name in ("taskPushNotificationConfig", "pushNotificationConfig"):
            if field_of(configuration, name) is not None:
                raise RefusedError(Kind.NO_PUSH, _PUSH)
        _history(configuration)
        task_id = optional_text_of(message, "taskId", "message")
        parts = parts_of(message)
        return Send(
            chat=self._chat,
            words=words,
            payload=answer_in(parts) if task_id else self._payload(parts),
            streams=streams,
            at_once=_at_once(configuration, legacy=words.legacy) and not streams,
            task_id=task_id,
            thread_id=optional_text_of(message, "contextId", "message"),
            modes=_modes(configuration),
        )

    def _payload(self, parts: list[Part]) -> Any:
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


def _refused_method(method: str) -> RefusedError:
    if method in _OF_PUSH:
        return RefusedError(Kind.NO_PUSH, _PUSH)
    if method in _OF_CARDS:
        return RefusedError(Kind.UNSUPPORTED, _NO_MORE_OF_A_CARD)
    return RefusedError(Kind.METHOD, f"There is no method {method[:80]!r}.")


def _modes(configuration: dict[str, Any]) -> Modes:
    given: Any = field_of(configuration, "acceptedOutputModes")
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
    given: Any = field_of(configuration, name)
    if given is None:
        return False
    if not isinstance(given, bool):
        raise wrong(f"configuration.{name}", f"must be true or false, got {kind_of(given)}")
    return not given if legacy else given


def _history(given: dict[str, Any]) -> None:
    """No history is kept, so any length is right that is one."""
    length: Any = field_of(given, "historyLength")
    if length is not None and (isinstance(length, bool) or not _is_count(length)):
        raise wrong("historyLength", "must be a whole number, 0 or more")


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and value >= 0 and value % 1 == 0


def _list(params: dict[str, Any], words: Words) -> ListAll:
    size: Any = field_of(params, "pageSize")
    is_number = not isinstance(size, bool) and _is_count(size)
    if size is not None and not (is_number and 1 <= size <= MAX_PAGE):
        raise wrong("pageSize", f"must be a whole number from 1 to {MAX_PAGE}")
    _history(params)
    artifacts: Any = field_of(params, "includeArtifacts")
    if not isinstance(artifacts, bool | None):
        raise wrong("includeArtifacts", f"must be true or false, got {kind_of(artifacts)}")
    return ListAll(
        words=words,
        limit=int(size or DEFAULT_PAGE),
        token=optional_text_of(params, "pageToken"),
        state=_state(optional_text_of(params, "status")),
        thread_id=optional_text_of(params, "contextId"),
        after=_seconds(optional_text_of(params, "statusTimestampAfter")),
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
