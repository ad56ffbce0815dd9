"""docs/errors.md lists every error that there is, with its status."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from dockrion.errors import DockrionError, status_for
from dockrion.runtime import protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[1] / "docs" / "errors.md").read_text()
OVER_HTTP, FROM_PYTHON = PAGE.split("## From Python")


def test_every_code_of_an_answer_is_there_with_its_statuses() -> None:
    documented: defaultdict[str, set[int]] = defaultdict(set)
    code = ""
    for named, status in re.findall(r"(?m)^\| (?:`(\w+)` )?\| (\d{3}) \|", OVER_HTTP):
        code = named or code
        documented[code].add(int(status))

    assert documented == {code: statuses()[code] for code in documented}


def test_every_other_code_is_there_without_one() -> None:
    documented = set(re.findall(r"(?m)^\| `(\w+)` \| \d{3} \|", OVER_HTTP))
    others = set(re.findall(r"(?m)^\| `(\w+)` \|", FROM_PYTHON))

    assert documented | others == set(statuses())
    assert not documented & others
    # What a caller may hear is what a client knows the status of.
    assert all(status_for(code) == 500 for code in others)
    assert {c for c in statuses() if status_for(c) != 500} <= documented


def statuses() -> dict[str, set[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for cls in tree(DockrionError):
        found[cls.code].add(cls.status)
    return found


def tree(cls: type[DockrionError]) -> Iterator[type[DockrionError]]:
    yield cls
    for below in cls.__subclasses__():
        # Those of other tests are none of ours.
        if below.__module__ in ("dockrion.errors", protocol.__name__):
            yield from tree(below)
