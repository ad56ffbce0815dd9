"""What a caller is told of an exception: class and message, without paths and secrets, or just an id."""

from __future__ import annotations

import logging
import re
import secrets as tokens
from collections.abc import Sequence
from typing import Final

from dockrion.spec import Hider

logger = logging.getLogger(__name__)

MAX_CHARS: Final = 1000
# An address stays as it is; of an absolute path of two parts or more (POSIX, Windows, UNC) the last part stays.
_ADDRESS_OR_PATH: Final = re.compile(
    r"(?P<address>(?<![\w+.-])(?!file:)[A-Za-z][\w+.-]*://[^\s/][^\s]*)"
    r"|(?<![\w.])(?:[A-Za-z]:[\\/]|\\\\|/+)(?:[^\s/\\:'\"<>|]+[\\/]+)+(?P<last>[^\s/\\:'\"<>|]*)"
)


class ErrorSentences:
    """`reveal` as `expose.error_details`: with it, callers see the class and message of what the agent raised."""

    def __init__(self, *, reveal: bool, secrets: Sequence[str] = ()) -> None:
        self._reveal = reveal
        self._secrets = Hider(secrets)

    def of(self, exc: BaseException, *, run_id: str) -> str:
        """Log `exc` with its traceback; return the sentence for the caller."""
        if not self._reveal:
            error_id = tokens.token_hex(6)
            logger.error(
                "agent raised", exc_info=exc, extra={"run_id": run_id, "error_id": error_id}
            )
            return f"The agent failed. error_id: {error_id}"
        logger.error("agent raised", exc_info=exc, extra={"run_id": run_id})
        return self.clean(_described(exc))

    def of_loading(self, message: str) -> str:
        """Return what callers are told of an agent that could not be loaded; it has been logged."""
        return self.clean(message) if self._reveal else "The log says why."

    def clean(self, text: str) -> str:
        text = _ADDRESS_OR_PATH.sub(_without_folders, self._secrets.hide(text))
        return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 3]}..."


def _without_folders(match: re.Match[str]) -> str:
    return match["address"] or match["last"]


def _described(exc: BaseException) -> str:
    try:
        message = str(exc)
    except BaseException:  # `__str__` of an agent's exception
        message = ""
    name = type(exc).__name__
    return f"{name}: {message}" if message else name
