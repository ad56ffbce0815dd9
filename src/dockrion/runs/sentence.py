"""What a caller is told of an exception: class and message, without paths and secrets, or just an id."""

from __future__ import annotations

import logging
import re
import secrets as tokens
from collections.abc import Callable, Sequence
from typing import Any, Final

from dockrion.errors import DockrionError
from dockrion.events.jsonable import plain
from dockrion.policy.outgoing import EVERYTHING, Outgoing
from dockrion.policy.redaction import MAX_HELD
from dockrion.policy.stages import RedactedText
from dockrion.spec import Hider

logger = logging.getLogger(__name__)

MAX_CHARS: Final = 1000
# Of a message of megabytes, for paths.
MAX_LOOKED_AT: Final = 20_000
# Of an absolute path of two parts or more (POSIX, Windows, UNC, file:) the last part stays. Only quotes tell where
# one with spaces ends. Other addresses stay as they are.
_ROOT: Final = r"(?:(?i:file):(?://[\w.-]*(?=/))?)?(?:/*[A-Za-z]:(?=[\\/]))?[\\/]"
_ADDRESS_OR_PATH: Final = re.compile(
    rf"(?P<quote>['\"`])(?P<quoted>{_ROOT}(?:(?!(?P=quote))[^:<>|\n])*+)(?P=quote)"
    r"|(?P<address>(?<![\w+.-])(?!(?i:file):)[A-Za-z][\w+.-]*://[^\s/][^\s]*)"
    rf"|(?<![\w.]){_ROOT}[^\s:'\"<>|]*+"
)
_SEPARATOR: Final = re.compile(r"[\\/]+")


class ErrorSentences:
    """`reveal` as `expose.error_details`: with it, callers see the class and message of what the agent raised.

    `of` and `clean` raise `PolicyViolationError` where a match of a redaction rule ends the run.
    """

    def __init__(
        self, *, reveal: bool, secrets: Sequence[str] = (), outgoing: Outgoing = EVERYTHING
    ) -> None:
        self._reveal = reveal
        self._secrets = Hider(secrets)
        self._outgoing = outgoing

    def of(self, exc: BaseException, *, run_id: str) -> str:
        """Log `exc` with its traceback; return the sentence for the caller."""
        if not self._reveal:
            return _hidden_by_id("agent raised", run_id=run_id, exc_info=exc)
        logger.error("agent raised", exc_info=exc, extra={"run_id": run_id})
        return self.clean(_described(exc))

    def of_ours(self, error: DockrionError, *, run_id: str) -> tuple[str, Any]:
        """Return sentence and details of an error that dockrion raised, and that quotes what the agent made."""
        if not self._reveal:
            return _hidden_by_id("run failed", run_id=run_id, error=error.message), None
        return self.cleaned(error)

    def brief(self, exc: BaseException) -> str:
        """Return the sentence for an exception that the agent itself deals with; it is not logged."""
        if not self._reveal:
            return "The tool failed."
        rules = self._outgoing.rules
        if rules is None:
            return self.clean(_described(exc))
        text = self._secrets.hide(_described(exc))
        sentence = self._cleaned(text, rules.redact)
        return RedactedText(sentence) if rules.matches(text) else sentence

    def of_loading(self, message: str) -> str:
        """Return what callers are told of an agent that could not be loaded; it has been logged."""
        if not self._reveal:
            return "The log says why."
        rules = self._outgoing.rules
        return self._cleaned(message, _unchanged if rules is None else rules.redact)

    def clean(self, text: str) -> str:
        return self._cleaned(text, self._outgoing.text)

    def clean_details(self, details: Any) -> Any:
        """Return details as JSON data without secrets, redacted."""
        return self._outgoing.value(self._secrets.hide_in(plain(details)))

    def cleaned(self, error: DockrionError) -> tuple[str, Any]:
        return self.clean(error.message), self.clean_details(error.details)

    def _cleaned(self, text: str, redact: Callable[[str], str]) -> str:
        text = self._secrets.hide(text)
        # Redacted before it is cut, so that no cut leaves a part of a match.
        if len(text) > MAX_LOOKED_AT:
            text = redact(text[:MAX_LOOKED_AT])[:-MAX_HELD]
        else:
            text = redact(text)
        text = _ADDRESS_OR_PATH.sub(_without_folders, text)
        return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 3]}..."


def _unchanged(text: str) -> str:
    return text


def _hidden_by_id(
    event: str, *, run_id: str, exc_info: BaseException | None = None, **said: str
) -> str:
    """Log what callers are not told; return what they are."""
    error_id = tokens.token_hex(6)
    logger.error(event, exc_info=exc_info, extra={"run_id": run_id, "error_id": error_id, **said})
    return f"The agent failed. error_id: {error_id}"


def _without_folders(match: re.Match[str]) -> str:
    if match["address"]:
        return match["address"]
    path = match["quoted"] or match[0]
    parts = [part for part in _SEPARATOR.split(path) if part]
    if len(parts) < 2:
        return match[0]
    quote = match["quote"] or ""
    return f"{quote}{parts[-1]}{quote}"


def _described(exc: BaseException) -> str:
    try:
        message = str(exc)
    except BaseException:  # `__str__` of an agent's exception
        message = ""
    name = type(exc).__name__
    return f"{name}: {message}" if message else name
