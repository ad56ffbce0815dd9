"""The TypeScript client's own tests, against its package as it would be published."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from .typescript import CLIENT, install_client, run

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = sorted((CLIENT / "test").glob("*.test.mjs"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = install_client(tmp_path_factory.mktemp("client"))
    shutil.copytree(CLIENT / "test", folder / "test")
    return folder


def test_there_are_tests() -> None:
    assert len(PROGRAMS) >= 3


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_client_keeps_its_laws(project: Path, program: Path) -> None:
    said = run("node", "--test", f"test/{program.name}", cwd=project)
    passed = re.search(r"^# pass (\d+)$", said, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= 5


def test_the_package_holds_what_it_needs_and_no_more(project: Path) -> None:
    said = run(
        "npm",
        "pack",
        "--dry-run",
        "--json",
        "--ignore-scripts",
        cwd=project / "node_modules/dockrion-client",
    )
    names = set(re.findall(r'"path": "([^"]+)"', said))
    assert {"package.json", "dist/index.js", "dist/index.d.ts"} <= names
    assert all(name == "package.json" or name.startswith("dist/") for name in names)
