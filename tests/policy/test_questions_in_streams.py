"""Questions between the tokens of a redacted stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dockrion.events.model import Event, Interrupt, Token
from dockrion.policy.redaction import RedactionRules
from dockrion.policy.stages import RedactingStage

SECRET = "secret-key"
RULES = RedactionRules([SECRET])
QUESTION = Interrupt("?", "id")

PIECES = st.lists(st.sampled_from(["sec", "ret", "-", "key", "s", " ", QUESTION]), max_size=12)


def passed(events: list[Event]) -> list[Event]:
    stage = RedactingStage(RULES)
    out: list[Event] = []
    for event in events:
        out += stage.feed([event])
    return out + stage.flush()


def text_of(events: list[Event]) -> str:
    return "".join(event.content for event in events if isinstance(event, Token))


@given(pieces=PIECES)
def test_all_of_the_agents_text_is_there_before_its_question_and_no_match_is_ever_whole(
    pieces: list[str | Interrupt],
) -> None:
    given_events: list[Event] = [Token(one) if isinstance(one, str) else one for one in pieces]
    out = passed(given_events)
    whole = text_of(given_events)

    assert SECRET not in text_of(out)
    if SECRET not in whole:
        assert text_of(out) == whole
        for number, place in enumerate(
            at for at, one in enumerate(given_events) if one is QUESTION
        ):
            shown = [at for at, one in enumerate(out) if isinstance(one, Interrupt)][number]
            assert text_of(out[:shown]) == text_of(given_events[:place])
    elif QUESTION not in pieces:
        assert text_of(out) == RULES.redact(whole)


def test_a_question_lets_nothing_go_of_text_that_belongs_to_a_message_or_a_node() -> None:
    for token in (Token("sec", node="n"), Token("sec", message_id="m")):
        [first, *rest] = passed([token, QUESTION])
        assert first == QUESTION
        assert text_of(rest) == "sec"


def test_an_end_of_text_before_a_question_is_one_for_the_rules() -> None:
    stage = RedactingStage(RedactionRules(["sk-[a-z]+"]))
    out = stage.feed([Token("sk-abc"), QUESTION])
    out += stage.feed([Token("def ")])
    out += stage.feed([Token("sk-"), QUESTION, Token("ghi "), Token("end")])
    assert text_of(out + stage.flush()) == "[REDACTED] sk-[REDACTED] end"
