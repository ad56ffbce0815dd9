"""Loggers that are as before after each test."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Generator

import pytest

from .kit import Logged


@pytest.fixture
def logged_to() -> Generator[Callable[[io.StringIO], Logged]]:
    root = logging.getLogger()
    before = root.level
    made: list[Logged] = []

    def install(stream: io.StringIO) -> Logged:
        logged = Logged(stream)
        made.append(logged)
        root.addHandler(logged.handler)
        root.setLevel(logging.INFO)
        return logged

    yield install
    for logged in made:
        root.removeHandler(logged.handler)
        logged.handler.close()
    root.setLevel(before)


@pytest.fixture
def logged(logged_to: Callable[[io.StringIO], Logged]) -> Logged:
    return logged_to(io.StringIO())


@pytest.fixture
def root_restored() -> Generator[None]:
    """For tests that configure logging as a process does."""
    root, own = logging.getLogger(), logging.getLogger("dockrion")
    uvicorn = logging.getLogger("uvicorn.error")
    before = root.handlers[:], root.level, own.level, uvicorn.level
    hooks = threading.excepthook, sys.unraisablehook
    root.handlers[:] = []
    yield
    logging.captureWarnings(capture=False)
    threading.excepthook, sys.unraisablehook = hooks
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level, own.level, uvicorn.level = before
    root.setLevel(before[1])
