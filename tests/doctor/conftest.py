"""Cases to examine: a Dockfile with its agent in the test's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import pytest

from dockrion.doctor.base import Case, Finding, Status, open_case

SERVICE = (
    "async def words(payload):\n    for word in payload['query'].split():\n        yield word\n"
)


class MakeCase(Protocol):
    def __call__(
        self, *, service: str = SERVICE, seconds: float = 30.0, **sections: Any
    ) -> Case: ...


@pytest.fixture
def make_case(tmp_path: Path) -> MakeCase:
    """Write a Dockfile and its agent, and open the case."""

    def make(*, service: str = SERVICE, seconds: float = 30.0, **sections: Any) -> Case:
        (tmp_path / "service.py").write_text(service)
        dockfile = {
            "version": "1.0",
            "agent": {"name": "speller", "handler": "service:words"},
            "io_schema": {},
            "expose": {},
            **sections,
        }
        path = tmp_path / "Dockfile.yaml"
        path.write_text(json.dumps(dockfile))
        return open_case(path, agent_seconds=seconds)

    return make


def problems(findings: list[Finding]) -> list[Finding]:
    """Return what is a warning or an error, each of which has a hint."""
    found = [one for one in findings if one.status in (Status.WARNING, Status.ERROR)]
    assert all(one.hint for one in found), found
    return found


def only(findings: list[Finding]) -> Finding:
    """Return the one problem."""
    (found,) = problems(findings)
    return found
