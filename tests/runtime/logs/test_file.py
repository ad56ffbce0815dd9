"""The log file: moved on, shared by writers, readable by its owner alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dockrion.runtime import logfile
from dockrion.runtime.logfile import LogFile, log_path
from dockrion.runtime.logs import configure_logging, keep_log

from .kit import log


def test_a_full_file_moves_on_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "MAX_BYTES", 10)
    monkeypatch.setattr(logfile, "OLD_FILES", 2)
    file = LogFile(tmp_path / "logs" / "a.log")
    for number in range(8):
        assert file.write(b"line%d\n" % number)
    file.close()

    texts = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert texts == {"a.log": "line7\n", "a.log.1": "line6\n", "a.log.2": "line5\n"}


def test_a_line_longer_than_the_limit_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "MAX_BYTES", 10)
    file = LogFile(tmp_path / "a.log")
    assert file.write(b"x" * 50)
    file.close()

    assert (tmp_path / "a.log").read_bytes() == b"x" * 50


def test_writers_of_one_file_lose_nothing_when_it_moves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "MAX_BYTES", 40)
    monkeypatch.setattr(logfile, "OLD_FILES", 50)
    files = [LogFile(tmp_path / "a.log") for _ in range(2)]
    for number in range(40):
        assert files[number % 2].write(b"line %02d\n" % number)
    for file in files:
        file.close()

    lines = sorted(line for path in tmp_path.iterdir() for line in path.read_text().splitlines())
    assert lines == [f"line {number:02d}" for number in range(40)]
    assert all(path.stat().st_size <= 40 for path in tmp_path.iterdir())


def test_a_file_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.log"
    file = LogFile(path)
    assert file.write(b"one\n")
    path.unlink()
    path.parent.rmdir()
    assert file.write(b"two\n")
    file.close()

    assert path.read_bytes() == b"two\n"


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    LogFile(tmp_path / "a.log").close()

    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("root_restored")
def test_a_file_that_cannot_be_written_any_more_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging()
    keep_log(log_path(tmp_path, "test"))
    folder = tmp_path / ".dockrion_runtime"
    (folder / "logs" / "test.log").unlink()
    (folder / "logs").rmdir()
    (folder / "logs").write_text("in the way")

    log.warning("one")
    log.warning("two")

    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["log file cannot be written any more", "one", "two"]
