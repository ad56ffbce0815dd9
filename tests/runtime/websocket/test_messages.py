"""What callers say: read as it is meant, or refused with what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.errors import AuthError, RateLimitError, ShuttingDownError, ValidationError
from dockrion.runtime.websocket import messages
from dockrion.runtime.websocket.messages import (
    AnswerMessage,
    AuthenticateMessage,
    CancelMessage,
    FollowMessage,
    PingMessage,
    RunMessage,
    UnfollowMessage,
    UnreadableError,
    read,
)

READ: list[tuple[dict[str, Any], Any]] = [
    (
        {"type": "run", "payload": None},
        RunMessage(id=None, payload=None, run_id=None, thread_id=None),
    ),
    (
        {"type": "run", "id": "a", "payload": {"q": 1}, "run_id": "r-1", "thread_id": "t 1"},
        RunMessage(id="a", payload={"q": 1}, run_id="r-1", thread_id="t 1"),
    ),
    ({"type": "follow", "run_id": "r"}, FollowMessage(id=None, run_id="r", after=-1)),
    ({"type": "follow", "run_id": "r", "after": 7}, FollowMessage(id=None, run_id="r", after=7)),
    ({"type": "unfollow", "run_id": "r"}, UnfollowMessage(id=None, run_id="r")),
    ({"type": "cancel", "run_id": "r"}, CancelMessage(id=None, run_id="r", reason=None)),
    (
        {"type": "cancel", "run_id": "r", "reason": "é"},
        CancelMessage(id=None, run_id="r", reason="é"),
    ),
    (
        {"type": "answer", "run_id": "r", "answer": None},
        AnswerMessage(id=None, run_id="r", answer=None),
    ),
    (
        {"type": "authenticate", "api_key": "k"},
        AuthenticateMessage(id=None, api_key="k", token=None),
    ),
    (
        {"type": "authenticate", "token": "t"},
        AuthenticateMessage(id=None, api_key=None, token="t"),
    ),
    ({"type": "ping", "id": None}, PingMessage(id=None)),
]


@pytest.mark.parametrize(("said", "asked"), READ)
def test_a_message_is_read(said: dict[str, Any], asked: Any) -> None:
    assert read(json.dumps(said)) == asked


WRONG: list[tuple[Any, str, str]] = [
    ([], "", "The message must be an object with a `type`."),
    (
        {},
        "/type",
        "type: must be one of run, follow, unfollow, cancel, answer, authenticate, ping; it is missing.",
    ),
    ({"type": "Run"}, "/type", "it is 'Run'."),
    ({"type": 1}, "/type", "got a value of type number"),
    ({"type": "run"}, "/payload", "payload: is missing."),
    ({"type": "run", "payload": 1, "run_id": "a b"}, "/run_id", "got 'a b'"),
    ({"type": "run", "payload": 1, "run_id": 7}, "/run_id", "got a value of type number"),
    (
        {"type": "run", "payload": 1, "thread_id": "\n"},
        "/thread_id",
        "1 to 256 printable characters",
    ),
    (
        {"type": "run", "payload": 1, "threadId": "x"},
        "",
        "has no field 'threadId'; it may have id, payload, run_id, thread_id, type.",
    ),
    ({"type": "follow"}, "/run_id", "run_id: is missing."),
    ({"type": "follow", "run_id": "r", "after": "1"}, "/after", "the sequence of the last event"),
    ({"type": "follow", "run_id": "r", "after": True}, "/after", "the sequence of the last event"),
    ({"type": "follow", "run_id": "r", "after": -2}, "/after", "the sequence of the last event"),
    (
        {"type": "follow", "run_id": "r", "after": 10**18},
        "/after",
        "the sequence of the last event",
    ),
    ({"type": "cancel", "run_id": "r", "reason": "x" * 501}, "/reason", "at most 500 printable"),
    ({"type": "answer", "run_id": "r"}, "/answer", "answer: is missing."),
    ({"type": "authenticate"}, "", "must have one of api_key and token."),
    ({"type": "authenticate", "token": "a", "api_key": "b"}, "", "must have one of"),
    ({"type": "authenticate", "token": "x" * 16_385}, "/token", "at most 16384 characters."),
    ({"type": "ping", "id": ""}, "/id", "id: must be 1 to 128 printable characters, got ''"),
    ({"type": "ping", "id": "x" * 129}, "/id", "1 to 128 printable characters"),
]


@pytest.mark.parametrize(("said", "pointer", "sentence"), WRONG)
def test_what_is_wrong_is_said_with_its_place(said: Any, pointer: str, sentence: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(json.dumps(said))
    assert sentence in caught.value.message
    [detail] = caught.value.details
    assert detail["pointer"] == pointer


def test_a_refusal_carries_the_id_that_its_message_has() -> None:
    for said in ({"id": "a"}, {"id": "a", "type": "x"}, {"id": "a", "type": "run"}):
        with pytest.raises(UnreadableError) as caught:
            read(json.dumps(said))
        assert caught.value.id == "a"


def test_credentials_are_not_repeated() -> None:
    with pytest.raises(UnreadableError) as caught:
        read(json.dumps({"type": "authenticate", "api_key": ["my-secret-key"]}))
    assert "my-secret-key" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "NaN",
        '{"type":NaN}',
        '{"type":"ping"} x',
        "\ud800",
        '"\\ud800"',
        "[" * 200 + "]" * 200,
    ],
)
def test_what_is_not_strict_json_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        read(text)


def test_a_payload_may_be_as_deep_as_a_body() -> None:
    deep = "[" * 128 + "]" * 128
    assert isinstance(read(f'{{"type":"run","payload":{deep}}}'), RunMessage)
    with pytest.raises(UnreadableError):
        read(f'{{"type":"run","payload":[{deep}]}}')


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "type",
        "id",
        "payload",
        "run_id",
        "thread_id",
        "after",
        "answer",
        "reason",
        "token",
        "api_key",
        "x",
    ]
)
types = st.sampled_from(["run", "follow", "cancel", "answer", "authenticate", "ping", "", "x"])


@given(st.dictionaries(names, json_data | types, max_size=6) | json_data | st.text())
def test_any_message_is_read_or_refused(said: Any) -> None:
    text = said if isinstance(said, str) else json.dumps(said)
    refusal: UnreadableError | None = None
    try:
        read(text)
    except UnreadableError as exc:
        refusal = exc
    if refusal is not None:
        said_back = json.loads(messages.refused(refusal.id, refusal, request_id=b"r"))
        assert said_back["code"] == "VALIDATION_ERROR"
        assert said_back["error"]


def test_refusals_say_when_to_come_back() -> None:
    later = RateLimitError("Too many.", retry_after=7)
    assert json.loads(messages.refused("a", later, request_id=b"r", run_id="x")) == {
        "type": "refused",
        "id": "a",
        "status": 429,
        "code": "RATE_LIMIT_EXCEEDED",
        "error": "Too many.",
        "details": None,
        "request_id": "r",
        "run_id": "x",
        "retry_after": 7,
    }
    assert (
        json.loads(messages.refused(None, ShuttingDownError("x"), request_id=b"r"))["retry_after"]
        == 5
    )
    for error in (AuthError("x"), ValidationError("x")):
        assert "retry_after" not in json.loads(messages.refused(None, error, request_id=b"r"))
