"""`docs/clients.md` names the clients that are installed, and tests that are there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from dockrion.runtime.banner import banner
from dockrion.runtime.front_ends import why_nothing_is_at
from dockrion.spec import read_dockfile

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "clients.md").read_text()
_ROW = re.compile(
    r"^\| `(?P<name>[^`]+)` (?P<version>\d[^ ]*) \((?P<registry>PyPI|npm)\)", re.MULTILINE
)


def test_versions_are_those_that_are_tried() -> None:
    npm = json.loads((ROOT / "tests" / "clients" / "package.json").read_text())["dependencies"]
    rows = [match.group("name", "version", "registry") for match in _ROW.finditer(PAGE)]
    for name, said, registry in rows:
        assert said == (version(name) if registry == "PyPI" else npm[name]), name
    assert {(name, registry) for name, _, registry in rows} >= {
        ("openai", "PyPI"),
        ("openai", "npm"),
        ("langchain-openai", "PyPI"),
        ("@ag-ui/client", "npm"),
        ("@ai-sdk/react", "npm"),
        ("ai", "npm"),
        ("mcp", "PyPI"),
        ("@modelcontextprotocol/sdk", "npm"),
        ("@modelcontextprotocol/client", "npm"),
        ("a2a-sdk", "PyPI"),
        ("@a2a-js/sdk", "npm"),
        ("websockets", "PyPI"),
        ("ws", "npm"),
    }


def test_every_client_has_something_to_say_in_each_column() -> None:
    _, _, table = PAGE.partition("## What works with each")
    head, _, *rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")]
    assert rows
    for row in rows:
        assert len(row) == len(head)
        assert all(cell.strip() for cell in row), row


def test_notes_and_tests_that_are_named_are_there() -> None:
    used = set(re.findall(r"\((\d+)\)", PAGE))
    assert used == set(re.findall(r"(?m)^(\d+)\. ", PAGE))
    places = re.findall(r"`((?:tests|web)/[\w/.]+)`", PAGE)
    assert places
    for place in places:
        assert (ROOT / place).exists(), place


def test_what_the_page_does_from_nothing_is_what_happens(tmp_path: Path) -> None:
    [block] = re.findall(r"(?ms)^```console\n(.*?)^```$", PAGE)
    [line] = re.findall(r"(?m)^\$ dockrion (init .*)$", block)
    command = [str(Path(sys.executable).with_name("dockrion")), *shlex.split(line)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    environ = {"DOCKRION_API_KEY": "0" * 64}
    spec = read_dockfile(tmp_path / "Dockfile.yaml", environ=environ).spec
    shown = banner(spec, host=spec.expose.host, port=spec.expose.port, seconds=1.2).splitlines()
    said = block[block.index("my-agent is ready") :].splitlines()
    assert len(shown) == len(said)
    for one, other in zip(shown, said, strict=True):
        beginning, more, _ = other.partition("…")
        assert one.startswith(beginning) if more else one == other

    without = spec.model_copy(update={"expose": spec.expose.model_copy(update={"protocols": ()})})
    assert f"404 `There is nothing at /mcp: {why_nothing_is_at(without, '/mcp')}.`" in PAGE
