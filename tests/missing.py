"""What becomes of a test whose tool is not installed."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def not_tested(what: str) -> NoReturn:
    """Skip what a missing tool makes impossible; under CI that is a failure."""
    reason = f"NOT TESTED: {what}; scripts/test-deps.sh installs it"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
