"""What docs/images.md says is so: its Dockfile section, its Python, and the list of what never goes into an image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dockrion.build import kept_out

from .projects import HANDLER, held, project

PAGE = (Path(__file__).parents[2] / "docs" / "images.md").read_text()
[SECTION] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
[PYTHON] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NEVER = PAGE.partition("### What never goes in")[2].partition("## The Dockerfile")[0]

NAMES = [pattern for pattern in kept_out.SECRET_FILES if not pattern.startswith("secret")]


@pytest.mark.parametrize("pattern", [*NAMES, *kept_out.SECRET_FOLDERS])
def test_every_name_of_a_secret_is_on_the_page(pattern: str) -> None:
    assert f"`{pattern.removesuffix('.backup')}`" in NEVER


def test_the_section_of_the_page_includes_what_it_says(tmp_path: Path) -> None:
    files = {
        "service.py": f"import words\n{HANDLER}",
        "words.py": "",
        "prompts/a.md": "",
        "prompts/b.tmp": "",
        "suppliers.json": "",
        "data/deep/x.csv": "",
        "data/raw/y.csv": "",
    }
    dockfile = project(tmp_path, files)
    dockfile.write_text(
        "version: '1.0'\nagent: {name: packed, handler: 'service:answer'}\nio_schema: {}\nexpose: {}\n"
        + SECTION
    )

    expected = {"service.py", "words.py", "prompts/a.md", "suppliers.json", "data/deep/x.csv"}
    assert held(dockfile) == expected


def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(
        tmp_path,
        {"service.py": HANDLER},
        agent={"name": "invoice-assistant", "handler": "service:answer"},
    )
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\nexit 0\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent))
    monkeypatch.chdir(tmp_path)
    page: dict[str, Any] = {}

    exec(PYTHON, page)

    assert page["image"] == "dockrion/invoice-assistant:v1"
    assert not (tmp_path / ".dockrion_runtime").exists()
