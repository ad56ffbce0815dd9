"""The files and folders that ARCHITECTURE.md and SECURITY.md name are there, and every part of the house has its row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "src" / "dockrion"
# A file of ours by its name, or a path of ours with a folder in it.
NAMED = re.compile(r"`((?:[a-z_*]+/)*[a-z_0-9*]+\.py|(?:[a-z_0-9-]+/)+)`")


def is_there(name: str) -> bool:
    tests = ROOT / "tests"
    places = (ROOT, ROOT / "src", tests, tests / "contracts")
    if any(next(place.glob(name.rstrip("/")), None) for place in places):
        return True
    return next(HOUSE.rglob(name.rstrip("/")), None) is not None


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "SECURITY.md"])
def test_what_is_named_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(NAMED.findall(text)) | set(re.findall(r"`(tests/[^`]+)`", text))
    assert len(named) > 20
    assert not {name for name in named if not is_there(name)}


def test_every_part_of_the_house_has_its_row() -> None:
    rows = re.findall(r"(?m)^\| (`.*?) \|", (ROOT / "ARCHITECTURE.md").read_text())
    told = {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)}
    parts = {part.name for part in HOUSE.iterdir() if part.suffix == ".py" or part.is_dir()}
    assert told == parts - {"__init__.py", "__pycache__"}


def test_every_wire_of_a_protocol_is_named() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    folders = {path.name for path in (HOUSE / "wires").iterdir() if (path / "__init__.py").exists()}
    assert {name for name in folders if f"`{name}/`" in text} == folders
