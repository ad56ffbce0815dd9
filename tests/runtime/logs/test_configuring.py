"""What a process configures, and what Python tells by itself."""

from __future__ import annotations

import gc
import json
import logging
import threading
import warnings
from pathlib import Path

import pytest

from dockrion.runtime.logfile import log_path
from dockrion.runtime.logs import LogHandler, configure_logging, keep_log, log_as

from .kit import log, spec_with


@pytest.mark.usefixtures("root_restored")
def test_the_level_is_that_of_the_dockfile_unless_everything_was_asked_for() -> None:
    configure_logging()
    log_as(spec_with(log_level="warn"))
    assert logging.getLogger().level == logging.WARNING

    configure_logging(verbose=True)
    log_as(spec_with(log_level="error"))
    assert logging.getLogger("dockrion.runs").isEnabledFor(logging.DEBUG)


@pytest.mark.usefixtures("root_restored")
def test_a_process_that_logs_its_own_way_is_left_alone(tmp_path: Path) -> None:
    root = logging.getLogger()
    root.setLevel(logging.CRITICAL)
    log_as(spec_with(log_level="debug"))
    keep_log(log_path(tmp_path, "test"))

    assert root.level == logging.CRITICAL
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("root_restored")
def test_the_log_file_has_json_lines_whatever_the_terminal_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(for_people=True)
    keep_log(log_path(tmp_path, "test"))

    log.warning("both", extra={"n": 1})

    path = tmp_path / ".dockrion_runtime" / "logs" / "test.log"
    [line] = path.read_text().splitlines()
    assert json.loads(line)["event"] == "both"
    assert capsys.readouterr().err.endswith("warn  both  n=1\n")


@pytest.mark.usefixtures("root_restored")
def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".dockrion_runtime").write_text("in the way")
    configure_logging()
    keep_log(log_path(tmp_path, "test"))
    log.warning("still here")

    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["event"] == "log file cannot be written"
    assert first["file"].endswith("test.log")
    assert first["reason"]
    assert second["event"] == "still here"


@pytest.mark.usefixtures("root_restored")
def test_what_python_tells_by_itself_is_logged_and_hides_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Closing:
        def __del__(self) -> None:
            raise ValueError("s3cr3t-value in a finalizer")

    def in_thread() -> None:
        raise ValueError("s3cr3t-value in a thread")

    configure_logging()
    for handler in logging.getLogger().handlers:
        assert isinstance(handler, LogHandler)
        handler.hide(["s3cr3t-value"])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # As it is outside of pytest, which keeps warnings for itself.
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("s3cr3t-value is old", stacklevel=1)
        logging.captureWarnings(capture=False)
    thread = threading.Thread(target=in_thread, name="of-the-agent")
    thread.start()
    thread.join()
    del_me = Closing()
    del del_me
    gc.collect()

    warning, raised, ignored = map(json.loads, capsys.readouterr().err.splitlines())
    assert (warning["logger"], warning["level"]) == ("py.warnings", "warn")
    assert "UserWarning: *** is old" in warning["event"]
    assert (raised["event"], raised["in_thread"]) == ("thread raised", "of-the-agent")
    assert raised["exception"].endswith("ValueError: *** in a thread")
    assert ignored["event"] == "exception is ignored"
    assert ignored["raised_in"].endswith("Closing.__del__")
