"""Where a reader is in a stream, and what came of the run."""

from __future__ import annotations

from typing import Any

from dockrion.client.events import Gap, StreamEvent
from dockrion.client.following import Following
from dockrion.errors import ConflictError, GoneError, error_for
from dockrion.events.model import Cancelled, Complete, Failed, Interrupt


class Place:
    """Follows what was given out, which may be less than what has come."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._sequence = following.position
        self._last: StreamEvent | None = None

    @property
    def last_event_id(self) -> str | None:
        if self._sequence < 0 or self._following.run_id is None:
            return None
        return f"{self._following.run_id}:{self._sequence}"

    def pass_by(self, event: StreamEvent) -> None:
        if event.sequence is not None:
            self._sequence = event.sequence
        elif isinstance(event.data, Gap):
            self._sequence = event.data.last
        self._last = event

    def result(self) -> Any:
        """Return the output, once all events were given out; raise where the run ended in another way."""
        run_id = self._following.run_id
        match self._last.data if self._last is not None else None:
            case Complete(output=output):
                return output
            case Failed(error=message, code=code, details=details):
                raise error_for(code, message, details=details)
            case Cancelled(reason=reason):
                raise ConflictError(f"The run {run_id!r} was cancelled: {reason}")
            case Interrupt(interrupt_id=interrupt_id, value=value):
                raise ConflictError(
                    f"The run {run_id!r} waits for an answer to {value!r}: answer it with "
                    f"runs.resume({run_id!r}, ..., interrupt_id={interrupt_id!r})"
                )
            case _:
                raise GoneError(f"The run {run_id!r} had ended already when its stream began here.")
