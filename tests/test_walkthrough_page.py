"""docs/walkthrough.md, walked through: its files written, its commands run in their order, what they print as it says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from ruamel.yaml import YAML

from tests.cli.conftest import Running, running

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/walkthrough.md").read_text()
EXAMPLE = ROOT / "examples/invoice-assistant"
ADDRESS = "http://localhost:8080"


class Block(NamedTuple):
    language: str
    text: str
    file: str | None


class Command(NamedTuple):
    line: str
    prints: list[str]


def blocks() -> Iterator[Block]:
    for match in re.finditer(
        r"^(?:`(\S+)`:\n\n)?```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
    ):
        file, language, text = match.groups()
        yield Block(language, text, file)


def commands(console: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        fragments = [piece for one in printed.splitlines() for piece in one.split("…")]
        yield Command(line, [piece.strip() for piece in fragments if piece.strip()])


class Walk:
    """A folder in which the page is followed, and the server that runs there, if any."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._server: Running | None = None
        self._environment = {
            **{n: v for n, v in os.environ.items() if n not in ("DOCKRION_API_KEY", "REDIS_URL")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def follow(self, block: Block) -> None:
        if block.file is not None:
            (self.folder / block.file).write_text(block.text)
        elif block.text.startswith("# Dockfile.yaml\n"):
            self._put(block.text.partition("\n")[2])
        elif block.language == "console":
            for command in commands(block.text):
                self._run(command)
        elif block.language == "python":
            self._checked([sys.executable, "-c", self._here(block.text)], ["Complete("])

    def _put(self, section: str) -> None:
        path = self.folder / "Dockfile.yaml"
        key = section.partition(":")[0]
        text, found = re.subn(
            rf"^{key}:.*?(?=^[a-z]|\Z)",
            lambda _: f"{section}\n",
            path.read_text(),
            flags=re.MULTILINE | re.DOTALL,
        )
        path.write_text(text if found else f"{text}\n{section}")

    def _run(self, command: Command) -> None:
        if command.line == "dockrion run" and not command.prints:
            self._stack.close()
            self._server = self._stack.enter_context(running(self.folder))
            self._server.until_ready()
        else:
            self._checked(shlex.split(self._here(command.line)), command.prints)

    def _checked(self, arguments: list[str], prints: list[str]) -> None:
        done = subprocess.run(
            arguments,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = done.stderr + done.stdout
        fails = any(piece.startswith("Error:") for piece in prints)
        assert done.returncode == (1 if fails else 0), f"{arguments}: {said}"
        for piece in prints:
            assert piece in said, f"{arguments}: {piece!r} is not in {said}"

    def _here(self, text: str) -> str:
        return text if self._server is None else text.replace(ADDRESS, self._server.url)


@pytest.mark.timeout(300)
def test_the_walkthrough_ends_where_the_example_is(tmp_path: Path) -> None:
    with ExitStack() as stack:
        walk = Walk(tmp_path, stack)
        for block in blocks():
            walk.follow(block)
            if block.file == "agent.py":
                # Which the page takes from the example.
                for name in ("invoices.py", "invoice.json"):
                    shutil.copy(EXAMPLE / name, tmp_path)

    for name in ("agent.py", "suppliers.json"):
        assert (tmp_path / name).read_text() == (EXAMPLE / name).read_text()
    yaml = YAML(typ="safe")
    made, example = (yaml.load(folder / "Dockfile.yaml") for folder in (tmp_path, EXAMPLE))
    for section in ("io_schema", "policies", "build"):
        assert made[section] == example[section]


def test_every_link_leads_somewhere() -> None:
    for path in re.findall(r"\]\(((?!http)[^)#]+)", PAGE):
        assert (ROOT / "docs" / path).exists(), path
