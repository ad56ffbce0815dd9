"""`dockrion logs`: lines as they stand in the file, the last ones, and those that follow."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockrion.cli import logs
from dockrion.runtime import logfile

from .conftest import Result, command_line

Call = Callable[..., Result]
LOG = Path(".dockrion_runtime", "logs", "speller.log")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    LOG.parent.mkdir(parents=True)
    LOG.write_bytes(b"".join(b"line %d\n" % number for number in range(150)))


@contextmanager
def following(*arguments: str) -> Generator[subprocess.Popen[bytes]]:
    """Run `dockrion logs --follow`, from the moment when it has printed the last line."""
    line = command_line(["logs", "speller", "-n", "1", *arguments])
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert read_line(process) == b"line 149\n"
            yield process
        finally:
            process.kill()


def read_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    # Unbuffered, or a second line would wait in a buffer that `select` knows nothing of.
    found = b""
    while not found.endswith(b"\n"):
        assert select.select([process.stdout], [], [], 60)[0], "nothing came"
        piece = os.read(process.stdout.fileno(), 1)
        assert piece, "it ended"
        found += piece
    return found


def test_the_folder_is_the_one_that_servers_log_to() -> None:
    assert logs._FOLDER == logfile.FOLDER


def test_it_prints_the_last_hundred_lines(call: Call) -> None:
    result = call("logs", "speller")

    assert result == (0, "".join(f"line {number}\n" for number in range(50, 150)), "")


@pytest.mark.parametrize("lines", [0, 1, 149, 150, 100_000])
def test_it_prints_as_many_lines_as_are_wanted(call: Call, lines: int) -> None:
    result = call("logs", "speller", "-n", str(lines))

    assert (
        result.out.splitlines()
        == [f"line {number}" for number in range(150)][150 - min(150, lines) :]
    )


def test_lines_stay_as_they_are(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    LOG.write_bytes(b'\x1b[1m{"a": "\xff\xe9"}\r\n\n no end')

    logs.command.main(["speller"], standalone_mode=False)

    assert capsysbinary.readouterr().out == LOG.read_bytes()


def test_older_files_give_what_the_newest_has_not(call: Call) -> None:
    LOG.rename(f"{LOG}.1")
    LOG.write_text("line 150\n")

    result = call("logs", "speller", "-n", "2", "-v")

    assert result.out == "line 149\nline 150\n"
    assert result.err == f"read {LOG}\nread {LOG}.1\n"


def test_an_unknown_agent_is_an_error_that_names_those_that_are_there(call: Call) -> None:
    LOG.with_name("echo.log").touch()

    result = call("logs", "spellar")

    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "Error: no agent 'spellar' has logged here\nHint: there are: echo, speller\n"
    )


@pytest.mark.parametrize("name", ["../speller", "x/../speller", "speller.log", ""])
def test_a_name_is_no_path(call: Call, name: str) -> None:
    assert call("logs", name).code == 1


def test_where_nothing_was_logged_it_says_what_would(call: Call) -> None:
    LOG.unlink()

    result = call("logs", "speller")

    assert result.code == 1
    assert "Hint: `dockrion run` writes one" in result.err


@pytest.mark.parametrize("arguments", [(), ("speller", "-n", "-1"), ("speller", "-n", "few")])
def test_wrong_usage_is_2(call: Call, arguments: tuple[str, ...]) -> None:
    assert call("logs", *arguments).code == 2


def test_a_log_that_cannot_be_read_is_an_error(call: Call) -> None:
    LOG.unlink()
    LOG.mkdir()

    result = call("logs", "speller")

    assert result.code == 1
    assert result.err.startswith(f"Error: {LOG} cannot be read: Is a directory\nHint: ")


def test_following_goes_on_through_a_rename_and_ends_with_0_on_ctrl_c() -> None:
    with following("--follow") as process:
        with LOG.open("a") as file:
            file.write("line 150\n")
        assert read_line(process) == b"line 150\n"
        with LOG.open("a") as file:
            file.write("line 151\n")
        LOG.rename(f"{LOG}.1")
        LOG.write_text("line 152\n")
        assert read_line(process) == b"line 151\n"
        assert read_line(process) == b"line 152\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_following_ends_when_nobody_reads_any_more() -> None:
    with following("-f") as process:
        assert process.stdout is not None
        process.stdout.close()
        process.wait(60)
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_reader_that_has_enough_gets_no_error() -> None:
    LOG.write_bytes(b"x" * 200 + b"\n" * 100_000)

    with subprocess.Popen(
        command_line(["logs", "speller", "-n", "100000"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
