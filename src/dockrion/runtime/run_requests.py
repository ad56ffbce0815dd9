"""What requests for runs say beside a payload: queries, `Idempotency-Key`, where to begin to read."""

from __future__ import annotations

import re
from typing import Final

from dockrion.errors import ValidationError
from dockrion.events.ids import RUN_ID, SEQUENCE
from dockrion.events.model import RunStatus
from dockrion.runtime.requests import Request, shown, text_of

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 20
MAX_REASON: Final = 500
MAX_KEY: Final = 255
MAX_TIMEOUT: Final = 3600
# In the dialect that Python and JavaScript share: they stand in the OpenAPI document too.
REASON: Final = rf"[^\u0000-\u001f\u007f]{{0,{MAX_REASON}}}"
IDEMPOTENCY_KEY: Final = rf"[^\u0000-\u001f\u007f]{{1,{MAX_KEY}}}"
CURSOR: Final = r"[!-~]{1,512}"
PLACE: Final = f"({RUN_ID}:)?{SEQUENCE}"

_REASON: Final = re.compile(REASON)
_IDEMPOTENCY_KEY: Final = re.compile(IDEMPOTENCY_KEY)
_CURSOR: Final = re.compile(CURSOR)
_PLACE: Final = re.compile(PLACE)
_LIMIT: Final = re.compile(r"[1-9][0-9]?|100")
_STATUS: Final = re.compile("|".join(RunStatus))
_SEQUENCE: Final = re.compile(SEQUENCE)
_SECONDS: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,20})?")
_TIMEOUT_SAYS: Final = f"a number of seconds from 1 to {MAX_TIMEOUT}"


class RunsRequest(Request):
    """Head of a request for runs. What is given must be right, used or not."""

    __slots__ = ()

    def idempotency_key(self) -> str | None:
        value = self.headers.get(b"idempotency-key")
        if value is None:
            return None
        key = text_of(value)
        if not _IDEMPOTENCY_KEY.fullmatch(key):
            raise ValidationError(
                f"Idempotency-Key: must be 1 to {MAX_KEY} printable characters, got {shown(key)}"
            )
        return key

    def limit(self) -> int:
        says = f"a whole number from 1 to {MAX_LIMIT}"
        return int(self._option("limit", _LIMIT, says) or DEFAULT_LIMIT)

    def cursor(self) -> str | None:
        return self._option("cursor", _CURSOR, "the next_cursor of another page")

    def status(self) -> RunStatus | None:
        status = self._option("status", _STATUS, f"one of {', '.join(RunStatus)}")
        return None if status is None else RunStatus(status)

    def reason(self) -> str | None:
        """Return why a run is to be cancelled, where it is said."""
        says = f"at most {MAX_REASON} printable characters"
        return self._option("reason", _REASON, says) or None

    def timeout(self, default: float) -> float:
        """Return after how many seconds a subscription ends."""
        given = self._option("timeout", _SECONDS, _TIMEOUT_SAYS)
        if given is None:
            return default
        seconds = float(given)
        if not 1 <= seconds <= MAX_TIMEOUT:
            raise ValidationError(f"timeout: must be {_TIMEOUT_SAYS}, got {shown(given)}")
        return seconds

    def start(self, run_id: str) -> tuple[int, str]:
        """Return the first sequence that is wanted of the run, and what says so."""
        given = self._option("from_sequence", _SEQUENCE, "the number of an event, 0 or more")
        seen = self.headers.get(b"last-event-id")
        if seen is None:
            return int(given or 0), "from_sequence"
        place = seen.decode("latin-1")
        named, _, sequence = place.rpartition(":")
        if not _PLACE.fullmatch(place) or named not in ("", run_id):
            raise ValidationError(
                f"Last-Event-ID: must be {run_id}:<sequence> or <sequence>, got {shown(place)}"
            )
        return int(sequence) + 1, "Last-Event-ID"


def is_reason(text: str) -> bool:
    return _REASON.fullmatch(text) is not None
