"""A folder for the modules of one test."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .folders import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    yield Folder(tmp_path)
    with contextlib.suppress(ValueError):
        sys.path.remove(str(tmp_path))
