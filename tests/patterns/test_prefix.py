"""What an attempt can read: bounds, look-behind and the characters that end it."""

from __future__ import annotations

import pytest

from dockrion.patterns.prefix import hold_back, outside, prefix_closure
from dockrion.patterns.tree import Tree, look_behind


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        ("abc", 3),
        (r"\d{3}-\d{2}", 6),
        ("a|bcd", 3),
        ("a+", None),
        ("a(?=bb)", 3),
        (r"(\w) \1", None),
    ],
)
def test_hold_back_is_the_longest_undecided_attempt(pattern: str, longest: int | None) -> None:
    assert hold_back(Tree(pattern)) == longest


@pytest.mark.parametrize(
    ("pattern", "width"), [("a", 0), ("(?<=ab)c", 2), ("(?<!a(?<=bcd))e", 4), (r"\ba", 0)]
)
def test_look_behind_counts_what_is_before_the_start(pattern: str, width: int) -> None:
    assert look_behind(Tree(pattern).nodes) == width


@pytest.mark.parametrize(
    ("pattern", "text", "alive"),
    [
        ("abc", "ab", True),
        ("abc", "abd", False),
        ("a{3}b", "aaa", True),
        ("a{3}b", "aab", False),
        ("(?:ab|ac)d", "ac", True),
        (r"a\b", "a", True),
        ("a$", "a\n", True),
        ("a(?!bc)", "ab", True),
    ],
)
def test_the_closure_tells_whether_an_attempt_is_alive(
    pattern: str, text: str, alive: bool
) -> None:
    tree = Tree(pattern)
    assert bool(tree.compile(prefix_closure(tree)).match(text)) == alive


def test_a_character_that_no_attempt_can_read_is_outside() -> None:
    tree = Tree("(?i:a)[0-9]+(?=z)")
    assert outside(tree)
    found = tree.compile(outside(tree)).search("aA09z!")
    assert found
    assert found.group() == "!"
