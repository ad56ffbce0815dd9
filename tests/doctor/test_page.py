"""docs/doctor.md says what `dockrion doctor` does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from dockrion.doctor.base import Status
from dockrion.doctor.checks import CHECKS
from dockrion.doctor.stream.target import StreamCheck

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
HERE, REST = PAGE.split("## A deployed agent")
DEPLOYED, PROGRAMS = REST.split("## For programs")


def test_every_check_has_its_row_in_order() -> None:
    assert re.findall(r"(?m)^\| `([^`]+)` \|", HERE) == [check.name for check in CHECKS]


def test_every_check_of_a_stream_has_its_row() -> None:
    rows = re.findall(r"(?m)^\| (`.+?) \|", DEPLOYED)
    documented = [name for row in rows for name in re.findall(r"`([\w -]+)`", row)]

    # The others are about the agent and what was asked of it, not about the way.
    assert [*documented, "payload", "stream", "agent"] == sorted(
        get_args(StreamCheck), key=lambda name: name in ("payload", "stream", "agent")
    )


def test_every_status_is_told() -> None:
    told = PROGRAMS.split("`status` is")[1].partition("have a hint")[0]

    assert set(re.findall(r"`(\w+)`", told)) == set(Status)
