"""The `dockrion` command: parsing and printing only, one file a command, imported when it is used."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_INTERRUPTED = 130


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 error, 2 wrong usage, 130 interrupted."""
    try:
        # The slow part of the start; Ctrl-C may come here, too.
        from dockrion.cli.commands import execute

        return execute(args)
    except KeyboardInterrupt:
        return 0 if _ends_with_ctrl_c(args or sys.argv[1:]) else EXIT_INTERRUPTED
    finally:
        _let_go_of_errors()


def _ends_with_ctrl_c(args: Sequence[str]) -> bool:
    """Whether there is no other way to end that command, so that Ctrl-C is no interruption."""
    words = [word for word in args if not word.startswith("-")]
    follows = any(word == "--follow" or re.fullmatch("-[a-z]*f.*", word) for word in args)
    return words[:1] in (["run"], ["worker"]) or (words[:1] == ["logs"] and follows)


def _let_go_of_errors() -> None:
    """Give up what standard error does not take: Python would try once more at its end, and exit with 120."""
    errors = sys.stderr
    if errors is None:
        return
    try:
        errors.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), errors.fileno())
