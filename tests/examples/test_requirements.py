"""The packages of examples come from the lock, so that they are the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKED = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("examples/*/requirements.txt")), ids=lambda path: path.parent.name
)
def test_what_an_example_needs_is_in_the_lock(file: Path) -> None:
    needed = set(re.findall(r"^([\w.-]+)", file.read_text(), re.MULTILINE))
    assert needed
    assert needed <= LOCKED
