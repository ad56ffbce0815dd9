"""Where a reader is in a stream, and what the stream has told of its run."""

from __future__ import annotations

from typing import Any

from dockrion.client.answers import Run, RunError
from dockrion.client.events import Gap, StreamEvent
from dockrion.client.following import Following
from dockrion.errors import GoneError
from dockrion.events.model import Cancelled, Complete, Failed, Interrupt, RunStatus


class Place:
    """Follows what was given out, which may be less than what has come."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._sequence = following.position
        self._last: StreamEvent | None = None
        self._questions: list[Interrupt] = []

    @property
    def last_event_id(self) -> str | None:
        if self._sequence < 0 or self._following.run_id is None:
            return None
        return f"{self._following.run_id}:{self._sequence}"

    def pass_by(self, event: StreamEvent) -> None:
        self._last = event
        if event.sequence is not None:
            self._sequence = event.sequence
        elif isinstance(event.data, Gap):
            self._sequence = event.data.last
        if isinstance(event.data, Interrupt):
            self._questions.append(event.data)
        elif self._questions:
            self._questions.clear()

    @property
    def run(self) -> Run:
        run_id = self._following.run_id or ""
        match self._last.data if self._last is not None else None:
            case Complete(output=output, metadata=metadata):
                return Run(
                    run_id=run_id, status=RunStatus.COMPLETED, output=output, metadata=metadata
                )
            case Failed(error=message, code=code, details=details):
                error = RunError(code, message, details)
                return Run(run_id=run_id, status=RunStatus.FAILED, error=error)
            case Cancelled(reason=reason):
                error = RunError("CONFLICT", f"The run {run_id!r} was cancelled: {reason}")
                return Run(run_id=run_id, status=RunStatus.CANCELLED, error=error)
            case Interrupt():
                questions = list(self._questions)
                return Run(run_id=run_id, status=RunStatus.INTERRUPTED, interrupts=questions)
            case _:
                return Run(run_id=run_id, status=RunStatus.RUNNING)

    def result(self) -> Any:
        """Return the output, once all events were given out; raise where the run ended in another way."""
        if self._last is None:
            raise GoneError(
                f"The run {self._following.run_id!r} had ended before its stream began here; "
                "runs.get has its output."
            )
        return self.run.result()
