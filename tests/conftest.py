"""What all tests share."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.missing import not_tested

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["tests.redis_fixtures"]

# How long an example takes says something of the machine alone. On CI there is a profile of Hypothesis's own.
if "CI" not in os.environ:
    hypothesis.settings.register_profile("dockrion", deadline=None)
    hypothesis.settings.load_profile("dockrion")

# What programs need to be found and to start, and what steers pytest itself. All else that a shell exports
# could change what is tested: a Dockfile takes any name, and an HTTP client may go through a proxy.
_KEPT = re.compile(
    r"CI|HOME|LANG|LC_\w+|LOGNAME|PATH|PWD|SHELL|TEMP|TMP|TMPDIR|TZ|USER|VIRTUAL_ENV"
    r"|(?:COVERAGE|DYLD|HYPOTHESIS|LD|NIX|PYTEST|PYTHON|SYSTEM|XDG)\w*"
)


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """No test, and no program that one starts, sees what the shell happens to export."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if not _KEPT.fullmatch(name):
                patch.delenv(name)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        yield


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Async tests run on the event loop that servers use."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def curl() -> str:
    found = shutil.which("curl")
    if found is None:
        not_tested("curl is not installed")
    return found
