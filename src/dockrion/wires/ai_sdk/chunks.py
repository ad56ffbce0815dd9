"""The events of a run as chunks of the AI SDK's UI message stream."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, assert_never, cast

import msgspec

from dockrion.events import sse
from dockrion.events.model import (
    OWN,
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
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, question_text, usage_of
from dockrion.wires.frames import Frames
from dockrion.wires.questions import Answer, QuestionId
from dockrion.wires.texts import OpenText, take

# What the agent's questions are to the page: calls of a tool that its user is to carry out.
QUESTION: Final = "question"
# In the metadata of a message that waits for answers: how many events of its run the page has been told.
HEARD: Final = "heard"
_DONE: Final = sse.frame(b"[DONE]")


class UiAnswer(Answer, frozen=True):
    """`denied`: the page has it as an approval that was not given."""

    denied: bool = False


class Call(NamedTuple):
    """A call without a result: the agent's name for it, and the page's. One that `waits` was made before a question:
    what has asked may be run again from its beginning, and then the same call is made once more.
    """

    tool: str
    call_id: str | None
    id: str
    arguments: Any
    waits: bool = False


class Told(NamedTuple):
    """What the page has of a message that goes on: its id, what its user says to the run's questions, and calls that wait."""

    message_id: str | None = None
    answers: tuple[UiAnswer, ...] = ()
    calls: tuple[Call, ...] = ()


class AiSdkWire:
    """One message, whose id comes of the run's, so that whoever tells the run again tells the same message.

    Each text of the agent's is a part, told apart by node and message id; what a handler says itself goes on in a
    new one after a tool call. The agent's tools are marked as executed elsewhere: else the page would call them, or
    send their results. Questions are in a step of their own.
    """

    content_type: bytes = b"text/event-stream"

    def __init__(self, chat: Chat, run: WireRun, told: Told) -> None:
        self._chat = chat
        self._run_id = run.run_id
        self._told = told
        self._frames = Frames(run)
        self._begun = False
        self._spoke = False
        # Those that are open, with the frame of their next text.
        self._texts: dict[Channel, OpenText] = {}
        self._calls = [*told.calls]
        # Questions without an answer, as far as events tell, and those that have none.
        self._asked: list[str] = []
        self._still_open: frozenset[str] = frozenset()

    def encode(self, batch: Batch) -> bytes:
        self._frames.sequence = batch.first
        take(batch.events, texts=self._speak_on, other=self._tell)
        return self._frames.taken()

    def heartbeat(self) -> bytes:
        return sse.COMMENT_HEARTBEAT

    def stay_open(self, questions: tuple[Interrupt, ...]) -> None:
        self._still_open = frozenset(self._id_of(one) for one in questions)

    def paused(self) -> bytes:
        self._close_texts()
        # The page sends it back with the answers.
        self._finish("tool-calls", {"messageMetadata": {HEARD: self._frames.sequence}})
        return self._frames.paused()

    def _speak_on(self, channel: Channel, texts: list[str]) -> None:
        """Take events in a row whose texts are of one part: by far the most."""
        text = self._texts.get(channel)
        if text is None:
            self._tell(Token(texts.pop(0), node=channel[0], message_id=channel[1]))
            text = self._texts[channel]
        if texts:
            self._frames.go_on(text, texts)

    def _tell(self, event: Event) -> None:
        if not self._begun:
            # What begins the message is told with its first event.
            self._begin()
        self._take(event)
        self._frames.told()

    def _begin(self) -> None:
        self._begun = True
        message_id = self._told.message_id or f"msg_{self._run_id}"
        metadata = {"runId": self._run_id}
        self._say("start", {"messageId": message_id, "messageMetadata": metadata})
        for answer in self._told.answers:
            self._answered(answer)
        self._say("start-step", {})

    def _take(self, event: Event) -> None:
        if self._asked and type(event) is not Interrupt:
            self._go_on()
        match event:
            case Started(attempt=attempt):
                if attempt is not None:
                    self._begin_again()
            case ToolCall():
                self._call(event)
            case ToolResult():
                self._called(event)
            case Progress():
                self._data("progress", msgspec.structs.asdict(event), transient=True)
            case Checkpoint(name=name):
                self._data("checkpoint", msgspec.structs.asdict(event), part_id=name)
            case Step() | Policy():
                self._data(type(event).__name__.lower(), msgspec.structs.asdict(event))
            case Custom(name=name, data=data):
                self._data(name, data, part_id=_id_in(data))
            case Interrupt():
                self._ask(event)
            case Complete():
                self._complete(event)
            case Failed(error=message, code=code):
                self._close_texts()
                self._say("error", {"errorText": message, "code": code})
                self._frames.add(_DONE)
            case Cancelled(reason=reason):
                self._close_texts()
                self._say("abort", {"reason": reason})
                self._frames.add(_DONE)
            case Token():
                self._speak(event)
            case _:
                assert_never(event)

    def _begin_again(self) -> None:
        """The run's worker was lost: what it has said in this step is said anew."""
        self._texts.clear()
        self._calls.clear()
        self._spoke = False
        self._say("reset-step", {})

    def _complete(self, event: Complete) -> None:
        reply = "" if self._spoke else self._chat.reply(event.output)
        if reply:
            self._speak(Token(reply))
        self._close_texts()
        for call in self._calls:
            # Nothing comes of it any more.
            self._say("tool-output-available", {"toolCallId": call.id, "output": None})
        self._calls.clear()
        # Not for the history, which comes back with each request.
        self._data("output", event.output, transient=True)
        usage = usage_of(event.metadata)
        metadata = {} if usage is None else {"messageMetadata": {"usage": usage}}
        self._finish("length" if event.metadata.get("truncated") else "stop", metadata)

    def _finish(self, reason: str, more: dict[str, Any]) -> None:
        self._say("finish-step", {})
        self._say("finish", {"finishReason": reason, **more})
        self._frames.add(_DONE)

    # Text

    def _speak(self, token: Token) -> None:
        channel = (token.node, token.message_id)
        if token.content:
            text = self._texts.get(channel) or self._open(channel)
            self._say("text-delta", {"id": text.id, "delta": token.content})
        if token.finish_reason is not None:
            self._close(channel)

    def _open(self, channel: Channel) -> OpenText:
        self._spoke = True
        text_id = f"text_{self._frames.sequence}"
        self._say("text-start", {"id": text_id})
        delta = {"type": "text-delta", "id": text_id}
        text = self._texts[channel] = self._frames.text(text_id, delta)
        return text

    def _close(self, channel: Channel) -> None:
        text = self._texts.pop(channel, None)
        if text is not None:
            self._say("text-end", {"id": text.id})

    def _close_texts(self) -> None:
        for channel in list(self._texts):
            self._close(channel)

    # Tools

    def _call(self, event: ToolCall) -> None:
        self._close(OWN)
        tool, arguments = event.tool, event.arguments
        for place, call in enumerate(self._calls):
            if call.waits and (call.tool, call.arguments) == (tool, arguments):
                self._calls[place] = Call(tool, event.call_id, call.id, arguments)
                return
        # The page knows it in the whole conversation.
        call = Call(tool, event.call_id, f"call_{self._run_id}_{self._frames.sequence}", arguments)
        self._calls.append(call)
        known = {"toolCallId": call.id, "toolName": tool, "input": arguments}
        self._say("tool-input-available", {**known, "dynamic": True, "providerExecuted": True})

    def _called(self, event: ToolResult) -> None:
        calls = [one for one in self._calls if one.tool == event.tool]
        exact = (one for one in calls if one.call_id == event.call_id)
        call = next(exact, None) or next((one for one in calls if one.waits), None)
        if call is None:
            # The Dockfile's filter lets results pass, and no calls.
            self._call(ToolCall(event.tool, event.call_id, None))
            call = self._calls[-1]
        self._calls.remove(call)
        if event.error is None:
            self._say("tool-output-available", {"toolCallId": call.id, "output": event.output})
        else:
            self._say("tool-output-error", {"toolCallId": call.id, "errorText": event.error})

    # Questions

    def _ask(self, event: Interrupt) -> None:
        self._close_texts()
        if not self._asked:
            # Pages send answers by themselves when nothing else is open in the last step; a tool that asks is.
            self._say("finish-step", {})
            self._say("start-step", {})
        call_id = self._id_of(event)
        self._asked.append(call_id)
        known = {"toolCallId": call_id, "toolName": QUESTION, "input": event.value}
        self._say("tool-input-available", {**known, "dynamic": True})
        asked = {"approvalId": call_id, "toolCallId": call_id}
        self._say("tool-approval-request", {**asked, "reason": question_text(event.value)})

    def _id_of(self, question: Interrupt) -> str:
        return str(QuestionId(self._run_id, question.interrupt_id))

    def _go_on(self) -> None:
        """The questions have been answered, but for those that are open, and who tells that knows no answers."""
        answered = [call_id for call_id in self._asked if call_id not in self._still_open]
        if not answered:
            return
        for call_id in answered:
            taken = {"toolCallId": call_id, "output": None, "providerExecuted": True}
            self._say("tool-output-available", taken)
        self._asked = [call_id for call_id in self._asked if call_id in self._still_open]
        self._calls = [call._replace(waits=True) for call in self._calls]
        self._say("finish-step", {})
        self._say("start-step", {})

    def _answered(self, answer: UiAnswer) -> None:
        known = {"toolCallId": str(answer.question)}
        if answer.denied:
            self._say("tool-output-denied", known)
        elif answer.given:
            taken = {"output": answer.value, "providerExecuted": True}
            self._say("tool-output-available", {**known, **taken})
        else:
            taken = {"errorText": answer.value, "providerExecuted": True}
            self._say("tool-output-error", {**known, **taken})

    def _data(
        self, name: str, data: Any, *, part_id: str | None = None, transient: bool = False
    ) -> None:
        named = {} if part_id is None else {"id": part_id}
        kept = {"transient": True} if transient else {}
        self._say(f"data-{name}", {**named, "data": data, **kept})

    def _say(self, kind: str, fields: dict[str, Any]) -> None:
        self._frames.say({"type": kind, **fields})


def _id_in(data: Any) -> str | None:
    """Return the id of a part whose data replaces what it had before."""
    if not isinstance(data, dict):
        return None
    part_id = cast("dict[str, Any]", data).get("id")
    return part_id if isinstance(part_id, str) else None
