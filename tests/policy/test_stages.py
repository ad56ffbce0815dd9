"""The stages on their own: channels, what passes held text, the cap, halting."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.errors import PolicyViolationError
from dockrion.events.base import HaltedError
from dockrion.events.model import (
    Cancelled,
    Checkpoint,
    Complete,
    Custom,
    Event,
    Interrupt,
    Policy,
    Progress,
    Step,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.policy.outgoing import Outgoing
from dockrion.policy.redaction import RedactionRules
from dockrion.policy.stages import MAX_CHANNELS, RedactingStage, TokenCap

EMAIL = r"[\w.]+@[\w.]+"
ENDED = Complete({}, 0.1, {})


def stage() -> RedactingStage:
    return RedactingStage(RedactionRules([EMAIL]))


def said(events: list[Event], node: str | None = None, message_id: str | None = None) -> str:
    return "".join(
        event.content
        for event in events
        if isinstance(event, Token) and (event.node, event.message_id) == (node, message_id)
    )


def test_a_match_that_is_cut_into_tokens() -> None:
    redacting = stage()
    events = [e for piece in ("me: b", "@", "c.d", " ok") for e in redacting.feed([Token(piece)])]
    assert said([*events, *redacting.flush()]) == "me: [REDACTED] ok"


def test_each_message_has_its_own_text() -> None:
    redacting = stage()
    batch: list[Event] = []
    for a, b in zip("x b@c.d y", "plain bit", strict=True):
        batch += [Token(a, None, "n", "1"), Token(b, None, "n", "2")]
    events = [*redacting.feed(batch), *redacting.flush()]
    assert said(events, "n", "1") == "x [REDACTED] y"
    assert said(events, "n", "2") == "plain bit"


def test_other_events_pass_text_that_is_held() -> None:
    redacting = stage()
    step = Step("n")
    assert redacting.feed([Token("b"), step]) == [step]
    assert redacting.feed([Token("@c.d ")]) == [Token("[REDACTED] ")]


def test_text_without_a_match_keeps_its_tokens() -> None:
    batch: list[Event] = [Token("one "), Token("two "), Token("three ")]
    assert stage().feed(batch) == batch


def test_a_finish_reason_lets_the_text_of_its_message_go() -> None:
    redacting = stage()
    events = redacting.feed([Token("done", None, None, "1"), Token("", "stop", None, "1")])
    assert said(events, None, "1") == "done"
    assert [e.finish_reason for e in events if isinstance(e, Token)][-1] == "stop"
    assert redacting.flush() == []


def test_what_comes_for_a_message_after_its_end_cannot_complete_a_match() -> None:
    redacting = stage()
    events = redacting.feed([Token("b", "stop", None, "1")])
    events += redacting.feed([Token("@c.d", None, None, "1")])
    assert "@c.d" not in said([*events, *redacting.flush()], None, "1")


def test_without_a_message_a_finish_reason_waits_for_text_that_may_become_a_match() -> None:
    redacting = stage()
    events = redacting.feed([Token("b", "stop")])
    assert events == []
    events = [*redacting.feed([Token("@c.d ")]), *redacting.flush()]
    assert said(events) == "[REDACTED] "
    assert [e.finish_reason for e in events if isinstance(e, Token)].count("stop") == 1


def test_a_finish_reason_is_never_lost() -> None:
    redacting = stage()
    events = [*redacting.feed([Token("b", "length")]), *redacting.flush()]
    assert events == [Token("b", "length")]


SECRET = "b@c.d"


@pytest.mark.parametrize(
    ("event", "redacted"),
    [
        (Step(SECRET, 1.5, [SECRET, "k"], [SECRET]), Step("[REDACTED]", 1.5, ["[REDACTED]", "k"], ["[REDACTED]"])),
        (Progress(SECRET, 0.5, SECRET), Progress("[REDACTED]", 0.5, "[REDACTED]")),
        (Checkpoint(SECRET, {SECRET: SECRET}), Checkpoint("[REDACTED]", {"[REDACTED]": "[REDACTED]"})),
        (ToolCall(SECRET, "b@id.x", {"to": SECRET}), ToolCall("[REDACTED]", "b@id.x", {"to": "[REDACTED]"})),
        (ToolResult(SECRET, "b@id.x", [SECRET], 1.0, SECRET), ToolResult("[REDACTED]", "b@id.x", ["[REDACTED]"], 1.0, "[REDACTED]")),
        (Policy("tools", SECRET, SECRET), Policy("tools", "[REDACTED]", "[REDACTED]")),
        (Custom("note", SECRET), Custom("note", "[REDACTED]")),
        (Interrupt({"q": SECRET}, "id"), Interrupt({"q": "[REDACTED]"}, "id")),
        (Cancelled(SECRET), Cancelled("[REDACTED]")),
    ],
)  # fmt: skip
def test_every_event_is_redacted(event: Event, redacted: Event) -> None:
    assert stage().feed([event]) == [redacted]


def test_the_name_of_a_custom_event_stays_a_name() -> None:
    redacting = RedactingStage(RedactionRules(["key_[0-9]+"]))
    assert redacting.feed([Custom("key_123", 1)]) == [Custom("REDACTED", 1)]


def test_a_node_whose_name_is_a_match() -> None:
    redacting = stage()
    events = [*redacting.feed([Token("hi ", "stop", SECRET, "1")]), *redacting.flush()]
    assert {e.node for e in events if isinstance(e, Token)} == {"[REDACTED]"}


def halting() -> Any:
    return Outgoing([EMAIL], halt=True).stages()[0]


def test_a_match_halts_after_what_came_before_it() -> None:
    redacting = halting()
    with pytest.raises(HaltedError) as caught:
        redacting.feed([Token("all well. "), Step("n"), Checkpoint("c", SECRET), Token("more")])
    assert caught.value.passed == [Token("all well. "), Step("n")]
    assert caught.value.violation.rule == "redaction"
    assert redacting.feed([Token("more"), ENDED]) == [ENDED]
    assert redacting.flush() == []


def test_a_match_at_the_very_end_halts_too() -> None:
    redacting = halting()
    redacting.feed([Token("x b@c.d")])
    with pytest.raises(HaltedError) as caught:
        redacting.flush()
    assert "@" not in said(caught.value.passed)


def test_the_text_of_others_halts_where_it_is_asked_for() -> None:
    outgoing = Outgoing([EMAIL], halt=True)
    assert outgoing.value({"a": "b"}) == {"a": "b"}
    with pytest.raises(PolicyViolationError):
        outgoing.value({"a": SECRET})


def test_tokens_stop_at_the_cap_over_all_channels() -> None:
    cap = TokenCap(5)
    events = cap.feed(
        [Token("abc"), Token("déf", None, "n"), Token("g"), Token("h", "stop"), ENDED]
    )
    assert events == [
        Token("abc"),
        Token("dé", None, "n"),
        Token("", "stop"),
        Complete({}, 0.1, {"truncated": True}),
    ]


def test_tokens_within_the_cap_pass() -> None:
    batch: list[Event] = [Token("abc"), Token("de"), ENDED]
    assert TokenCap(5).feed(batch) == batch


def test_an_output_is_shortened_longest_first_after_redaction() -> None:
    outgoing = Outgoing([EMAIL], max_chars=16)
    output, is_cut = outgoing.output({"a": "x" * 30, "b": [SECRET, 7], "c": "yy"})
    assert is_cut
    assert output == {"a": "xxxxxxx", "b": ["[REDACT", 7], "c": "yy"}
    assert outgoing.output({"a": "short"}) == ({"a": "short"}, False)


def test_what_follows_a_text_that_was_too_long_does_not_leave_after_the_end_of_its_message() -> (
    None
):
    redacting = RedactingStage(RedactionRules(["<[a-z]+>"]))
    events = redacting.feed(
        [Token("<" + "a" * 1100, None, None, "1"), Token("", "stop", None, "1")]
    )
    events += redacting.feed([Token("secret>", None, None, "1")])
    text = said([*events, *redacting.flush()], None, "1")
    assert "secret" not in text
    assert "aaa" not in text


def test_a_text_that_was_too_long_to_decide_halts() -> None:
    redacting = Outgoing(["<[a-z]+>"], halt=True).stages()[0]
    with pytest.raises(HaltedError):
        redacting.feed([Token("<" + "a" * 1100)])


@pytest.mark.parametrize("message_id", [None, "1"])
def test_a_rule_looks_back_at_what_left_before_a_finish_reason(message_id: str | None) -> None:
    redacting = RedactingStage(RedactionRules([r"(?<=key=)\w+"]))
    events = redacting.feed([Token("key=", "stop", None, message_id)])
    assert events == [Token("key=", "stop", None, message_id)]
    events += [*redacting.feed([Token("SECRET", None, None, message_id)]), *redacting.flush()]
    assert said(events, None, message_id) == "key=[REDACTED]"


def test_a_message_that_is_forgotten_after_many_others_does_not_go_on() -> None:
    redacting = RedactingStage(RedactionRules([r"(?<=key=)\w+"]))
    events = redacting.feed([Token("key= ", None, None, "0")])
    for number in range(MAX_CHANNELS):
        events += redacting.feed([Token("one. ", None, None, str(number + 1))])
    events += [*redacting.feed([Token("SECRET", None, None, "0")]), *redacting.flush()]
    assert said(events, None, "0") == "key= [REDACTED]"


def test_the_message_that_is_written_is_not_the_one_that_is_forgotten() -> None:
    redacting = stage()
    events: list[Event] = []
    for number in range(MAX_CHANNELS + 50):
        events += redacting.feed([Token("a "), Token("one. ", None, None, str(number))])
    assert said([*events, *redacting.flush()]) == "a " * (MAX_CHANNELS + 50)


def test_more_texts_that_are_held_than_can_be_kept_end_the_run() -> None:
    redacting = stage()
    batch: list[Event] = [Token("held", None, None, str(n)) for n in range(MAX_CHANNELS + 1)]
    with pytest.raises(HaltedError) as caught:
        redacting.feed(batch)
    assert caught.value.passed == []


def test_a_finish_reason_does_not_take_the_place_of_another() -> None:
    batch: list[Event] = [Token("a. ", "length"), Token("", "stop")]
    assert stage().feed(batch) == batch


def test_a_progress_whose_digits_are_a_match() -> None:
    redacting = RedactingStage(RedactionRules([r"\d{16}"]))
    assert redacting.feed([Progress("s", 0.4111111111111111)]) == [Progress("s", 0.0)]
