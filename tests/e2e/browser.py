"""A real Chromium that reaches nothing but this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

CLIENTS = Path(__file__).parents[1] / "clients"
TIMEOUT_SECONDS = 90.0


class Page(NamedTuple):
    """What to look at, what to click there in turn, and the selector of what has to be seen then."""

    url: str
    until: str
    clicks: tuple[str, ...] = ()


class Looked(NamedTuple):
    """The text that was seen, the URLs that were asked for or blocked by the page's policy, and what went wrong."""

    text: str
    requests: list[str]
    blocked: list[str]
    problems: list[str]


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def look(pages: list[Page]) -> list[Looked]:
    """Look at all pages in one browser."""
    said = in_chromium("pages.mjs", pages=[page._asdict() for page in pages])
    return [Looked(**json.loads(line)) for line in said.split("\n") if line]


def in_chromium(script: str, **job: Any) -> str:
    """Run a script of `tests/clients` on a job, and return what it prints."""
    node = subprocess.run(
        ["node", script],
        cwd=CLIENTS,
        input=json.dumps({"chromium": chromium(), **job}),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_SECONDS,
    )
    assert node.returncode == 0, node.stderr
    return node.stdout
