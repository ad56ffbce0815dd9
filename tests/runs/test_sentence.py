from __future__ import annotations

import pytest

from dockrion.policy.outgoing import Outgoing
from dockrion.runs.sentence import MAX_CHARS, ErrorSentences

clean = ErrorSentences(reveal=True, secrets=["s3cr3t-value"]).clean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No such file: '/home/me/my files/secret.txt'", "No such file: 'secret.txt'"),
        ('File "/home/me/my dir/a.py", line 3', 'File "a.py", line 3'),
        ("['/home/me/a b/c', '/home/me/d e/f']", "['c', 'f']"),
        ('"/home/me/it\'s/secret"', '"secret"'),
        ("'/home/me/my files/'", "'my files'"),
        ("in `C:\\Users\\Me And You\\a b.txt`", "in `a b.txt`"),
        (repr("C:\\Users\\Me And You\\a.txt"), "'a.txt'"),
        (repr("\\\\server\\our share\\a.txt"), "'a.txt'"),
        ("C:\\Users\\me\\a.txt:3", "a.txt:3"),
        ("/home/me/a.py:3 and /etc/passwd", "a.py:3 and passwd"),
        ("file:///home/me/a.py it is", "a.py it is"),
        ("file:///C:/Users/me/a.txt", "a.txt"),
        ("'file://localhost/home/my files/a'", "'a'"),
    ],
)
def test_of_an_absolute_path_the_last_part_stays(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "see https://host/v1/my/page?next=/home/me/x",
        "'https://host/a b/c'",
        "postgres://user@host/db/table",
        "and/or, 1/2/3, a 'b/c d/e' f, ./rel/x",
        "it's 'this' / 'that' or '/x'",
    ],
)
def test_what_is_no_absolute_path_stays(text: str) -> None:
    assert clean(text) == text


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["'/a b", "/a", "'/:", "\"/'/`/", "file://", "'file://a/", "\\\\", "a://", "C:\\", "a.b+", "a"],
)
def test_no_text_takes_long(text: str) -> None:
    assert len(clean(text * 1_000_000)) <= MAX_CHARS


def test_secrets_are_replaced_however_long_the_text_is() -> None:
    assert clean("s3cr3t-value at /home/s3cr3t-value") == "*** at ***"
    assert "s3cr3t" not in clean("/a" * 20_000 + " s3cr3t-value")


def test_details_have_no_secrets_and_nothing_that_a_rule_matches() -> None:
    sentences = ErrorSentences(
        reveal=True, secrets=["s3cr3t-value"], outgoing=Outgoing([r"\w+@\w+"])
    )
    assert sentences.clean_details({"key": "s3cr3t-value", "a@b": ["a@b", 1]}) == {
        "key": "***",
        "[REDACTED]": ["[REDACTED]", 1],
    }
