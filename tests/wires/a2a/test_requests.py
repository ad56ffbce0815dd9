"""What A2A's methods take, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from dockrion.errors import (
    AuthError,
    DockrionError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    ServiceUnavailableError,
    ValidationError,
)
from dockrion.wires.a2a.artifacts import Modes
from dockrion.wires.a2a.requests import A2a, Cancel, Get, ListAll, Send, Subscribe, methods
from dockrion.wires.a2a.rpc import (
    Kind,
    RefusedError,
    RpcRequest,
    check_version,
    error_answer,
    http_status,
    id_of,
    kind_of_error,
    read_rpc,
)
from dockrion.wires.a2a.words import State
from tests.wires.changing import changed
from tests.wires.kit import chat_of

TEXT = [{"text": "hi"}]
# What takes a text, what takes whole messages, and what takes neither.
QUERY = {"input": {"properties": {"query": {"type": "string"}}, "required": ["query"]}}
NUMBERS = {
    "input": {"properties": {"a": {"type": "number"}, "b": {}}, "required": ["a", "b"]},
}


def message(parts: Any = None, **more: Any) -> dict[str, Any]:
    given = TEXT if parts is None else parts
    return {"messageId": "m", "role": "ROLE_USER", "parts": given, **more}


def asked(method: str, params: dict[str, Any], schema: Any = None) -> Any:
    chat = chat_of(expose={"protocols": ["a2a"]}, io_schema=schema or {})
    return A2a(chat).read(RpcRequest(1, method, params))


def sent(parts: Any, schema: Any = None, **more: Any) -> Send:
    return asked("SendMessage", {"message": message(parts, **more)}, schema)


def refused(method: str, params: dict[str, Any], schema: Any = None) -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        asked(method, params, schema)
    return raised.value


# JSON-RPC


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ([], Kind.REQUEST),
        ("x", Kind.REQUEST),
        ({"method": "GetTask"}, Kind.REQUEST),
        ({"jsonrpc": "1.0", "method": "GetTask"}, Kind.REQUEST),
        ({"jsonrpc": "2.0"}, Kind.REQUEST),
        ({"jsonrpc": "2.0", "method": 1}, Kind.REQUEST),
        ({"jsonrpc": "2.0", "method": "GetTask", "id": True}, Kind.REQUEST),
        ({"jsonrpc": "2.0", "method": "GetTask", "id": {}}, Kind.REQUEST),
        ({"jsonrpc": "2.0", "method": "GetTask", "id": "x" * 257}, Kind.REQUEST),
        ({"jsonrpc": "2.0", "method": "GetTask", "params": []}, Kind.PARAMS),
    ],
)
def test_what_is_no_request_is_refused(body: Any, kind: Kind) -> None:
    with pytest.raises(RefusedError) as raised:
        read_rpc(body)
    assert raised.value.kind is kind


@pytest.mark.parametrize(("given", "known"), [("a", "a"), (1.5, 1.5), (None, None), (True, None)])
def test_an_id_is_said_again_where_it_can_be(given: Any, known: Any) -> None:
    assert id_of({"id": given}) == known


@pytest.mark.parametrize("version", ["", "1.0", "1.0.1", "1", "0.3", "0.3.0", None])
def test_versions_that_are_spoken(version: str | None) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["1.1", "1.2.0", "2.0", "0.2", "0.30", "10.0", "x"])
def test_versions_that_are_not(version: str) -> None:
    with pytest.raises(RefusedError, match=r"speaks 1\.0 and 0\.3"):
        check_version(version)


@pytest.mark.parametrize(
    ("error", "number", "status"),
    [
        (ValidationError("x", details=[{"type": "invalid_json"}]), -32700, 200),
        (ValidationError("x"), -32602, 200),
        (NotFoundError("x"), -32001, 200),
        (RefusedError(Kind.NO_PUSH, "x"), -32003, 200),
        (AuthError("x"), -32000, 401),
        (RateLimitError("x"), -32000, 429),
        (ServiceUnavailableError("x"), -32000, 503),
        (PayloadTooLargeError("x"), -32600, 413),
        (DockrionError("x"), -32603, 200),
    ],
)
def test_errors_have_their_number_and_their_status(
    error: DockrionError, number: int, status: int
) -> None:
    body = error_answer("q", error)
    assert (body["id"], body["error"]["code"], http_status(error)) == ("q", number, status)
    assert body["error"]["data"][0]["metadata"] == {"code": error.code}


def test_an_error_names_the_fields_that_are_wrong() -> None:
    error = refused("SendMessage", {"message": message([])})
    _, fields = error_answer(1, error)["error"]["data"]
    [violation] = fields["fieldViolations"]
    assert violation["field"] == "message.parts"


# Methods


@pytest.mark.parametrize(
    ("method", "kind"),
    [("GetTask", Get), ("tasks/get", Get), ("CancelTask", Cancel), ("tasks/cancel", Cancel)],
)
def test_tasks_are_named_by_their_id(method: str, kind: type[Any]) -> None:
    read = asked(method, {"id": "t"})
    assert (type(read), read.task_id, read.words.legacy) == (kind, "t", "/" in method)
    assert kind_of_error(refused(method, {})) is Kind.PARAMS


@pytest.mark.parametrize("method", ["SubscribeToTask", "tasks/resubscribe"])
def test_tasks_are_subscribed_to(method: str) -> None:
    assert isinstance(asked(method, {"id": "t"}), Subscribe)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("CreateTaskPushNotificationConfig", Kind.NO_PUSH),
        ("GetTaskPushNotificationConfig", Kind.NO_PUSH),
        ("ListTaskPushNotificationConfigs", Kind.NO_PUSH),
        ("DeleteTaskPushNotificationConfig", Kind.NO_PUSH),
        ("tasks/pushNotificationConfig/set", Kind.NO_PUSH),
        ("GetExtendedAgentCard", Kind.UNSUPPORTED),
        ("agent/getAuthenticatedExtendedCard", Kind.UNSUPPORTED),
        ("tasks/list", Kind.METHOD),
        ("getTask", Kind.METHOD),
    ],
)
def test_what_is_not_there_has_its_own_error(method: str, kind: Kind) -> None:
    assert kind_of_error(refused(method, {})) is kind


@pytest.mark.parametrize(
    ("method", "configuration", "streams", "at_once"),
    [
        ("SendMessage", {}, False, False),
        ("SendMessage", {"returnImmediately": True}, False, True),
        ("SendMessage", {"return_immediately": True}, False, True),
        ("SendMessage", {"blocking": False}, False, False),
        ("SendStreamingMessage", {"returnImmediately": True}, True, False),
        ("message/send", {}, False, False),
        ("message/send", {"blocking": False}, False, True),
        ("message/send", {"blocking": True}, False, False),
        ("message/stream", {"blocking": False}, True, False),
    ],
)
def test_who_waits_for_what(
    method: str, configuration: dict[str, Any], streams: bool, at_once: bool
) -> None:
    read = asked(method, {"message": message(), "configuration": configuration})
    assert (read.streams, read.at_once) == (streams, at_once)


@pytest.mark.parametrize(
    ("given", "modes"),
    [
        ([], Modes()),
        (["text/plain"], Modes(data=False)),
        (["application/json"], Modes(text=False)),
        (["text/*", "image/png"], Modes(data=False)),
        (["*/*"], Modes()),
        (["text"], Modes(data=False)),
    ],
)
def test_clients_say_what_they_take(given: list[str], modes: Modes) -> None:
    configuration = {"acceptedOutputModes": given}
    read = asked("SendMessage", {"message": message(), "configuration": configuration})
    assert read.modes == modes


@pytest.mark.parametrize(
    ("configuration", "kind"),
    [
        ({"acceptedOutputModes": ["image/png"]}, Kind.CONTENT_TYPE),
        ({"acceptedOutputModes": "text/plain"}, Kind.PARAMS),
        ({"taskPushNotificationConfig": {"url": "http://x"}}, Kind.NO_PUSH),
        ({"pushNotificationConfig": {}}, Kind.NO_PUSH),
        ({"historyLength": -1}, Kind.PARAMS),
        ({"historyLength": float("inf")}, Kind.PARAMS),
        ({"historyLength": "3"}, Kind.PARAMS),
        ({"returnImmediately": "yes"}, Kind.PARAMS),
        ([], Kind.PARAMS),
    ],
)
def test_what_cannot_be_configured(configuration: Any, kind: Kind) -> None:
    error = refused("SendMessage", {"message": message(), "configuration": configuration})
    assert kind_of_error(error) is kind


# Anything

GOOD: list[dict[str, Any]] = [
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": method,
        "params": {
            "id": "t",
            "message": message([part], contextId="c", metadata={}),
            "configuration": {"acceptedOutputModes": ["text/plain"], "historyLength": 1},
            "pageSize": 1,
            "pageToken": "1.x",
            "status": "TASK_STATE_WORKING",
            "statusTimestampAfter": "2026-11-29T12:00:00Z",
        },
    }
    for method in methods()
    for part in (
        {"text": "hi"},
        {"data": {"value": 1}, "metadata": {"data_part_compat": True}},
        {"raw": "aGk=", "mediaType": "image/png", "filename": "a"},
        {"kind": "file", "file": {"uri": "u", "mimeType": "a/b", "name": "n"}},
    )
]


@settings(deadline=None, max_examples=300)
@given(given_body=changed(GOOD))
def test_whatever_a_request_has_in_one_place_it_is_read_or_refused(given_body: Any) -> None:
    error = None
    try:
        rpc = read_rpc(given_body)
        A2a(chat_of()).read_again(rpc)
        A2a(chat_of()).read(rpc)
    except ValidationError as refused:
        error = error_answer(id_of(given_body), refused)["error"]
    assert error is None or (error["code"] < -32000 and error["message"])


# Messages


@pytest.mark.parametrize(
    ("parts", "schema", "payload"),
    [
        (TEXT, {}, {"messages": [{"role": "user", "content": "hi"}]}),
        (TEXT, QUERY, {"query": "hi"}),
        (TEXT, {"input": {"type": "string"}}, "hi"),
        ([{"text": "a"}, {"text": "b"}], QUERY, {"query": "ab"}),
        ([{"kind": "text", "text": "hi"}], QUERY, {"query": "hi"}),
        ([{"data": {"a": 1, "b": 2}}], NUMBERS, {"a": 1, "b": 2}),
        ([{"kind": "data", "data": {"query": "x"}}], QUERY, {"query": "x"}),
        ([{"data": None}], {}, None),
    ],
)
def test_what_the_agent_gets(parts: Any, schema: Any, payload: Any) -> None:
    assert sent(parts, schema).payload == payload


def test_data_that_was_wrapped_for_0_3_is_unwrapped() -> None:
    part = {"kind": "data", "data": {"value": [1]}, "metadata": {"data_part_compat": True}}
    assert sent([part]).payload == [1]


def test_files_and_data_come_beside_the_text_as_agents_know_them_from_chats() -> None:
    parts = [
        {"text": "see"},
        {"data": {"n": 1}},
        {"url": "https://a.example/p.png", "mediaType": "image/png"},
        {"raw": "aGk=", "mediaType": "image/gif"},
        {"raw": "aGk=", "mediaType": "application/pdf", "filename": "a.pdf"},
        {"kind": "file", "file": {"uri": "https://a.example/b", "name": "b"}},
    ]
    [said] = sent(parts).payload["messages"]
    assert said["content"] == [
        {"type": "text", "text": "see"},
        {"type": "text", "text": '{"n":1}'},
        {"type": "image_url", "image_url": {"url": "https://a.example/p.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,aGk="}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        },
        {"type": "file", "file": {"filename": "b", "file_url": "https://a.example/b"}},
    ]


@pytest.mark.parametrize(
    ("given", "schema", "kind"),
    [
        (message([{"url": "https://a.example"}]), QUERY, Kind.CONTENT_TYPE),
        (message([{"text": "a"}, {"data": {}}]), QUERY, Kind.CONTENT_TYPE),
        (message(), NUMBERS, Kind.CONTENT_TYPE),
        (message([]), {}, Kind.PARAMS),
        (message([{}]), {}, Kind.PARAMS),
        (message(["hi"]), {}, Kind.PARAMS),
        (message([{"text": 1}]), {}, Kind.PARAMS),
        (message([{"raw": "not base64!"}]), {}, Kind.PARAMS),
        (message([{"kind": "file", "file": {}}]), {}, Kind.PARAMS),
        (message([{"kind": "file", "file": 1}]), {}, Kind.PARAMS),
        (message(role="ROLE_AGENT"), {}, Kind.PARAMS),
        (message(role=["user"]), {}, Kind.PARAMS),
        (message(role=True), {}, Kind.PARAMS),
        (message(messageId=""), {}, Kind.PARAMS),
        (message(contextId=1), {}, Kind.PARAMS),
        (message(taskId=[]), {}, Kind.PARAMS),
        ("hi", {}, Kind.PARAMS),
        (None, {}, Kind.PARAMS),
    ],
)
def test_messages_that_are_refused(given: Any, schema: Any, kind: Kind) -> None:
    assert kind_of_error(refused("SendMessage", {"message": given}, schema)) is kind


@pytest.mark.parametrize(
    ("parts", "answer"),
    [(TEXT, "hi"), ([{"text": "a"}, {"text": "b"}], "ab"), ([{"data": {"i": True}}], {"i": True})],
)
def test_a_message_for_a_task_is_an_answer(parts: Any, answer: Any) -> None:
    read = sent(parts, NUMBERS, taskId="t", contextId="c")
    assert (read.payload, read.task_id, read.thread_id, read.is_input) == (answer, "t", "c", False)


def test_an_answer_is_no_file() -> None:
    given = {"message": message([{"url": "https://a.example"}], taskId="t")}
    assert kind_of_error(refused("SendMessage", given)) is Kind.CONTENT_TYPE


# Lists


def test_lists_have_bounds() -> None:
    read = asked("ListTasks", {})
    assert isinstance(read, ListAll)
    assert (read.limit, read.token, read.state, read.artifacts) == (50, None, None, False)


def test_lists_are_filtered() -> None:
    given = {
        "pageSize": 2,
        "pageToken": "2.x",
        "status": "TASK_STATE_INPUT_REQUIRED",
        "contextId": "c",
        "statusTimestampAfter": "1970-01-01T00:00:05Z",
        "includeArtifacts": True,
    }
    read = asked("ListTasks", given)
    assert (read.limit, read.token, read.thread_id, read.after) == (2, "2.x", "c", 5.0)
    assert (read.state, read.artifacts) == (State.INPUT_REQUIRED, True)


@pytest.mark.parametrize(
    "given",
    [
        {"pageSize": 101},
        {"pageSize": -1},
        {"pageSize": 0},
        {"pageSize": "2"},
        {"pageToken": 1},
        {"status": "working"},
        {"contextId": {}},
        {"statusTimestampAfter": "yesterday"},
        {"statusTimestampAfter": "2026-11-29T12:00:00"},
        {"includeArtifacts": 1},
        {"historyLength": -1},
    ],
)
def test_lists_that_are_refused(given: dict[str, Any]) -> None:
    assert kind_of_error(refused("ListTasks", given)) is Kind.PARAMS


def test_who_comes_back_is_not_refused_for_what_they_say() -> None:
    again = A2a(chat_of()).read_again(RpcRequest(7, "message/stream", {"configuration": 1}))
    assert (again.words.legacy, again.words.request_id, again.modes) == (True, 7, Modes())
