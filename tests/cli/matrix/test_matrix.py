"""Every row of the table in a terminal and in a pipe, and every command and option in the table."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from dockrion.cli.commands import COMMANDS, cli

from ..conftest import running
from .project import environment_in, make_project
from .table import ANY_VALUE, ROWS, Row

SERVER = Path(__file__).with_name("server.py")
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Calling = Callable[..., Answer]


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Generator[subprocess.Popen[str]]:
    folder = tmp_path_factory.mktemp("forks") / "project"
    make_project(folder)
    with subprocess.Popen(
        [sys.executable, str(SERVER), str(folder / "Dockfile.yaml")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("served") / "project"
    make_project(folder)
    with running(folder / "Dockfile.yaml") as server:
        server.until_ready()
        yield server.url


@pytest.fixture
def calling(forks: subprocess.Popen[str], tmp_path: Path) -> Calling:
    """Call the command line in a folder of its own, on a terminal or with pipes."""
    folder = tmp_path / "project"
    make_project(folder)

    def call(
        words: list[str],
        *,
        terminal: bool,
        typed: str = "",
        interrupt_at: str = "",
        encoding: str = "utf-8",
        **environment: str,
    ) -> Answer:
        assert forks.stdin is not None
        assert forks.stdout is not None
        job = {
            "arguments": words,
            "folder": str(folder),
            "environment": {**environment_in(folder), **environment},
            "typed": typed,
            "terminal": terminal,
            "interrupt_at": interrupt_at,
            "encoding": encoding,
        }
        forks.stdin.write(json.dumps(job) + "\n")
        forks.stdin.flush()
        return Answer(**json.loads(forks.stdout.readline()))

    return call


@pytest.mark.parametrize("way", ["terminal", "pipe"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.line}={row.code}")
def test_every_row(row: Row, way: str, calling: Calling, request: pytest.FixtureRequest) -> None:
    if row.only not in ("", way):
        return
    words = [_filled(word, request) for word in row.words]

    answer = calling(words, terminal=way == "terminal", typed=row.typed, interrupt_at=row.stop_at)

    everything = answer.out + answer.err
    assert answer.code == row.code, everything
    assert ("Traceback" in everything) is ("--debug" in words and row.code == 1), everything
    if way == "terminal":
        screen = _STYLE.sub("", answer.out.replace("\r\n", "\n"))
        assert row.out in screen
        assert row.said in screen
    else:
        assert "\x1b" not in everything
        assert row.out in answer.out
        assert row.said in answer.err
        if row.code:
            _check_error(row, answer)
        if "--json" in words:
            json.loads(answer.out)


def _check_error(row: Row, answer: Answer) -> None:
    """Check the form of what a failed call says: a message and a hint, or how it is used; all on standard error."""
    if row.code == 2:
        assert "Usage: dockrion" in answer.err
    elif row.code == 1:
        assert re.search(r"^(Error:|✗ )", answer.err, re.MULTILINE) or "--json" in row.words
        assert re.search(r"^Hint: ", answer.err, re.MULTILINE) or "--json" in row.words
    if "--json" not in row.words and row.words[:1] != ["logs"]:
        assert answer.out == ""


def _filled(word: str, request: pytest.FixtureRequest) -> str:
    if word not in ("{url}", "{port}"):
        return word
    url: str = request.getfixturevalue("served")
    return url if word == "{url}" else url.rpartition(":")[2]


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its name, and those of groups."""
    for name in COMMANDS:
        command: click.Command = import_module(f"dockrion.cli.{name}").command
        yield name, command
        if isinstance(command, click.Group):
            for below, one in command.commands.items():
                yield f"{name} {below}", one


def options() -> Iterator[tuple[str, click.Option, str]]:
    """Yield every spelling of every option."""
    for name, command in [("", cli), *commands()]:
        for option in command.params:
            if isinstance(option, click.Option):
                for spelling in (*option.opts, *option.secondary_opts):
                    yield name, option, spelling


def rows_of(name: str) -> list[Row]:
    """Return the rows of a command, without those of the commands below it."""
    words = name.split()
    below = {command for command, _ in commands() if command.startswith(f"{name} ")}
    return [
        row
        for row in ROWS
        if row.words[: len(words)] == words
        and not any(row.words[: len(one.split())] == one.split() for one in below)
    ]


def uses(row: Row, spelling: str) -> bool:
    if spelling.startswith("--"):
        return any(word == spelling or word.startswith(f"{spelling}=") for word in row.words)
    return any(re.fullmatch(rf"-[A-Za-z]*{spelling[1]}[A-Za-z]*", word) for word in row.words)


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_is_used_well_and_badly(name: str) -> None:
    codes = {row.code for row in rows_of(name)}

    assert 0 in codes
    assert codes & {1, 2}


@pytest.mark.parametrize(
    ("name", "option", "spelling"),
    [one for one in options() if "--debug" not in one[1].opts],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_every_option_is_in_the_table(name: str, option: click.Option, spelling: str) -> None:
    rows = rows_of(name)

    assert any(uses(row, spelling) for row in rows), f"no row has {name} {spelling}"
    well = [row for row in rows if row.code == 0]
    assert (
        any(uses(row, one) for row in well for one in option.opts) or (name, spelling) in ANY_VALUE
    )
    if option.is_flag or any((name, one) in ANY_VALUE for one in option.opts):
        return
    badly = [row for row in rows if row.code in (1, 2)]
    assert any(uses(row, one) for row in badly for one in option.opts), "no row has a bad value"


def test_colours_are_for_terminals_that_want_them(calling: Calling) -> None:
    words = ["init", "speller", "-f"]

    assert "\x1b[32m✓\x1b[0m Dockfile.yaml" in calling(words, terminal=True).out
    assert "\x1b" not in calling(words, terminal=True, NO_COLOR="1").out
    assert "\x1b" not in calling(words, terminal=True, TERM="dumb").out


def test_a_terminal_that_is_not_utf_8_gets_what_it_can_show(calling: Calling) -> None:
    answer = calling(["validate"], terminal=True, encoding="latin-1")

    assert answer.code == 0
    assert "? Dockfile is valid" in answer.out
