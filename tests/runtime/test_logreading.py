"""Reading a log back: the last lines of all its files, and no line twice or lost while files are renamed."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from dockrion.runtime import logfile
from dockrion.runtime.logfile import LogFile
from dockrion.runtime.logreading import LogReader


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[LogFile]:
    """A log whose files are full after 100 bytes."""
    monkeypatch.setattr(logfile, "MAX_BYTES", 100)
    file = LogFile(tmp_path / "agent.log")
    yield file
    file.close()


@pytest.fixture
def reader(log: LogFile) -> Generator[LogReader]:
    one = LogReader(log.path)
    yield one
    one.close()


def write(log: LogFile, *numbers: int) -> None:
    for number in numbers:
        assert log.write(line(number))


def line(number: int) -> bytes:
    return b"line %04d\n" % number


def lines(*numbers: int) -> bytes:
    return b"".join(map(line, numbers))


@pytest.mark.parametrize("wanted", [0, 1, 5, 10, 23, 24, 1000])
def test_the_last_lines_come_from_as_many_files_as_it_takes(
    log: LogFile, reader: LogReader, wanted: int
) -> None:
    write(log, *range(24))  # ten to a file

    assert b"".join(reader.last(wanted)) == lines(*range(max(0, 24 - wanted), 24))
    assert len(reader.read) == {0: 1, 1: 1, 5: 2, 10: 2, 23: 3, 24: 3, 1000: 3}[wanted]


@pytest.mark.parametrize("size", [1, 1 << 15, 1 << 16, 1 << 17])
def test_lines_of_every_length_are_found_in_blocks(tmp_path: Path, size: int) -> None:
    path = tmp_path / "agent.log"
    text = b"".join(b"%d" % (number % 10) * size + b"\n" for number in range(5))
    path.write_bytes(text + b"unfinished")

    reader = LogReader(path)
    assert b"".join(reader.last(3)) == text[-2 * (size + 1) :] + b"unfinished"
    reader.close()


def test_what_comes_after_is_read_once_and_in_order(log: LogFile, reader: LogReader) -> None:
    write(log, 1, 2)
    reader.last(1)

    assert b"".join(reader.more()) == b""
    write(log, 3)
    assert b"".join(reader.more()) == line(3)
    write(log, *range(4, 44))  # renamed four times
    assert b"".join(reader.more()) == lines(*range(4, 44))
    write(log, 44)
    assert b"".join(reader.more()) == line(44)


def test_half_a_line_is_ended_by_the_next_piece(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    path.write_bytes(b"one\nha")
    reader = LogReader(path)

    assert reader.last(1) == [b"ha"]
    with path.open("ab") as file:
        file.write(b"lf\n")
    assert b"".join(reader.more()) == b"lf\n"
    reader.close()


def test_a_file_that_is_emptied_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    path.write_bytes(b"one\ntwo\n")
    reader = LogReader(path)
    reader.last(1)

    path.write_bytes(b"new\n")

    assert b"".join(reader.more()) == b"new\n"
    reader.close()


def test_a_file_that_is_taken_away_is_waited_for(log: LogFile, reader: LogReader) -> None:
    write(log, 1)
    reader.last(1)
    log.path.unlink()

    assert b"".join(reader.more()) == b""
    write(log, 2)
    assert b"".join(reader.more()) == line(2)
