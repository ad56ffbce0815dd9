"""What may leave a run, as `policies.safety` says: one object for all runs of an app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from dockrion.errors import PolicyViolationError
from dockrion.events.base import Stage
from dockrion.policy.caps import cut_to_chars
from dockrion.policy.redaction import REDACTION_RULE, RedactionRules
from dockrion.policy.stages import RedactingStage, TokenCap
from dockrion.policy.values import redact_value


class Outgoing:
    """`halt`: a match ends the run. Without `patterns` and `max_chars` everything passes as it is."""

    def __init__(
        self, patterns: Sequence[str] = (), *, max_chars: int | None = None, halt: bool = False
    ) -> None:
        self.rules: Final = RedactionRules(patterns) if patterns else None
        self._max_chars = max_chars
        self._halt = halt

    def stages(self) -> Sequence[Stage]:
        """Return the stages of one run."""
        stages: list[Stage] = []
        if self.rules is not None:
            stages.append(RedactingStage(self.rules, on_match=halted if self._halt else None))
        if self._max_chars is not None:
            stages.append(TokenCap(self._max_chars))
        return stages

    def text(self, text: str) -> str:
        """Return a text that is not part of a stream, redacted. Raises `PolicyViolationError`."""
        if self.rules is None:
            return text
        redacted = self.rules.redact(text)
        if self._halt and redacted is not text:
            halted()
        return redacted

    def callers_text(self, text: str) -> str:
        """Return what a caller says and others will read, redacted; it ends no run."""
        return text if self.rules is None else self.rules.redact(text)

    def value(self, value: Any) -> Any:
        """Return plain JSON data redacted. Raises `PolicyViolationError`."""
        return value if self.rules is None else redact_value(value, self.text)

    def output(self, output: Any) -> tuple[Any, bool]:
        """Return an output that is not made of tokens as it may leave, and whether it was cut."""
        output = self.value(output)
        if self._max_chars is None:
            return output, False
        return cut_to_chars(output, self._max_chars)


def halted() -> NoReturn:
    raise PolicyViolationError(
        "What the agent gave matches a rule of policies.safety.redact_patterns.",
        rule=REDACTION_RULE,
    )


EVERYTHING: Final = Outgoing()
