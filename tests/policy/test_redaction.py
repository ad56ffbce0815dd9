"""Laws of streamed redaction: the same as the whole text at once, as early as can be, and never out of bounds."""

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.policy.redaction import MAX_HELD, REDACTED, RedactionRules
from tests.policy.redaction_cases import cuts, differences, realistic_texts, streamed, whole

EMAIL = r"[\w.+-]+@[\w-]+\.[\w.]+"
SSN = r"\b\d{3}-\d{2}-\d{4}\b"
CARD = r"\b(?:\d[ -]?){13,16}\b"
KEY = r"sk-[A-Za-z0-9]{20,}"
RULES = (EMAIL, SSN, CARD, KEY)
NAMED = (
    *(*RULES, r"foo|foobar", r"\bfoo\b", r"^foo", r"(?m)^foo$", r"foo$", r"o+?(?=b)", r"(?<=f)o+"),
    *(
        r"(\w)\1",
        r"(?i)FOO(?!b)",
        r"(?>fo+)b",
        r"o++b",
        r"(?s)f.*?b",
        r"1\Z",
        r"(f)?o(?(1)o|b)",
        r"\[R",
    ),
)


@given(
    st.lists(st.sampled_from(NAMED), min_size=1, max_size=3),
    st.lists(
        st.sampled_from(["foo", "bar", " ", "1", "123-45-6789", "é", "\n", "f", "o", "a@b.c"])
    ),
)
@settings(max_examples=300, deadline=None)
def test_the_result_does_not_depend_on_the_cuts(rules: list[str], pieces: list[str]) -> None:
    redaction = RedactionRules(rules, max_held=1 << 20)
    assert streamed(redaction.stream(), pieces) == whole(rules, "".join(pieces))


@pytest.mark.parametrize("seed", range(3))
def test_random_rules_on_random_cuts_are_the_whole_at_once(seed: int) -> None:
    assert list(differences(seed, 3000)) == []


@pytest.mark.parametrize("rules", [RULES, (*RULES[::-1], r"\w+ \[")])
def test_each_cut_in_two_of_realistic_texts_gives_the_same(rules: tuple[str, ...]) -> None:
    redaction = RedactionRules(rules)
    redactor = redaction.stream()
    for text in realistic_texts(500):
        expected = whole(rules, text)
        for cut in range(len(text) + 1):
            assert (
                redactor.feed(text[:cut]) + redactor.feed(text[cut:]) + redactor.flush() == expected
            )


@pytest.mark.parametrize(
    ("rule", "text", "held"),
    [
        (SSN, "number 12", "12"),
        (SSN, "number 12 ", ""),
        (SSN, "a123-45-6789", ""),
        (EMAIL, "write to bob", "bob"),
        (EMAIL, "write to bob!", ""),
        (CARD, "4111 1111 1111 1111x", ""),
        ("foo|foobar", "a foob", "foob"),
        ("foo|foobaz", "a foobar", ""),
        ("a(?=bb)", "xab", "ab"),
        ("a(?=bb)", "xac", ""),
        ("a(?!b)", "xa", "a"),
        ("^key", "a key", ""),
        (r"(\w+)-\1", "ab-ab !", ""),
        ("(?i)secret:.", "SECRE", "SECRE"),
    ],
)
def test_only_what_can_still_be_a_match_is_held(rule: str, text: str, held: str) -> None:
    redactor = RedactionRules([rule]).stream()
    left = "".join(map(redactor.feed, text))
    assert left == text.removesuffix(held) or REDACTED in whole([rule], text)
    assert redactor.held == bool(held)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_held_that_no_text_could_make_a_match(seed: int) -> None:
    chance = random.Random(seed)
    # Words of a finite rule: the oracle is the list of all of them.
    for _ in range(200):
        words = ["".join(chance.choices("ab1", k=chance.randint(1, 4))) for _ in range(3)]
        redactor = RedactionRules(["|".join(words)]).stream()
        text = "".join(chance.choices("ab1 ", k=12))
        left = "".join(map(redactor.feed, text))
        rest = redactor.flush()
        held = len(whole(["|".join(words)], text)) - len(left)
        longest = max(
            (n for w in words for n in range(len(w) + 1) if text.endswith(w[:n])), default=0
        )
        assert held <= longest or REDACTED in rest


def test_a_match_is_known_before_anything_of_it_leaves() -> None:
    redactor = RedactionRules([SSN]).stream()
    for letter in "call 123-45-6789 now":
        left = redactor.feed(letter)
        assert "REDACTED" not in left or redactor.matched
        assert not re.search(r"\d", left)
    assert redactor.matched


def test_text_without_a_match_comes_back_as_the_same_object() -> None:
    redaction = RedactionRules(RULES)
    text = "nothing here, bob"
    assert redaction.redact(text) is text
    assert not redaction.matches(text)
    assert redaction.matches("bob@example.com")


def test_a_redactor_starts_anew_after_flush() -> None:
    redactor = RedactionRules(["^foo"]).stream()
    assert streamed(redactor, ["a fo", "o"]) == "a foo"
    assert streamed(redactor, ["fo", "o a"]) == "[REDACTED] a"


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        (EMAIL, "a" * 3000 + " b", "[REDACTED] b"),
        (EMAIL, "x " + "a" * MAX_HELD + " b", "x " + "a" * MAX_HELD + " b"),
        (EMAIL, "x " + "a" * (MAX_HELD + 1) + " b", "x [REDACTED] b"),
        ("(?s)BEGIN.*END", "a BEGIN" + "b" * 2000 + "END c", "a [REDACTED]"),
        (r"key=\S+", "key=" + "b" * 2000 + " key=c d", "[REDACTED] [REDACTED] d"),
    ],
)
def test_text_that_is_held_for_too_long_is_redacted_up_to_where_no_match_can_be(
    rule: str, text: str, expected: str
) -> None:
    redaction = RedactionRules([rule])
    assert redaction.redact(text) == expected
    chance = random.Random(1)
    for size in (1, 3, 1000, 1025):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert streamed(redaction.stream(), pieces) == expected
    assert streamed(redaction.stream(), list(cuts(chance, text))) == expected


@pytest.mark.parametrize("rules", [[r"(?a:[^\w]\W)"], [EMAIL, r"\w+\[REDACTED\]"], ["a+b", "c.*d"]])
def test_capped_results_do_not_depend_on_the_cuts_either(rules: list[str]) -> None:
    chance = random.Random(3)
    redaction = RedactionRules(rules, max_held=6)
    for _ in range(300):
        text = "".join(chance.choices("aab@.c d[é\n", k=60))
        assert streamed(redaction.stream(), list(cuts(chance, text))) == redaction.redact(text)


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (EMAIL, "a" * 100_000),
        (EMAIL, ("a" * 1000 + "@@") * 100),
        (rf"\b{EMAIL}", "a." * 50_000),
        (CARD, "1 " * 50_000),
        (r"\S+@\S+", ("a" * 1000 + " ") * 100),
    ],
)
def test_a_long_text_made_to_be_slow_takes_linear_time(rule: str, text: str, size: int) -> None:
    redactor = RedactionRules([rule]).stream()
    began = time.process_time()
    streamed(redactor, [text[at : at + size] for at in range(0, len(text), size)])
    # A tenth of this is usual; unbounded `re.sub` takes many seconds.
    assert time.process_time() - began < 3
