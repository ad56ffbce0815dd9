"""Dockfiles for tests: the smallest valid one, with parts put in by path."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from dockrion.errors import ValidationError
from dockrion.spec import DockSpec

if TYPE_CHECKING:
    from pathlib import Path

LEAST: dict[str, Any] = {
    "version": "1.0",
    "agent": {"name": "echo", "handler": "app.service:handle"},
    "io_schema": {},
    "expose": {},
}
LEAST_YAML = """\
version: "1.0"
agent:
  name: echo
  handler: app.service:handle
io_schema: {}
expose: {}
"""
SECRETS = """\
secrets:
  required:
    - name: NEEDED
    - {name: ALSO_NEEDED, description: the other one}
  optional:
    - name: NICE
"""


def dockfile(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the smallest Dockfile with `parts` put in, each under its dotted path."""
    data = copy.deepcopy(LEAST)
    for path, value in parts.items():
        *sections, name = path.split(".")
        section = data
        for key in sections:
            section = section.setdefault(key, {})
        section[name] = value
    return data


def spec_of(parts: dict[str, Any]) -> DockSpec:
    return DockSpec.model_validate(dockfile(parts))


def problems_of(parts: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        spec_of(parts)
    return caught.value.message.split("\n")


def write(folder: Path, more: str = "", *, least: str = LEAST_YAML) -> Path:
    """Write a Dockfile that is the smallest one and what follows."""
    path = folder / "Dockfile.yaml"
    path.write_text(least + more, encoding="utf-8")
    return path
