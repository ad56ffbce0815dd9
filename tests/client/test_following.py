"""What a client makes of each way in which a stream can go on, stop, or be refused."""

from __future__ import annotations

from itertools import count

import httpx2
import pytest

from dockrion.client import Client, Gap, StreamEvent, Unknown
from dockrion.errors import (
    ConflictError,
    DockrionError,
    GoneError,
    NotFoundError,
    RateLimitError,
    ServiceUnavailableError,
    UnexpectedAnswerError,
)
from dockrion.events import sse
from dockrion.events.model import Cancelled, Complete, Failed, Interrupt, Started, Token
from tests.client.scripted import CUT, RUN, TIME, Reply, Script, answer, frames, refusal, stream

pytestmark = pytest.mark.usefixtures("at_once")
STARTED = Started("a", "custom")
DONE = Complete({"x": 1}, 0.1, {"agent": "a"})
REST = "/runs/r-1/events"
DIRECT = "POST /invoke/stream"


def client(*replies: Reply | Exception, reconnect_seconds: float = 60) -> tuple[Client, Script]:
    script = Script(*replies)
    return Client("http://a", transport=script, reconnect_seconds=reconnect_seconds), script


def numbers(events: list[StreamEvent]) -> list[int | None]:
    return [event.sequence for event in events]


def test_a_stream_that_is_cut_goes_on_behind_its_last_whole_event() -> None:
    whole = frames(0, STARTED, Token("a"))
    half = frames(2, Token("b"))[:-1]
    one, script = client(
        stream(whole + half, cut=True), stream(frames(2, Token("b")), frames(3, DONE))
    )
    with one.stream({}) as events:
        assert [event.data for event in events] == [STARTED, Token("a"), Token("b"), DONE]
    assert script.asked == [DIRECT, f"{DIRECT} after r-1:1"]
    assert script.requests[1].content == b""
    assert events.result() == {"x": 1}


def test_a_subscription_goes_on_as_one() -> None:
    one, script = client(stream(frames(0, STARTED), cut=True), stream(frames(1, DONE)))
    with one.runs.events(RUN) as events:
        assert numbers(list(events)) == [0, 1]
    assert script.asked == [f"GET {REST}", f"GET {REST} after r-1:0"]


def test_a_stream_that_is_cut_before_its_first_event_is_found_by_the_id_of_its_run() -> None:
    one, script = client(
        stream(b"event: star", cut=True),
        stream(frames(0, STARTED, Token("a"))),
        stream(frames(1, Token("a"), DONE)),
    )
    with one.stream({}) as events:
        assert numbers(list(events)) == [0, 1, 2]
    assert script.asked == [DIRECT, f"GET {REST}", f"{DIRECT} after r-1:0"]


def test_an_invocation_that_nobody_answered_is_not_sent_again() -> None:
    one, script = client(CUT)
    with pytest.raises(ServiceUnavailableError, match="may have been started or not"):
        one.stream({}).__enter__()
    assert script.asked == [DIRECT]


def test_with_an_id_of_ones_own_it_is_looked_for_instead() -> None:
    one, script = client(CUT, stream(frames(0, STARTED)), stream(frames(1, DONE)))
    with one.stream({}, run_id=RUN) as events:
        assert numbers(list(events)) == [0, 1]
    assert script.asked == [f"{DIRECT}?run_id=r-1", f"GET {REST}", f"{DIRECT} after r-1:0"]


def test_an_invocation_that_never_left_is_sent_again() -> None:
    refused = httpx2.ConnectError("refused")
    one, script = client(refused, refused, stream(frames(0, STARTED, DONE)))
    with one.stream({}) as events:
        assert numbers(list(events)) == [0, 1]
    assert script.asked == [DIRECT] * 3


def test_it_is_not_sent_for_ever() -> None:
    one, script = client(*[httpx2.ConnectError("refused")] * 3)
    with pytest.raises(
        ServiceUnavailableError, match=r"POST http://a/invoke/stream: no connection"
    ):
        one.stream({}).__enter__()
    assert script.is_played()


def test_a_server_without_time_for_a_run_is_asked_again() -> None:
    one, script = client(refusal(503, "OVERLOADED"), stream(frames(0, STARTED, DONE)))
    with one.stream({}) as events:
        assert numbers(list(events)) == [0, 1]
    assert script.is_played()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(409, "CONFLICT"), ConflictError),
        (refusal(404, "NOT_FOUND"), NotFoundError),
        (refusal(503, "SHUTTING_DOWN", x_run_id=RUN), ServiceUnavailableError),
        (answer(502, b"<html>", content_type="text/html"), ServiceUnavailableError),
        (answer(200, {"hello": "world"}), UnexpectedAnswerError),
    ],
)
def test_other_refusals_are_told_at_once(reply: Reply, error: type[DockrionError]) -> None:
    one, script = client(reply)
    with pytest.raises(error):
        one.stream({}).__enter__()
    assert script.is_played()


def test_what_is_not_held_after_a_cut_is_gone_and_the_error_says_how_to_hold_it() -> None:
    one, _ = client(stream(frames(0, STARTED), cut=True), refusal(410, "GONE", "Not held."))
    with one.stream({}) as events, pytest.raises(GoneError) as caught:
        list(events)
    assert caught.value.message == (
        "The stream of the run 'r-1' was cut after event 0, and the server does not hold it: Not held. "
        "(streaming.connection.on_disconnect: continue, or a resume_window, let streams be taken up again.)"
    )
    assert events.last_event_id == "r-1:0"


@pytest.mark.parametrize(
    "passing",
    [
        refusal(503, "SHUTTING_DOWN", retry_after="0"),
        answer(502, b"<html>", content_type="text/html"),
        answer(429, {"detail": {"message": "Too many.", "code": "TOO_MANY_SUBSCRIBERS"}}),
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("late"),
        # While it shuts down a server gives subscriptions an end without a word.
        stream(),
        stream(cut=True),
    ],
)
def test_a_cut_stream_waits_for_its_server_to_come_back(passing: Reply | Exception) -> None:
    one, script = client(
        stream(frames(0, STARTED), cut=True), passing, passing, stream(frames(1, DONE))
    )
    with one.runs.events(RUN) as events:
        assert numbers(list(events)) == [0, 1]
    assert script.asked[1:] == [f"GET {REST} after r-1:0"] * 3


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count()
    monkeypatch.setattr("dockrion.client.settings.monotonic", lambda: float(next(clock)))
    one, script = client(
        stream(frames(0, STARTED), cut=True), *[httpx2.ConnectError("refused")] * 99
    )
    with one.runs.events(RUN) as events:
        assert next(events).sequence == 0
        with pytest.raises(
            ServiceUnavailableError, match=r"cut after event 0 .* in 60 s: no connection"
        ):
            next(events)
    assert 30 < len(script.asked) < 70
    assert list(events) == []


def test_a_client_may_be_told_not_to_come_back() -> None:
    one, script = client(stream(frames(0, STARTED), cut=True), reconnect_seconds=0)
    with one.runs.events(RUN) as events:
        assert next(events).sequence == 0
        with pytest.raises(ServiceUnavailableError, match="in 0 s: the connection broke: cut"):
            next(events)
    assert len(script.asked) == 1


def test_a_subscription_whose_time_is_over_goes_on_at_once() -> None:
    over = sse.timeout(RUN, TIME)
    one, script = client(
        stream(frames(0, STARTED), over), stream(over), stream(over), stream(frames(1, DONE))
    )
    with one.runs.events(RUN) as events:
        assert numbers(list(events)) == [0, 1]
    assert len(script.asked) == 4


def test_whatever_ends_a_stream_there_is_a_pause_before_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest: list[float] = []

    def uniform(_low: float, high: float) -> float:
        longest.append(high)
        return 0.0

    monkeypatch.setattr("dockrion.client.backoff.random.uniform", uniform)
    over = sse.timeout(RUN, TIME)
    one, _ = client(
        stream(frames(0, STARTED), over),
        *[httpx2.ConnectError("refused")] * 7,
        stream(over),
        stream(cut=True),
        stream(frames(1, DONE)),
    )
    with one.runs.events(RUN) as events:
        assert numbers(list(events)) == [0, 1]
    assert longest == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 0.2, 0.4]


def test_events_that_come_twice_are_given_out_once() -> None:
    one, _ = client(stream(frames(0, STARTED, Token("a")), frames(0, STARTED, Token("a"), DONE)))
    with one.stream({}) as events:
        assert numbers(list(events)) == [0, 1, 2]


def test_a_hole_in_a_stream_is_a_cut() -> None:
    one, script = client(
        stream(frames(0, STARTED), frames(2, DONE)), stream(frames(1, Token("a"), DONE))
    )
    with one.stream({}) as events:
        assert numbers(list(events)) == [0, 1, 2]
    assert script.asked[1] == f"{DIRECT} after r-1:0"


def test_a_gap_is_told_once_and_not_asked_for_again() -> None:
    gap = sse.gap(RUN, TIME, first=1, last=7)
    one, script = client(
        stream(frames(0, STARTED), cut=True), stream(gap, cut=True), stream(frames(8, DONE))
    )
    with one.runs.events(RUN) as events:
        found = list(events)
    assert [event.data for event in found] == [STARTED, Gap(1, 7), DONE]
    assert script.asked[2] == f"GET {REST} after r-1:7"
    assert events.last_event_id == "r-1:8"


def test_heartbeats_are_not_given_out() -> None:
    beat = sse.heartbeat(RUN, TIME)
    one, _ = client(stream(beat, frames(0, STARTED), b":hb\n", beat, frames(1, DONE)))
    with one.stream({}) as events:
        assert numbers(list(events)) == [0, 1]


def test_an_event_of_a_later_version_is_unknown_and_counts() -> None:
    new = b'event: thought\ndata: {"run_id":"r-1","sequence":1,"depth":[3]}\nid: r-1:1\n\n'
    odd = b'event: token\ndata: {"run_id":"r-1","sequence":2,"content":{"rich":1}}\nid: r-1:2\n\n'
    one, _ = client(stream(frames(0, STARTED), new, odd, frames(3, DONE)))
    with one.stream({}) as events:
        found = list(events)
    assert numbers(found) == [0, 1, 2, 3]
    assert isinstance(found[1].data, Unknown)
    assert found[1].type == "thought"
    assert found[1].fields["depth"] == [3]
    assert isinstance(found[2].data, Unknown)


@pytest.mark.parametrize(
    "garbage", [b"data: hello\n\n", b"event: token\ndata: [1]\n\n", b"event: \xff\ndata: {}\n\n"]
)
def test_garbage_is_an_error_behind_the_events_before_it(garbage: bytes) -> None:
    one, script = client(stream(frames(0, STARTED) + garbage))
    with one.stream({}) as events:
        assert next(events).data == STARTED
        with pytest.raises(UnexpectedAnswerError, match=r"none of dockrion's"):
            next(events)
    assert script.closed == 1


def test_a_direct_stream_ends_where_its_run_asks() -> None:
    asks = [Interrupt({"q": 1}, "i1"), Interrupt({"q": 2}, "i2")]
    one, script = client(stream(frames(0, STARTED, *asks)))
    with one.stream({}) as events:
        assert numbers(list(events)) == [0, 1, 2]
    assert script.is_played()
    assert [question.interrupt_id for question in events.run.interrupts] == ["i1", "i2"]
    with pytest.raises(ConflictError, match=r"waits for an answer .* i1: .* i2: "):
        events.result()


@pytest.mark.parametrize(
    ("run", "more"),
    [
        (
            {
                "run_id": RUN,
                "status": "INTERRUPTED",
                "interrupts": [{"interrupt_id": "i1", "value": 1}],
            },
            0,
        ),
        (
            {
                "run_id": RUN,
                "status": "INTERRUPTED",
                "interrupts": [
                    {"interrupt_id": "i1", "value": 1},
                    {"interrupt_id": "i2", "value": 2},
                ],
            },
            1,
        ),
    ],
)
def test_a_cut_behind_a_question_is_the_end_if_there_is_no_other(run: object, more: int) -> None:
    """To go on behind the last question is to wait for its answer, perhaps for days."""
    rest = [stream(frames(2, Interrupt(2, "i2")))] * more
    one, script = client(
        stream(frames(0, STARTED, Interrupt(1, "i1")), cut=True), answer(200, run), *rest
    )
    with one.stream({}) as events:
        assert numbers(list(events)) == [0, 1, 2][: 2 + more]
    assert script.is_played()


def test_a_subscription_goes_on_over_questions() -> None:
    one, _ = client(stream(frames(0, STARTED, Interrupt(1, "i1"), DONE)))
    with one.runs.events(RUN) as events:
        assert numbers(list(events)) == [0, 1, 2]


def test_a_stream_that_had_ended_is_empty() -> None:
    one, script = client(Reply(204, [], {"x-run-id": RUN}))
    with one.stream(last_event_id="r-1:4") as events:
        assert list(events) == []
    assert script.asked == [f"{DIRECT} after r-1:4"]
    assert events.last_event_id == "r-1:4"
    with pytest.raises(GoneError, match="had ended before"):
        events.result()


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (Failed("It raised.", "WORKER_LOST", {"a": 1}), DockrionError),
        (Failed("Too slow.", "RATE_LIMIT_EXCEEDED"), RateLimitError),
        (Cancelled("by you"), ConflictError),
    ],
)
def test_a_bad_end_is_an_event_and_raised_as_the_result(
    last: Failed | Cancelled, error: type[DockrionError]
) -> None:
    one, _ = client(stream(frames(0, STARTED, last)))
    with one.stream({}) as events:
        assert [event.data for event in events] == [STARTED, last]
    with pytest.raises(error) as caught:
        events.result()
    if isinstance(last, Failed):
        assert caught.value.code == last.code
        assert caught.value.details == last.details
    assert events.run.status == ("FAILED" if isinstance(last, Failed) else "CANCELLED")


def test_an_event_may_be_large_and_come_in_small_pieces() -> None:
    text = "é" * 3_000_000
    body = frames(1, Token(text))
    pieces = [body[start : start + 4096] for start in range(0, len(body), 4096)]
    one, _ = client(stream(frames(0, STARTED), *pieces, frames(2, DONE)))
    with one.stream({}) as events:
        assert [event.data for event in events] == [STARTED, Token(text), DONE]


def test_an_event_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockrion.client.following.MAX_EVENT_BYTES", 10_000)
    one, script = client(stream(frames(0, STARTED), *[b"data: x" * 100] * 20))
    with one.stream({}) as events:
        assert next(events).sequence == 0
        with pytest.raises(UnexpectedAnswerError, match="larger than 10000 bytes"):
            next(events)
    assert script.closed == 1
