"""Calls that are no streams: what is sent, what comes back, what is tried again, and what is never."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from dockrion.client import AsyncClient, Client
from dockrion.errors import (
    AgentExecutionError,
    AuthError,
    ConflictError,
    DockrionError,
    MethodNotAllowedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RunTimeoutError,
    ServiceUnavailableError,
    UnexpectedAnswerError,
    ValidationError,
)
from tests.client.scripted import CUT, RUN, Reply, Script, answer, refusal

pytestmark = pytest.mark.usefixtures("at_once")
OUTPUT = {"success": True, "output": {"x": 1}, "metadata": {"agent": "a"}}
ACCEPTED = {"run_id": RUN, "status": "ACCEPTED", "events_url": "/x", "created_at": "2026"}
REFUSED = httpx2.ConnectError("refused")


def client(
    *replies: Reply | Exception, url: str = "http://a", **options: Any
) -> tuple[Client, Script]:
    script = Script(*replies)
    return Client(url, transport=script, **options), script


def test_an_invocation_gives_its_run() -> None:
    one, script = client(answer(200, OUTPUT, x_run_id=RUN))
    run = one.invoke({"query": "é"}, thread_id="t 1")
    assert (run.run_id, run.status, run.result()) == (RUN, "COMPLETED", {"x": 1})
    [request] = script.requests
    assert str(request.url) == "http://a/invoke?thread_id=t+1"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == {"query": "é"}
    assert script.closed == 1


def test_an_invocation_that_asks_gives_its_questions() -> None:
    asked = {"status": "INTERRUPTED", "interrupts": [{"interrupt_id": "i", "value": "?"}]}
    one, script = client(
        answer(202, {"success": True, **asked, "metadata": {}}, x_run_id=RUN),
        answer(202, ACCEPTED),
        answer(202, ACCEPTED),
    )
    run = one.invoke({})
    assert run.status == "INTERRUPTED"
    with pytest.raises(ConflictError, match="waits for an answer"):
        run.result()
    one.runs.resume(RUN, "yes")
    one.runs.resume(RUN, "yes", interrupt_id=run.interrupts[0].interrupt_id)
    assert script.asked[1:] == ["POST /runs/r-1/resume"] * 2
    assert [json.loads(request.content) for request in script.requests[1:]] == ["yes", {"i": "yes"}]


@pytest.mark.parametrize(
    "url",
    [
        "http://a/x",
        "http://a/x/",
        "http://a/x/invoke",
        "http://a/x/invoke/stream/",
        "http://a/x/runs",
    ],
)
def test_the_url_may_be_that_of_a_request(url: str) -> None:
    one, script = client(answer(200, OUTPUT), url=url)
    one.invoke({})
    assert script.asked == ["POST /x/invoke"]
    assert one.url == "http://a/x"


@pytest.mark.parametrize(
    "url", ["a", "localhost:8080", "ftp://a", "http://", "http://a/?x=1", "http://a:port", ""]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"^url: "):
        Client(url)


def test_credentials_go_with_each_request_and_show_nowhere() -> None:
    one, script = client(
        answer(200, OUTPUT),
        url="http://me:pass-word@a",
        api_key="key-é",
        api_key_header="X-My-Key",
        headers={"X-Other": "o"},
    )
    one.invoke({})
    headers = script.requests[0].headers
    assert headers.raw.count((b"X-My-Key", "key-é".encode())) == 1
    assert headers["x-other"] == "o"
    assert "pass-word" not in repr(one) + one.url
    bearer, script = client(answer(200, OUTPUT), token="t", headers={"user-agent": "mine"})
    bearer.invoke({})
    assert script.requests[0].headers["authorization"] == "Bearer t"
    assert script.requests[0].headers.get_list("user-agent") == ["mine"]


@pytest.mark.parametrize(
    "options", [{"api_key": "a\nb"}, {"token": "a\nb"}, {"headers": {"X": "a\nb"}}]
)
def test_credentials_that_cannot_be_sent_are_refused_without_being_shown(
    options: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError) as caught:
        Client("http://a", **options)
    assert "a\nb" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (refusal(400, "VALIDATION_ERROR"), ValidationError, "No."),
        (answer(401, {"detail": {"message": "Who?", "code": "AUTH_ERROR"}}), AuthError, "Who?"),
        (
            answer(403, {"detail": {"message": "You?", "code": "PERMISSION_DENIED"}}),
            PermissionDeniedError,
            "You?",
        ),
        (refusal(405, "METHOD_NOT_ALLOWED"), MethodNotAllowedError, "No."),
        (refusal(500, "AGENT_EXECUTION_ERROR"), AgentExecutionError, "No."),
        (
            answer(404, b"<p>nothing", content_type="text/html; charset=x"),
            NotFoundError,
            "POST http://a/invoke answered 404, not as a dockrion server does: an HTML page",
        ),
        (
            answer(502, b"bad   gate\nway", content_type="text/plain"),
            ServiceUnavailableError,
            "POST http://a/invoke answered 502, not as a dockrion server does: 'bad gate way'",
        ),
        (
            answer(504, b""),
            RunTimeoutError,
            "POST http://a/invoke answered 504, not as a dockrion server does: an empty body",
        ),
        (
            answer(200, b"\xff\xfe"),
            UnexpectedAnswerError,
            "POST http://a/invoke answered 200 with what is no answer of a dockrion server: '\ufffd\ufffd'",
        ),
    ],
)
def test_refusals_are_errors_of_our_tree(
    reply: Reply, error: type[DockrionError], message: str
) -> None:
    one, script = client(reply)
    with pytest.raises(error) as caught:
        one.invoke({})
    assert type(caught.value) is error
    assert caught.value.message == message
    assert script.is_played()


def test_errors_keep_what_was_said_with_them() -> None:
    details = [{"pointer": "/query", "message": "m", "type": "required"}]
    body = {"success": False, "error": "No.", "code": "VALIDATION_ERROR", "details": details}
    one, _ = client(
        answer(400, body),
        answer(
            429,
            {"detail": {"message": "Slow.", "code": "RATE_LIMIT_EXCEEDED"}},
            retry_after="7",
        ),
        refusal(400, "OF_A_LATER_VERSION"),
    )
    with pytest.raises(ValidationError) as invalid:
        one.invoke({})
    assert invalid.value.details == details
    with pytest.raises(RateLimitError) as limited:
        one.invoke({})
    assert limited.value.retry_after == 7
    with pytest.raises(DockrionError) as later:
        one.invoke({})
    assert later.value.code == "OF_A_LATER_VERSION"


@pytest.mark.parametrize("failure", [CUT, httpx2.ReadTimeout("late"), answer(502, b"")])
def test_what_may_have_run_is_not_sent_again(failure: Reply | Exception) -> None:
    for call in (lambda one: one.invoke({}), lambda one: one.runs.resume(RUN, 1)):
        one, script = client(failure)
        with pytest.raises(ServiceUnavailableError):
            call(one)
        assert script.is_played()


@pytest.mark.parametrize("failure", [REFUSED, refusal(503, "OVERLOADED", retry_after="0")])
def test_what_cannot_have_run_is_sent_again(failure: Reply | Exception) -> None:
    one, script = client(failure, failure, answer(200, OUTPUT))
    assert one.invoke({}).output == {"x": 1}
    assert script.asked == ["POST /invoke"] * 3
    one, script = client(failure, failure, failure)
    with pytest.raises(ServiceUnavailableError):
        one.invoke({})
    one, script = client(failure, retries=0)
    with pytest.raises(ServiceUnavailableError):
        one.invoke({})


def test_a_server_that_wants_to_be_left_alone_for_long_is_left_alone() -> None:
    one, script = client(refusal(503, "OVERLOADED", retry_after="600"))
    with pytest.raises(ServiceUnavailableError):
        one.invoke({})
    assert script.is_played()


@pytest.mark.parametrize("failure", [CUT, REFUSED, httpx2.ReadTimeout("late"), answer(504, b"")])
@pytest.mark.parametrize(
    ("call", "good"),
    [
        (lambda one: one.runs.get(RUN), ACCEPTED),
        (lambda one: one.runs.list(), {"runs": [ACCEPTED], "next_cursor": None}),
        (lambda one: one.runs.cancel(RUN), ACCEPTED),
        (lambda one: one.runs.create({}), ACCEPTED),
    ],
    ids=["get", "list", "cancel", "create"],
)
def test_what_may_be_sent_twice_is(
    call: Callable[[Client], object], good: object, failure: Reply | Exception
) -> None:
    one, script = client(failure, failure, answer(200, good))
    call(one)
    assert len(set(script.asked)) == 1
    assert script.is_played()


def test_a_run_that_is_created_again_has_the_same_key_and_another_run_another() -> None:
    one, script = client(CUT, answer(202, ACCEPTED), answer(202, ACCEPTED), answer(202, ACCEPTED))
    assert one.runs.create({"a": 1}, run_id="mine").run_id == RUN
    one.runs.create({"a": 1})
    one.runs.create({"a": 1}, idempotency_key="order 4711")
    keys = [request.headers["idempotency-key"] for request in script.requests]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert keys[3] == "order 4711"
    assert script.asked[0] == "POST /runs?run_id=mine"


@pytest.mark.parametrize("key", ["", "a\nb"])
def test_a_key_that_is_none_is_no_run_without_one(key: str) -> None:
    """What was to be started once would be started again with each call."""
    one, script = client(answer(202, ACCEPTED))
    with pytest.raises(ValidationError, match=r"^idempotency_key: "):
        one.runs.create({"a": 1}, idempotency_key=key)
    assert not script.asked


def test_a_cancel_whose_answer_was_lost_is_no_conflict() -> None:
    one, script = client(
        CUT, refusal(400, "CONFLICT"), answer(200, {"run_id": RUN, "status": "CANCELLED"})
    )
    assert one.runs.cancel(RUN, reason="no need").status == "CANCELLED"
    assert script.asked == ["DELETE /runs/r-1?reason=no+need"] * 2 + ["GET /runs/r-1"]
    ended, _ = client(refusal(400, "CONFLICT"), answer(200, {"run_id": RUN, "status": "COMPLETED"}))
    with pytest.raises(ConflictError):
        ended.runs.cancel(RUN)


def test_runs_come_with_what_is_known_of_them() -> None:
    failed = {
        "run_id": RUN,
        "status": "FAILED",
        "error": {"code": "WORKER_LOST", "message": "lost", "details": None},
        "metadata": {"agent": "a"},
        "created_at": "2026",
        "started_at": None,
        "finished_at": None,
        "of_a_later_version": 1,
    }
    one, script = client(answer(200, failed), answer(200, {"runs": [failed], "next_cursor": "c"}))
    run = one.runs.get(RUN)
    with pytest.raises(DockrionError, match="lost") as caught:
        run.result()
    assert caught.value.code == "WORKER_LOST"
    page = one.runs.list(status="FAILED", limit=1, cursor="b")
    assert (page.runs, page.next_cursor) == ([run], "c")
    assert script.asked[1] == "GET /runs?status=FAILED&limit=1&cursor=b"


@pytest.mark.parametrize("run_id", ["", "..", "a/b", "a?b", "-a", "é", "a" * 129])
def test_an_id_that_no_run_has_leads_to_no_request(run_id: str) -> None:
    one, script = client()
    for call in (one.runs.get, one.runs.cancel, one.runs.events):
        with pytest.raises(ValidationError, match=r"^run_id: "):
            call(run_id)
    assert script.asked == []


@pytest.mark.parametrize(
    ("first", "location", "second"),
    [
        (307, "/b/invoke", "http://a/b/invoke"),
        (308, "https://a/invoke", "https://a/invoke"),
    ],
)
def test_a_redirect_to_the_same_host_is_followed_with_the_key(
    first: int, location: str, second: str
) -> None:
    one, script = client(answer(first, b"", location=location), answer(200, OUTPUT), api_key="k")
    assert one.invoke({"q": 1}).output == {"x": 1}
    assert str(script.requests[1].url) == second
    assert script.requests[1].headers["x-api-key"] == "k"
    assert script.requests[1].content == script.requests[0].content


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (307, "http://b/invoke"),
        (307, "http://a:81/invoke"),
        (308, "https://b/invoke"),
        (307, "//b/invoke"),
        (302, "/login"),
        (301, "https://a/invoke"),
        (303, "/other"),
    ],
)
def test_no_other_redirect_is_followed_so_no_key_goes_to_another_host(
    status: int, location: str
) -> None:
    one, script = client(answer(status, b"", location=location), api_key="k")
    with pytest.raises(UnexpectedAnswerError, match="redirects to"):
        one.invoke({})
    assert len(script.requests) == 1


def test_redirects_in_a_circle_end() -> None:
    one, script = client(*[answer(307, b"", location="/invoke")] * 6)
    with pytest.raises(UnexpectedAnswerError, match="redirects to"):
        one.invoke({})
    assert script.is_played()


@pytest.mark.parametrize(
    "option",
    [
        {"timeout": 0},
        {"connect_timeout": -1},
        {"idle_timeout": 0},
        {"retries": -1},
        {"reconnect_seconds": -1},
        {"api_key_header": "a b"},
        {"timeout": float("nan")},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused_by_name(option: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"^{next(iter(option))}: "):
        Client("http://a", **option)


@pytest.mark.parametrize("last", ["r-1", "r-1:x", "7", "r-1:1 "])
def test_a_place_in_a_stream_is_checked_before_it_is_sent(last: str) -> None:
    one, _ = client()
    with pytest.raises(ValidationError, match=r"^last_event_id: "):
        one.stream(last_event_id=last)
    with pytest.raises(ValidationError, match=r"^last_event_id: "):
        one.runs.events("another", last_event_id="r-1:1")


async def test_the_async_client_has_the_same_methods() -> None:
    script = Script(
        answer(200, OUTPUT, x_run_id=RUN),
        answer(202, ACCEPTED),
        answer(200, ACCEPTED),
        answer(200, {"runs": [], "next_cursor": None}),
        answer(202, ACCEPTED),
        answer(200, {"run_id": RUN, "status": "CANCELLED"}),
        refusal(404, "NOT_FOUND"),
    )
    async with AsyncClient("http://a", transport=script) as one:
        assert (await one.invoke({})).output == {"x": 1}
        assert (await one.runs.create({})).run_id == RUN
        assert (await one.runs.get(RUN)).status == "ACCEPTED"
        assert (await one.runs.list()).runs == []
        assert (await one.runs.resume(RUN, "yes")).run_id == RUN
        assert (await one.runs.cancel(RUN)).status == "CANCELLED"
        with pytest.raises(NotFoundError):
            await one.runs.get(RUN)
    assert script.closed == 7


def test_both_clients_have_the_same_signatures() -> None:
    from inspect import signature

    for sync, other in (
        (Client, AsyncClient),
        (type(Client("http://a").runs), type(AsyncClient("http://a").runs)),
    ):
        for name in [name for name in vars(sync) if not name.startswith("_") and name != "close"]:
            mine, theirs = getattr(sync, name), getattr(other, name)
            if callable(mine):
                assert [*signature(mine).parameters] == [*signature(theirs).parameters], name
