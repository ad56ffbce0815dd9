"""Which rules count as too slow, by steps and not by the clock."""

from __future__ import annotations

import pytest

from dockrion.patterns.cost import explodes
from dockrion.patterns.tree import Tree


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            r"[\w.+-]+@[\w-]+\.[\w.]+",
            r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b",
            r"\S+@\S+",
        ),
        *(r"\b\d{3}-\d{2}-\d{4}\b", r"\b(?:\d[ -]?){13,16}\b", r"sk-[A-Za-z0-9]{20,}", r"a{1000}b"),
        *(r"(?i)bearer\s+[a-z0-9._-]+", r"password\s*[:=]\s*\S+", r"eyJ[\w-]+\.[\w-]+\.[\w-]+"),
        *(r"(?s)-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", r"(\w+) \1", r"(?:[a-z]+\.)+com"),
        *(r"(?<=token )\w+", r"\w+(?=!)", r"\d++-", r"https?://\S+", r"(a)?b(?(1)c|d)", r"(?>a+)b"),
    ],
)
def test_ordinary_rules_are_linear(pattern: str) -> None:
    assert not explodes(Tree(pattern), in_pieces=True)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(a+)+b", "(a|a)*b", r"(\w+\s?)+:", r"\w+\w+@", "(a|aa)+$", "(x+x+)+y", r"\S+@\S+\.\S+"),
        *(
            "a*a*a*b",
            "(?:.*,){11}P",
            "(?:a?){30}a{30}",
            "([a-zA-Z]+)*!",
            r"=\s*(\w+\s*)+;",
            "(?i)(?:b+)+c",
        ),
    ],
)
def test_rules_that_explode_are_found(pattern: str) -> None:
    assert explodes(Tree(pattern), in_pieces=True)
    assert explodes(Tree(pattern))


@pytest.mark.parametrize("pattern", [r"(?i)(?:(?:\D)+)+", "(?i)(?:(?:(?:[a-b1]|.)){1,3}+)+"])
def test_rules_of_which_only_the_beginning_explodes_are_found(pattern: str) -> None:
    assert explodes(Tree(pattern), in_pieces=True)
    assert not explodes(Tree(pattern))


WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


@pytest.mark.parametrize(
    "pattern",
    [
        *(f"{WORD}(a+)+b", f"{WORD}(?:x)?(a+)+b", f"(?:{WORD}|no)(a+)+b", f"{WORD}a*a*a*b"),
        *(rf"(?!{WORD}!)\w+=(a+)+b", r"(?!a)\w(b+)+c", f"(?:{WORD}!|{WORD}-(?:ab)*(?:ab)*c)"),
        *("(x)\\1(?:a+)+b", "(a)(?:\\1|\\1\\1)+b", "b{20}(a+)+c", "a{1000}b+b+c"),
        *(
            "(?:a|b|c|abc)*d",
            f"{WORD}x+=(?:[^!]+!)?(a{{2,}}){{2,}}b",
            f"{WORD}(?:a{{1,7}}){{1,7}}b",
        ),
    ],
)
def test_a_repeat_that_explodes_is_found_behind_whatever_leads_to_it(pattern: str) -> None:
    assert explodes(Tree(pattern))


def test_a_rule_that_is_too_large_to_judge_is_not_taken() -> None:
    doubled = "".join(rf"(\{group}\{group})" for group in range(1, 40))
    with pytest.raises(OverflowError):
        explodes(Tree(f"(a){doubled}"))


def test_a_list_of_long_words_is_linear() -> None:
    words = "|".join(chr(0x4E00 + number) * 300 for number in range(20))
    assert not explodes(Tree(rf"(?:{words})\s*:\s*[^\s:]+"))
