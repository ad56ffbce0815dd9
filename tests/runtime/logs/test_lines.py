"""The lines that a process logs: JSON, or readable ones that nobody can forge."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockrion.policy.redaction import RedactionRules
from dockrion.runtime.logfile import LogFile
from dockrion.runtime.logs import json_line, level_word, readable

from .kit import ALWAYS, Logged, Terminal, log

# JSON lines


def test_a_line_has_the_contracts_fields_first_then_the_records_own(logged: Logged) -> None:
    logged.handler.agent = "speller"

    log.warning("output is invalid", extra={"events": 3, "pointers": ["/a"]})

    [line] = logged.lines
    assert list(line) == [*ALWAYS, "logger", "events", "pointers"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"], line["agent"]) == ("warn", "output is invalid", "speller")
    assert line["request_id"] is line["run_id"] is line["trace_id"] is None
    assert (line["events"], line["pointers"]) == (3, ["/a"])


def test_ids_that_a_record_brings_stand_in_their_place(logged: Logged) -> None:
    log.info("x", extra={"run_id": "r-1", "trace_id": "t-1"})

    [line] = logged.lines
    assert list(line) == [*ALWAYS, "logger"]
    assert (line["run_id"], line["trace_id"]) == ("r-1", "t-1")


def test_a_field_of_the_agents_own_never_takes_the_place_of_ours(logged: Logged) -> None:
    log.info("real", extra={"event": "forged", "level": "error", "agent": "other"})

    [line] = logged.lines
    assert (line["event"], line["level"], line["agent"]) == ("real", "info", None)
    assert (line["event_"], line["level_"], line["agent_"]) == ("forged", "error", "other")


def test_an_exception_is_a_field_of_its_line(logged: Logged) -> None:
    try:
        raise ValueError("of the\nagent")
    except ValueError:
        log.exception("agent raised")

    [line] = logged.lines
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: of the\nagent")


@pytest.mark.parametrize(
    "separator", ["\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]
)
def test_no_text_starts_a_line_of_its_own(logged: Logged, separator: str) -> None:
    forged = f'x{separator}{{"event":"forged"}}'

    log.warning("%s", forged, extra={"field": forged, forged: forged})

    [line] = logged.text.splitlines()
    assert json.loads(line)["event"] == json.loads(line)["field"] == forged


def test_any_value_can_be_logged(logged: Logged) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)

    log.warning("odd", extra={"a": object, "b": float("nan"), "c": "\ud800", "d": cycle, "e": b"x"})

    [line] = logged.lines
    assert line["b"] is None
    assert line["c"] == "\ufffd"


@pytest.mark.parametrize(
    ("number", "word"),
    [(5, "debug"), (10, "debug"), (20, "info"), (25, "info"), (30, "warn"), (40, "error"), (50, "critical")],
)  # fmt: skip
def test_levels_have_the_dockfiles_words(number: int, word: str) -> None:
    assert level_word(number) == word


def test_secrets_are_replaced_wherever_they_stand(logged: Logged) -> None:
    logged.handler.hide(["s3cr3t", "s3cr3t-and-more", "abc"])
    try:
        raise ValueError("key s3cr3t")
    except ValueError:
        log.exception("s3cr3t-and-more abc", extra={"n": {"s3cr3t": ["s3cr3t", Path("/s3cr3t")]}})

    [line] = logged.lines
    assert "s3cr3t" not in logged.text
    # Three letters hide nothing: they would be in half of all words.
    assert line["event"] == "*** abc"
    assert line["n"] == {"***": ["***", "/***"]}
    assert line["exception"].endswith("ValueError: key ***")


def test_the_names_of_a_records_own_fields_are_hidden_and_redacted_too(logged: Logged) -> None:
    logged.handler.hide(["s3cr3t"])
    logged.handler.rules = RedactionRules([r"\w+@\w+"])
    log.info("hello", extra={"s3cr3t": 1, "a@b": 2})

    [line] = logged.lines
    assert (line["***"], line["[REDACTED]"]) == (1, 2)
    assert "s3cr3t" not in logged.text
    assert "a@b" not in logged.text


def test_a_secret_of_many_lines_is_in_no_traceback_and_no_file(
    logged_to: Callable[[io.StringIO], Logged], tmp_path: Path
) -> None:
    logged = logged_to(Terminal())
    logged.handler.hide(["first-line-of-it\nsecond-line-of-it"])
    logged.handler.file = LogFile(tmp_path / "a.log")
    try:
        try:
            raise KeyError("first-line-of-it\nsecond-line-of-it")
        except KeyError as exc:
            raise ExceptionGroup("first-line-of-it\nsecond-line-of-it", [exc]) from exc
    except ExceptionGroup:
        logging.getLogger("uvicorn.error").exception("first-line-of-it\nsecond-line-of-it")

    for text in (logged.text, (tmp_path / "a.log").read_text()):
        assert "***" in text
        assert "line-of-it" not in text


def test_a_secret_that_is_a_number_or_a_word_of_ours_is_replaced_too(
    logged_to: Callable[[io.StringIO], Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    logged = logged_to(Terminal())
    logged.handler.hide(["info", "48151623"])

    log.info("info", extra={"pin": 48151623, "on": True})

    assert logged.text.endswith(" info  ***  pin=*** on=True\n")


def test_a_message_that_cannot_be_formatted_is_told_without_its_arguments(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    # Past pytest's own handler, which raises.
    record = logging.LogRecord("tests.agent", 30, "", 0, "%d of %d", ("s3cr3t",), None)
    logged.handler.handle(record)

    [line] = logged.lines
    assert line["event"] == "'%d of %d' cannot be formatted: TypeError"
    assert capsys.readouterr().err == ""


# At a terminal


def test_a_terminal_gets_readable_coloured_lines(
    logged_to: Callable[[io.StringIO], Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    logged = logged_to(Terminal())

    log.warning("output is invalid", extra={"run_id": "r-1"})

    assert "\x1b[33mwarn \x1b[0m output is invalid" in logged.text
    assert "run_id=r-1" in logged.text
    assert "null" not in logged.text


@pytest.mark.parametrize(("name", "setting"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_switched_off(
    logged_to: Callable[[io.StringIO], Logged],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    setting: str,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(name, setting)
    logged = logged_to(Terminal())

    log.warning("plain", extra={"n": 1})

    assert logged.text.endswith(" warn  plain  n=1\n")
    assert "\x1b" not in logged.text


def test_no_text_moves_the_cursor_or_starts_a_line_at_a_terminal() -> None:
    forged = "x\n12:00:00 info  forged \x1b[2J\x9b\u202e"
    fields = {"level": "error", "event": forged, "n": forged, "exception": f"ValueError: {forged}"}

    head, *traceback = readable(fields, colours=False).splitlines()

    assert head.endswith("n=x\\n12:00:00 info  forged \\x1b[2J\\x9b\\u202e")
    assert all(line.startswith("    ") for line in traceback)
    assert "\x1b" not in "".join([head, *traceback])


def test_json_lines_are_not_changed_where_nothing_has_to_be() -> None:
    assert json_line({"a": "é\u2028"}) == '{"a":"é\\u2028"}'.encode()
