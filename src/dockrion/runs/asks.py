"""Questions that an agent waits with, inside `context.ask`: from the agent to the run's reader, and the answers back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dockrion.events.cancelled import RunCancelled
from dockrion.events.context import StreamContext
from dockrion.events.jsonable import plain_and_size
from dockrion.events.model import Event, Interrupt
from dockrion.events.outbox import Outbox

if TYPE_CHECKING:
    from dockrion.runs.run import Run


class RunAsks:
    """Takes the questions of a runner's runs. `find` gives the run that is active under an id."""

    def __init__(self, find: Callable[[str], Run | None]) -> None:
        self._find = find

    def ask(self, question: Any, context: StreamContext) -> Future[Any]:
        value, size = plain_and_size(question)
        answer: Future[Any] = Future()
        event = Interrupt(value, str(uuid4()))
        outbox = context.outbox
        assert outbox is not None
        outbox.on_loop(partial(self._put, context, event, size, answer))
        return answer

    def _put(
        self, context: StreamContext, event: Interrupt, size: int, answer: Future[Any]
    ) -> None:
        run = self._find(context.run_id)
        if run is None or run.context is not context:
            _end(answer)
        else:
            run.ask(event, size, answer)


class Asks:
    """The open questions of one run. On the event loop's thread only; who asks may be in any.

    `waits` is called when there is a question where there was none, `goes_on` when there is none any more, unless
    that is because the run is over.
    """

    __slots__ = ("_goes_on", "_open", "_outbox", "_shown", "_unsent", "_waits")

    def __init__(
        self, outbox: Outbox, *, waits: Callable[[], None], goes_on: Callable[[], None]
    ) -> None:
        self._outbox = outbox
        self._waits = waits
        self._goes_on = goes_on
        self._open: dict[str, Future[Any]] = {}
        # As they left; those that are still on their way to the reader.
        self._shown: dict[str, Interrupt] = {}
        self._unsent: set[str] = set()

    @property
    def shown(self) -> list[Interrupt]:
        """The open questions that the reader has been given."""
        return list(self._shown.values())

    @property
    def unsent(self) -> bool:
        """Whether a question is among the events that the reader has not taken yet."""
        return bool(self._unsent)

    def put(self, event: Interrupt, size: int, answer: Future[Any]) -> None:
        interrupt_id = event.interrupt_id
        try:
            self._outbox.put(event, size)
        except RunCancelled:
            _end(answer)
            return
        self._unsent.add(interrupt_id)
        self._open[interrupt_id] = answer
        if len(self._open) == 1:
            self._waits()
        answer.add_done_callback(
            lambda _: self._outbox.on_loop(partial(self._settled, interrupt_id))
        )
        # What is sent in the agent's step does not end a stream, so the reader must.
        self._outbox.wake()

    def last_in(self, events: list[Event]) -> list[Event]:
        """Return a batch that ends with its questions, if any are in it that are still open."""
        if not self._unsent:
            return events
        others: list[Event] = []
        questions: list[Interrupt] = []
        for event in events:
            if isinstance(event, Interrupt):
                self._unsent.discard(event.interrupt_id)
                if event.interrupt_id in self._open:
                    questions.append(event)
            else:
                others.append(event)
        self._shown.update((one.interrupt_id, one) for one in questions)
        return [*others, *questions]

    def answer(self, values: dict[str, Any]) -> None:
        for interrupt_id, value in values.items():
            answer = self._open.get(interrupt_id)
            if answer is not None:
                # Whoever asked may be taking the question back just now, in another thread.
                with suppress(InvalidStateError):
                    answer.set_result(value)

    def _settled(self, interrupt_id: str) -> None:
        """A question has its answer, or was taken back."""
        if self._open.pop(interrupt_id, None) is None:
            return
        self._shown.pop(interrupt_id, None)
        if not self._open:
            self._goes_on()

    def close(self) -> None:
        """The run is over; may be called twice."""
        answers = list(self._open.values())
        self._open.clear()
        self._shown.clear()
        for answer in answers:
            _end(answer)


def _end(answer: Future[Any]) -> None:
    with suppress(InvalidStateError):
        answer.set_exception(RunCancelled("the run is over"))
