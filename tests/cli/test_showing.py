"""What a command shows while it works: one line, below all else, and only in a terminal."""

from __future__ import annotations

import io
import sys
from time import sleep

import pytest

from dockrion.cli import showing
from dockrion.cli.showing import progress, styled


class Screen(io.StringIO):
    """A terminal that is a text."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Return what stands on it, each line as it was last written."""
        return [line.split("\x1b[K")[-1] for line in self.getvalue().split("\n")]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal to make standard error of; pytest puts its own in the place of what a fixture puts there."""
    monkeypatch.setattr(showing, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(showing, "_PACE_SECONDS", 0.001)
    monkeypatch.setenv("TERM", "xterm")
    return Screen()


def until(screen: Screen, text: str, *, times: int = 1) -> None:
    while screen.getvalue().count(text) < times:
        sleep(0.001)


@pytest.mark.timeout(30)
def test_what_is_said_meanwhile_stands_above_the_line_which_goes_in_the_end(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", screen)
    with progress("Thinking") as line:
        until(screen, "Thinking")
        print("first", file=sys.stderr)
        line.label = "Writing"
        until(screen, "Writing (0 s)", times=2)
        sys.stderr.writelines(["second\n", "third\n"])
        until(screen, "Writing (0 s)", times=4)

    assert screen.lines() == ["first", "second", "third", ""]
    assert sys.stderr is screen


@pytest.mark.timeout(30)
def test_a_line_that_somebody_began_is_left_to_be_ended(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", screen)
    with progress("Thinking"):
        until(screen, "Thinking")
        sys.stderr.write("half")
        shown = screen.getvalue().count("Thinking")
        sys.stderr.write(" a line\n")
        until(screen, "Thinking", times=shown + 1)

    assert screen.lines() == ["half a line", ""]


@pytest.mark.parametrize(("terminal", "term"), [(False, "xterm"), (True, "dumb")])
def test_where_nobody_reads_along_nothing_is_shown(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str
) -> None:
    monkeypatch.setattr(screen, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", screen)

    with progress("Thinking"):
        print("said", file=sys.stderr)

    assert screen.getvalue() == "said\n"


@pytest.mark.parametrize(
    ("environment", "shown"),
    [({}, "\x1b[32mx\x1b[0m"), ({"NO_COLOR": "1"}, "x"), ({"TERM": "dumb"}, "x")],
)
def test_colours_are_for_terminals_that_want_them(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], shown: str
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert styled("x", stream=screen, fg="green") == shown
    assert styled("x", stream=io.StringIO(), fg="green") == "x"
