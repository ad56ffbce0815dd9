"""The events of a run as those of an A2A task, and the task as it stands."""

from __future__ import annotations

from typing import Any, Final, assert_never

import msgspec

from dockrion.errors import DockrionError
from dockrion.events import sse
from dockrion.events.jsonable import encode
from dockrion.events.model import (
    Batch,
    Cancelled,
    Channel,
    Checkpoint,
    Complete,
    Custom,
    Event,
    Failed,
    Interrupt,
    Policy,
    Progress,
    Started,
    Step,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.events.room import Room
from dockrion.wires.a2a.artifacts import ALL_MODES, Modes, Text, output_artifact
from dockrion.wires.a2a.rpc import error_answer
from dockrion.wires.a2a.words import State, Words
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, question_text
from dockrion.wires.cursors import mark_event, mark_opening, mark_pause
from dockrion.wires.texts import frames_of, take

# The code of what makes a task a rejected one.
REJECTS: Final = "POLICY_VIOLATION"


class Known(msgspec.Struct, frozen=True):
    """What a caller who joins a run is told of at once, as one task: its first events, and which questions are open.

    `waited`: the run waits, or has waited until the caller's answers: the next event is the first after those.
    """

    events: int
    questions: tuple[Interrupt, ...] = ()
    waited: bool = False


class A2aWire:
    """A task is told of from its first event on; with `known`, first as it stands after those. Each text of the agent's is
    an artifact, told apart by node and message id; the output is one of its own where it has more than they.

    `resumes_at` is the sequence of the event that is the first after answers, for a caller who comes back in front of it.
    """

    content_type: bytes = b"text/event-stream"

    def __init__(
        self,
        chat: Chat,
        run: WireRun,
        words: Words,
        *,
        modes: Modes = ALL_MODES,
        known: Known | None = None,
        resumes_at: int | None = None,
    ) -> None:
        self._chat = chat
        self._words = words
        self._modes = modes
        self._known = known
        self._resumes_at = resumes_at
        # Else the task in the end is all that is wanted.
        self._tells = run.streams
        self._run_id = run.run_id
        self._ids = {"taskId": run.run_id, "contextId": run.thread_id or run.run_id}
        self._cursor = f"{run.run_id}:%d".encode() if run.cursors else None
        self._sequence = 0
        # When the task came into its state, and the time of what is looked at.
        self._since: str | None = None
        self._now = ""
        self._parts: list[bytes] = []
        self._begun = False
        self._state = State.SUBMITTED
        self._message: dict[str, Any] | None = None
        self._metadata: dict[str, Any] | None = None
        # All texts, and those that are open.
        self._texts: list[Text] = []
        self._open: dict[Channel, Text] = {}
        # How many pieces each text had when its task last went on.
        self._lasting: dict[str, int] = {}
        self._room = Room(chat.max_bytes)
        self._output: dict[str, Any] | None = None
        # Questions that are open, as far as events tell, and those that were before.
        self._asked: tuple[Interrupt, ...] = ()
        self._asked_last: tuple[Interrupt, ...] = ()
        # Those that are, where more is known than events tell.
        self._still_open: tuple[Interrupt, ...] = ()
        # Whether the next event is the first after the answers: all who follow are told then that the task works, the one
        # who has answered too, since who comes back cannot be told apart.
        self._resumes = False

    def encode(self, batch: Batch) -> bytes:
        known = self._known
        if known is None:
            return self._encoded(batch)
        count = known.events - batch.first
        self._encoded(Batch(batch.events[:count], batch.first, batch.timestamp))
        if count > len(batch.events):
            return b""
        self._known = None
        self.waits_for(known.questions)
        self._say_task()
        if known.waited:
            # Whoever comes back to this frame waits with the task, and is told when it goes on.
            mark_pause(self._parts, self._cursor, self._sequence)
            self._resumes = True
        else:
            mark_event(self._parts, 0, self._cursor, self._sequence)
        rest = batch.events[count:]
        told = self._taken()
        return told + self._encoded(Batch(rest, known.events, batch.timestamp)) if rest else told

    def opening(self, timestamp: str) -> bytes:
        """Return the task as it has been accepted; the first event has it where nobody has been told."""
        if self._known is not None or not self._tells:
            return b""
        self._begun, self._since = True, timestamp
        self._say_task()
        mark_opening(self._parts, self._cursor)
        return self._taken()

    def heartbeat(self) -> bytes:
        return sse.COMMENT_HEARTBEAT

    def stay_open(self, questions: tuple[Interrupt, ...]) -> None:
        self._still_open = questions

    def paused(self) -> bytes:
        if self._still_open:
            self.waits_for(self._still_open)
        elif not self._asked:
            # The agent has said something beside its questions.
            self._ask(self._asked_last)
        self._say_status(self._message)
        mark_pause(self._parts, self._cursor, self._sequence)
        return self._taken()

    def broken(self, failure: DockrionError) -> bytes:
        """Return what ends a stream that cannot go on, whatever becomes of its task."""
        return sse.frame(encode(error_answer(self._words.request_id, failure)))

    def answer(self) -> dict[str, Any]:
        return self._words.answer(self._words.sent(self.task()))

    def task(self, *, state: State | None = None, artifacts: bool = True) -> dict[str, Any]:
        """Return the task as it stands; `state`, where more is known of it than its events say."""
        words = self._words
        message = self._message if state in (None, self._state) else None
        status = words.status(state or self._state, self._since, message)
        told = [text.artifact(words) for text in self._texts] if self._modes.text else []
        if self._output is not None:
            told.append(self._output)
        return words.task(self._ids, status, told if artifacts else [], self._metadata)

    def stands_since(self, timestamp: str) -> None:
        """Say when the task came, of which nothing has been told so far."""
        self._since = timestamp

    def waits_for(self, questions: tuple[Interrupt, ...]) -> None:
        """Say which questions of a task that has not ended are open: its events do not tell of answers."""
        if {one.interrupt_id for one in questions} == {one.interrupt_id for one in self._asked}:
            return
        if questions:
            self._ask(questions)
        else:
            self._goes_on()

    @property
    def state(self) -> State:
        return self._state

    def _encoded(self, batch: Batch) -> bytes:
        self._now = batch.timestamp
        self._resumes = self._resumes or batch.first == self._resumes_at
        self._sequence = batch.first
        take(batch.events, texts=self._go_on, other=self._follow)
        self._sequence -= 1
        return self._taken()

    def _go_on(self, channel: Channel, texts: list[str]) -> None:
        """Take events in a row whose texts are of one artifact: by far the most."""
        if self._asked or self._resumes or channel not in self._open:
            self._follow(Token(texts.pop(0), node=channel[0], message_id=channel[1]))
        if texts:
            first = self._sequence
            self._sequence += len(texts)
            text = self._open[channel]
            self._keep(text, texts)
            if text.frame:
                cursor = None if self._cursor is None else first
                self._parts.append(frames_of(text.frame, texts, cursor))

    def _follow(self, event: Event) -> None:
        told = len(self._parts)
        if not self._begun:
            self._begun = True
            self._since = self._now
            self._say_task()
        self._take(event)
        mark_event(self._parts, told, self._cursor, self._sequence)
        self._sequence += 1

    def _take(self, event: Event) -> None:
        if (self._asked or self._resumes) and type(event) is not Interrupt:
            self._goes_on()
            if not isinstance(event, Complete | Failed | Cancelled):
                self._say_status()
        match event:
            case Started(attempt=attempt):
                if attempt is not None:
                    self._begin_again()
                self._enter(State.WORKING)
                self._say_status()
            case (
                Step() | Progress() | Checkpoint() | ToolCall() | ToolResult() | Policy() | Custom()
            ):
                self._tell(event)
            case Interrupt():
                self._ask((*self._asked, event))
            case Complete():
                self._complete(event)
            case Failed(error=message, code=code, details=details):
                state = State.REJECTED if code == REJECTS else State.FAILED
                more = {} if details is None else {"details": details}
                self._end(state, message, {"code": code, **more})
            case Cancelled(reason=reason):
                self._end(State.CANCELED, reason, None)
            case Token():
                self._speak(event)
            case _:
                assert_never(event)

    # Status

    def _goes_on(self) -> None:
        """The questions have been answered."""
        self._asked_last, self._asked, self._resumes = self._asked, (), False
        self._lasting = {text.id: len(text.pieces) for text in self._texts}
        self._enter(State.WORKING)

    def _enter(self, state: State, message: dict[str, Any] | None = None) -> None:
        self._state, self._message, self._since = state, message, self._now

    def _tell(self, event: Event) -> None:
        """Say what the agent does meanwhile: as words for people, and as the event that it is."""
        kind, fields = sse.event_fields(event)
        parts = [self._words.text(_in_words(event))]
        message = self._words.message(self._new_id(), self._ids, parts, None)
        # Without a time: of several in a row, who reads them later knows that of the first alone.
        status = self._words.status(self._state, None, message)
        metadata = {"type": kind, **fields}
        self._say(self._words.status_update(self._ids, self._state, status, metadata))

    def _ask(self, asked: tuple[Interrupt, ...]) -> None:
        self._asked = asked
        questions = [{"interrupt_id": one.interrupt_id, "value": one.value} for one in asked]
        parts = [self._words.text(question_text(one.value)) for one in asked]
        metadata = {"interrupts": questions}
        message = self._words.message(self._new_id(), self._ids, parts, metadata)
        self._enter(State.INPUT_REQUIRED, message)

    def _complete(self, event: Complete) -> None:
        self._close_all()
        said = "".join(text.joined for text in self._texts) if self._modes.text else ""
        self._output = output_artifact(
            event.output, said, self._chat, words=self._words, modes=self._modes
        )
        if self._output is not None:
            self._say_artifact({"artifact": self._output, "lastChunk": True})
        self._metadata = event.metadata
        self._enter(State.COMPLETED)
        self._say_status(metadata=event.metadata)

    def _end(self, state: State, says: str, metadata: dict[str, Any] | None) -> None:
        self._close_all()
        parts = [self._words.text(says)]
        self._enter(state, self._words.message(self._new_id(), self._ids, parts, metadata))
        self._metadata = metadata
        self._say_status(self._message, metadata)

    # Texts and the output

    def _speak(self, token: Token) -> None:
        channel = (token.node, token.message_id)
        text = self._open.get(channel)
        if token.content:
            if text is None:
                text = self._open[channel] = self._begin(token)
                self._keep(text, [token.content])
                if self._modes.text:
                    self._say_artifact({"artifact": text.artifact(self._words, token.content)})
            else:
                self._keep(text, [token.content])
                self._say_more(text, token.content)
        if token.finish_reason is not None:
            self._close(channel)

    def _begin(self, token: Token) -> Text:
        text = Text(f"text-{self._sequence}", token.node)
        self._texts.append(text)
        if self._modes.text and self._tells:
            empty = {"artifact": text.artifact(self._words, ""), "append": True}
            data = encode(self._words.answer(self._words.artifact_update(self._ids, empty)))
            # The place of the text is the one empty string that is called so; ids may have a `%`.
            data = data.replace(b"%", b"%%").replace(b'"text":""', b'"text":%b')
            text.frame = sse.frame(data, event_id=self._cursor)
        return text

    def _keep(self, text: Text, texts: list[str]) -> None:
        # What is over the limit of an output is in none either.
        if kept := self._room.fit("".join(texts)):
            text.pieces.append(kept)

    def _say_more(self, text: Text, content: str, *, last: bool = False) -> None:
        if self._modes.text:
            update: dict[str, Any] = {
                "artifact": text.artifact(self._words, content),
                "append": True,
            }
            self._say_artifact({**update, "lastChunk": True} if last else update)

    def _begin_again(self) -> None:
        """The run's worker was lost: what it has said since the task began, or went on, is said anew."""
        for text in self._texts:
            lasting = self._lasting.get(text.id, 0)
            if lasting < len(text.pieces):
                del text.pieces[lasting:]
                if self._modes.text:
                    # In place of what a client has of it.
                    self._say_artifact({"artifact": text.artifact(self._words)})
        self._texts = [text for text in self._texts if text.pieces]
        self._open = {channel: text for channel, text in self._open.items() if text.pieces}
        self._room = Room(self._chat.max_bytes)
        for text in self._texts:
            self._room.fit(text.joined)

    def _close(self, channel: Channel) -> None:
        text = self._open.pop(channel, None)
        if text is not None:
            self._say_more(text, "", last=True)

    def _close_all(self) -> None:
        for channel in list(self._open):
            self._close(channel)

    # Frames

    def _new_id(self) -> str:
        """Return an id that nothing else has, and that is the same whoever tells the run again, from wherever."""
        return f"{self._run_id}-{self._sequence}"

    def _say_task(self) -> None:
        self._say(self._words.sent(self.task()))

    def _say_status(
        self, message: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        status = self._words.status(self._state, self._since, message)
        self._say(self._words.status_update(self._ids, self._state, status, metadata))

    def _say_artifact(self, update: dict[str, Any]) -> None:
        self._say(self._words.artifact_update(self._ids, update))

    def _say(self, result: dict[str, Any]) -> None:
        if self._tells:
            self._parts.append(sse.frame(encode(self._words.answer(result))))

    def _taken(self) -> bytes:
        body = b"".join(self._parts)
        self._parts.clear()
        return body


def _in_words(event: Event) -> str:
    match event:
        case Step(node_name=name):
            return name
        case Progress(step=step, message=message):
            return message or step
        case ToolCall(tool=tool) | ToolResult(tool=tool):
            return tool
        case Policy(message=message):
            return message
        case Checkpoint(name=name) | Custom(name=name):
            return name
        case _:
            return ""
