"""What a run store should do, as a small model without time: leases do not pass, nothing expires."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dockrion.events.model import RunStatus
from dockrion.runs.store.base import FINAL, Entry, Question

# How calls end that do nothing.
LOST, CANCELLED, HOLE = "lease lost", "cancel asked", "hole"


@dataclass
class ModelRun:
    """`holder` and `last` are numbers of claims: of who has the run, and of who let go of it last."""

    status: RunStatus
    key: str | None
    direct: bool
    first: int = 0
    end: int = 0
    attempt: int = 0
    entries: list[Entry] = field(default_factory=list)
    questions: tuple[Question, ...] = ()
    answers: dict[str, Any] = field(default_factory=dict)
    cancel: str | None = None
    holder: int | None = None
    last: int | None = None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    def kept(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.end > self.first]


class Model:
    def __init__(self, max_events: int) -> None:
        self.max_events = max_events
        self.runs: dict[str, ModelRun] = {}
        self.claims: list[str] = []

    def known(self, run_id: str, key: str | None) -> str | None:
        for name, run in self.runs.items():
            if key is not None and run.key == key:
                return name
        return run_id if run_id in self.runs else None

    def create(self, run_id: str, key: str | None, direct: bool) -> tuple[str, bool]:
        if (found := self.known(run_id, key)) is not None:
            return found, False
        run = self.runs[run_id] = ModelRun(RunStatus.ACCEPTED, key, direct)
        if direct:
            self._give(run_id, run, RunStatus.RUNNING)
        return run_id, True

    def create_interrupted(
        self, run_id: str, entries: list[Entry], questions: tuple[Question, ...], claimed: bool
    ) -> tuple[str, bool]:
        if (found := self.known(run_id, None)) is not None:
            return found, False
        at = entries[0].first
        run = ModelRun(RunStatus.INTERRUPTED, None, True, at, at, questions=questions)
        self.runs[run_id] = run
        self._keep(run, entries)
        if claimed:
            self._give(run_id, run, RunStatus.INTERRUPTED)
        return run_id, True

    def claim(self, run_id: str) -> bool:
        run = self.runs.get(run_id)
        if run is None or run.status is not RunStatus.ACCEPTED:
            return False
        self._give(run_id, run, RunStatus.RUNNING)
        return True

    def _give(self, run_id: str, run: ModelRun, status: RunStatus) -> None:
        run.status = status
        run.attempt += 1
        run.holder, run.last = len(self.claims), None
        self.claims.append(run_id)

    def holds(self, claim: int) -> ModelRun | None:
        run = self.runs[self.claims[claim]]
        return run if run.holder == claim else None

    def _let_go(self, run: ModelRun) -> None:
        run.holder, run.last = None, run.holder

    def release(self, claim: int, begun: bool) -> str | None:
        run = self.runs[self.claims[claim]]
        if run.last == claim and run.status is RunStatus.ACCEPTED:
            return None
        if run.holder != claim:
            return LOST
        self._let_go(run)
        run.status, run.questions = RunStatus.ACCEPTED, ()
        run.attempt -= not begun
        return None

    def append(self, claim: int, entries: list[Entry]) -> str | None:
        run = self.holds(claim)
        return LOST if run is None else self._keep(run, entries)

    def _keep(self, run: ModelRun, entries: list[Entry]) -> str | None:
        new = [entry for entry in entries if entry.first >= run.end]
        end = run.end
        for entry in new:
            if entry.first != end:
                return HOLE
            end = entry.end
        run.entries += new
        run.end = end
        run.first = max(run.first, end - self.max_events)
        return None

    def finish(self, claim: int, entries: list[Entry], status: RunStatus) -> str | None:
        run = self.runs[self.claims[claim]]
        if run.last == claim and run.status is status:
            return None
        if run.holder != claim:
            return LOST
        if run.cancel is not None and status is not RunStatus.CANCELLED:
            return CANCELLED
        return self._keep(run, entries) or self._end(run, status)

    def _end(self, run: ModelRun, status: RunStatus) -> None:
        self._let_go(run)
        run.status = status
        run.questions, run.answers = (), {}

    def interrupt(
        self, claim: int, entries: list[Entry], questions: tuple[Question, ...], claimed: bool
    ) -> str | None:
        run = self.holds(claim)
        if run is None:
            return LOST
        if run.cancel is not None:
            return CANCELLED
        self._keep(run, entries)
        run.status, run.questions = RunStatus.INTERRUPTED, questions
        if not claimed:
            self._let_go(run)
            run.answers = {}
        return None

    def resume(self, run_id: str, answers: dict[str, Any], still: tuple[Question, ...]) -> bool:
        run = self.runs.get(run_id)
        if run is None or run.status is not RunStatus.INTERRUPTED:
            return False
        if {one.interrupt_id for one in run.questions} != {
            *answers,
            *(one.interrupt_id for one in still),
        }:
            return False
        run.answers = {**run.answers, **answers}
        if run.holder is None:
            run.status, run.attempt, run.questions = RunStatus.ACCEPTED, 0, ()
        else:
            run.status = RunStatus.INTERRUPTED if still else RunStatus.RUNNING
            run.questions = still
        return True

    def answers_taken(self, claim: int, ids: list[str]) -> str | None:
        run = self.holds(claim)
        if run is None:
            return LOST
        run.answers = {id_: value for id_, value in run.answers.items() if id_ not in ids}
        return None

    def ask_cancel(self, run_id: str, reason: str) -> None:
        run = self.runs.get(run_id)
        if run is not None and run.holder is not None and run.cancel is None:
            run.cancel = reason

    def settle(self, run_id: str, entry: Entry, status: RunStatus) -> bool:
        run = self.runs[run_id]
        if run.is_final or run.holder is not None:
            return False
        self._keep(run, [entry])
        self._end(run, status)
        run.last = None
        return True
