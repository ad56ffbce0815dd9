"""What is told of a run's end: how it ended becomes its one terminal event, and what may not leave stays out of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dockrion.errors import AgentExecutionError, PolicyViolationError, ToolNotAllowedError
from dockrion.events.model import Cancelled, Complete, Failed, Terminal
from dockrion.runs.ending import LOST, Ending, Finished, Raised, Returned, Stopped

if TYPE_CHECKING:
    from dockrion.runs.run import Run

logger = logging.getLogger(__name__)


def terminal_of(run: Run, ending: Ending) -> Terminal:
    try:
        return _told(run, ending)
    except PolicyViolationError as violation:
        # What was to be told is what a rule does not let through.
        return violated(run, violation)


def violated(run: Run, violation: PolicyViolationError, *, counted: bool = False) -> Failed:
    """End with a violation whose message and details may leave."""
    if not counted:
        run.rules.observer.violated(violation.rule)
    _log_failure(run, violation.code)
    return Failed(violation.message, violation.code, violation.details)


def _told(run: Run, ending: Ending) -> Terminal:
    match ending:
        case Returned():
            return _told(run, run.finished(ending.value))
        case Finished():
            return _completed(run, ending)
        case Raised():
            return _failed(run, ending.exception)
        case Stopped(terminal=terminal):
            return _stopped(run, terminal)


def _stopped(run: Run, terminal: Failed | Cancelled) -> Terminal:
    if not isinstance(terminal, Failed) or terminal is LOST:
        return terminal
    _log_failure(run, terminal.code)
    if terminal.details is None:
        return terminal
    # Of a tool that was refused: the agent may have named it.
    sentences = run.rules.sentences
    details = sentences.clean_details(terminal.details)
    return Failed(sentences.clean(terminal.error), terminal.code, details)


def _completed(run: Run, ending: Finished) -> Terminal:
    if ending.wrong is not None:
        _log_failure(run, ending.wrong.code)
        told = run.rules.sentences.of_ours(ending.wrong, run_id=run.run_id)
        return Failed(told[0], ending.wrong.code, told[1])
    metadata = run.metadata()
    return Complete(ending.output, metadata["latency_seconds"], {**metadata, **ending.notes})


def _failed(run: Run, exc: BaseException) -> Terminal:
    sentences = run.rules.sentences
    if isinstance(exc, PolicyViolationError):
        refused_here = isinstance(exc, ToolNotAllowedError)
        message, details = (
            sentences.cleaned(exc) if refused_here else sentences.of_ours(exc, run_id=run.run_id)
        )
        rule = sentences.clean(str(exc.rule))
        told = PolicyViolationError(message, details=details, rule=rule)
        return violated(run, told, counted=refused_here)
    if isinstance(exc, AgentExecutionError):
        _log_failure(run, exc.code)
        return Failed(sentences.of_ours(exc, run_id=run.run_id)[0], exc.code)
    return Failed(sentences.of(exc, run_id=run.run_id), "AGENT_EXECUTION_ERROR")


def _log_failure(run: Run, code: str) -> None:
    logger.warning("run failed", extra={"run_id": run.run_id, "code": code})
