"""Env files: dotenv and YAML; and who wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.spec.env import Environment, parse_env_file
from dockrion.spec.problems import Problem

DOTENV: list[tuple[str, dict[str, str]]] = [
    ("", {}),
    ("\n\n  \n# note\n  # note\n", {}),
    ("A=1", {"A": "1"}),
    ("A=1\nB=2\n", {"A": "1", "B": "2"}),
    ("A=1\nA=2", {"A": "2"}),
    ("A=", {"A": ""}),
    ("A=\nB=1", {"A": "", "B": "1"}),
    ("A=   ", {"A": ""}),
    ("  A = 1  ", {"A": "1"}),
    ("export A=1", {"A": "1"}),
    ("export\tA='1'", {"A": "1"}),
    ("export=1", {"export": "1"}),
    ("A=1 # note", {"A": "1"}),
    ("A=1\t# note", {"A": "1"}),
    ("A= # note", {"A": ""}),
    ("A=#1", {"A": "#1"}),
    ("A=a#b", {"A": "a#b"}),
    ("A=a b c # d # e", {"A": "a b c"}),
    ("A='a # b'", {"A": "a # b"}),
    ('A="a # b" # note', {"A": "a # b"}),
    ("A='a'#note", {"A": "a"}),
    ("A=it's", {"A": "it's"}),
    ('A=say "hi"', {"A": 'say "hi"'}),
    ("A=''", {"A": ""}),
    ('A=""', {"A": ""}),
    ("A=' a '", {"A": " a "}),
    (r"A='a\nb'", {"A": r"a\nb"}),
    (r"A='it\'s \\'", {"A": "it's \\"}),
    (r'A="a\nb\tc\rd"', {"A": "a\nb\tc\rd"}),
    (r'A="\"q\" \\ \$x \z"', {"A": r'"q" \ $x \z'}),
    ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
    ("A='one\ntwo' # note\nB=3", {"A": "one\ntwo", "B": "3"}),
    ("\ufeffA=1", {"A": "1"}),
    ("A=1\r\nB='2'\r\n# n\r\nC=\r\n", {"A": "1", "B": "2", "C": ""}),
    ("A=1\rB=2", {"A": "1", "B": "2"}),
    ("A=b=c==", {"A": "b=c=="}),
    ("A=${B}$C", {"A": "${B}$C"}),
    ("A=a\\nb", {"A": "a\\nb"}),
    ("a.b-c=1", {"a.b-c": "1"}),
    ("A=ü €", {"A": "ü €"}),
]

BROKEN: list[tuple[str, dict[str, str], list[Problem]]] = [
    ("A=1\nsecret\nB=2", {"A": "1", "B": "2"}, [Problem("", "must be NAME=value", 2, 1)]),
    ("=1", {}, [Problem("", "must be NAME=value", 1, 1)]),
    ("A B=1", {}, [Problem("", "must be NAME=value", 1, 1)]),
    (
        "\nA='x\nB=2",
        {"B": "2"},
        [Problem("A", "has a quote that is not closed, or text after it", 2, 1)],
    ),
    (
        'A="x"y\nB=2',
        {"B": "2"},
        [Problem("A", "has a quote that is not closed, or text after it", 1, 1)],
    ),
    ("A=a\0b", {}, [Problem("A", "must not hold a NUL character")]),
]

YAML_FILES: list[tuple[str, dict[str, str], list[Problem]]] = [
    ("", {}, []),
    ("# nothing\n", {}, []),
    (
        "A: 1\nB: true\nC: 0123\nD: 1.10\nE: on\nF: '0'",
        {"A": "1", "B": "true", "C": "0123", "D": "1.10", "E": "on", "F": "0"},
        [],
    ),
    ("A:\nB: ~\nC: ''", {"C": ""}, []),
    ("A: ${B}", {"A": "${B}"}, []),
    (
        "A: 1\nB: {c: 1}\nD: [1]",
        {"A": "1"},
        [
            Problem("B", "must be one value, nothing nested", 2, 4),
            Problem("D", "must be one value, nothing nested", 3, 4),
        ],
    ),
    ("- A", {}, [Problem("", "must be a mapping of names to values", 1, 1)]),
    ("A: 1\nA: 2", {"A": "1"}, [Problem("A", "is given twice, first on line 1, column 1", 2, 1)]),
    ("A: b: c", {}, [Problem("", "no valid YAML: mapping values are not allowed here", 1, 5)]),
]


@pytest.mark.parametrize(("text", "values"), DOTENV)
def test_dotenv_is_read_as_shells_and_tools_read_it(text: str, values: dict[str, str]) -> None:
    assert parse_env_file(text, yaml=False) == (values, [])


@pytest.mark.parametrize(("text", "values", "problems"), BROKEN)
def test_a_broken_line_is_named_by_number_and_the_rest_is_read(
    text: str, values: dict[str, str], problems: list[Problem]
) -> None:
    assert parse_env_file(text, yaml=False) == (values, problems)


@pytest.mark.parametrize(("text", "values", "problems"), YAML_FILES)
def test_a_yaml_env_file_is_flat_and_all_its_values_are_text(
    text: str, values: dict[str, str], problems: list[Problem]
) -> None:
    assert parse_env_file(text, yaml=True) == (values, problems)


@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20))
def test_any_value_survives_single_quotes(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    assert parse_env_file(f"A='{quoted}' # note\n", yaml=False) == ({"A": value}, [])


@given(text=st.text(st.sampled_from("A=b'\"\\#\n $\ufeff"), max_size=30))
def test_any_text_is_read_to_its_end(text: str) -> None:
    values, problems = parse_env_file(text, yaml=False)
    assert all("\0" not in value for value in values.values())
    assert all(problem.line for problem in problems)


def test_what_is_there_wins_over_what_comes_below_even_when_it_is_empty() -> None:
    environment = Environment({"A": "", "B": "shell"}, {"A": "shell", "B": "shell"})
    environment = environment.below({"A": "file", "C": "file"}, ".env")
    environment = environment.below({"C": "default", "D": "default"}, "default")
    assert environment.values == {"A": "", "B": "shell", "C": "file", "D": "default"}
    assert environment.sources == {"A": "shell", "B": "shell", "C": ".env", "D": "default"}
    assert environment.beyond_the_shell() == {"C": "file", "D": "default"}
    assert environment.missing(["A", "B", "X"]) == ["A", "X"]


def test_an_environment_does_not_show_its_values() -> None:
    assert "hunter2" not in repr(Environment({"A": "hunter2"}, {"A": "shell"}))
