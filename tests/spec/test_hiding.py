from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from dockrion.spec import Hider

KEY_FILE = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nq8w7S+dDm5J\n-----END KEY-----\n"
ODD = """p'ä"\\s\t✓ w/d"""


def test_the_longest_secret_goes_first() -> None:
    assert Hider(["s3cr3t", "s3cr3t-and-more"]).hide("s3cr3t-and-more s3cr3t") == "*** ***"


def test_a_very_short_secret_hides_nothing() -> None:
    assert Hider(["", "abc", " a "]).hide("abc a") == "abc a"


@pytest.mark.parametrize("secret", [KEY_FILE, ODD, "plain-secret"])
@pytest.mark.parametrize(
    "written",
    [
        str,
        repr,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: repr({"a'\"": f"x'\"{text}"}),
        lambda text: repr(KeyError(text)),
        lambda text: f"https://host/?key={quote(text, safe='')}",
        lambda text: " ".join(text.split()),
    ],
)
def test_a_secret_is_found_however_it_is_written(secret: str, written: object) -> None:
    assert callable(written)
    hidden = Hider([secret]).hide(f"got {written(secret)} here")

    assert "***" in hidden
    for part in ("BEGIN", "MIIE", "q8w7", "w/d", "w%2Fd", "plain"):
        assert part not in hidden


def test_the_lines_of_a_secret_are_found_alone_and_indented() -> None:
    indented = "\n".join(f"  | {line}" for line in KEY_FILE.splitlines())

    for secret in (KEY_FILE, KEY_FILE.replace("\n", "\\n")):
        assert Hider([secret]).hide(indented) == "\n".join(["  | ***"] * 4)
