"""The published corpus of the injection filter: texts that must be refused, and texts that must pass."""

from __future__ import annotations

import json
from pathlib import Path


def texts(name: str) -> list[str]:
    """Return the texts of `attacks` or `ordinary`; in a file, `\\n` and `\\u....` mean what they do in JSON."""
    lines = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").split("\n")
    return [_text(line) for line in lines if line and not line.startswith("# Payloads")]


def _text(line: str) -> str:
    return (
        json.loads('"' + line.replace('"', '\\"').replace('\\\\"', '\\\\\\"') + '"')
        if "\\" in line
        else line
    )
