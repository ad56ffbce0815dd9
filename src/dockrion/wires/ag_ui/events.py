"""The events of a run as AG-UI's."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, assert_never

import msgspec

from dockrion.events import sse
from dockrion.events.jsonable import encode
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
from dockrion.wires.questions import QuestionId
from dockrion.wires.texts import OpenText, take

PROTOCOL_VERSION: Final = "1.0"
# Custom events of these names are the page's state: all of it, or a JSON Patch (RFC 6902).
STATE: Final = "state"
STATE_DELTA: Final = "state_delta"
# Whose output is a state.
_GRAPHS: Final = "langgraph"


class Told(NamedTuple):
    """What the page calls the conversation and this part of it; without, they have the names of the run."""

    thread_id: str | None = None
    run_id: str | None = None


class AgUiWire:
    """Each text of the agent's is a message, told apart by node and message id; what a handler says itself goes on in
    a new one after a tool call. The page's run ends with the questions of a run that waits.
    """

    content_type: bytes = b"text/event-stream"

    def __init__(self, chat: Chat, run: WireRun, told: Told) -> None:
        self._chat = chat
        self._run_id = run.run_id
        thread_id = run.run_id if run.thread_id is None else run.thread_id
        self._boundary = {
            "threadId": told.thread_id or thread_id,
            "runId": told.run_id or run.run_id,
        }
        self._frames = Frames(run)
        self._begun = False
        self._framework = ""
        self._spoke = False
        # Those that are open, with the frame of their next text.
        self._messages: dict[Channel, OpenText] = {}
        # Ids of the event that is looked at.
        self._made = 0
        # Calls without a result, by the tool's name and the id that the agent gives them.
        self._calls: list[tuple[str, str | None, str]] = []
        # Questions that are open, as far as events tell, and where more is known.
        self._asked: list[Interrupt] = []
        self._still_open: tuple[Interrupt, ...] = ()

    def encode(self, batch: Batch) -> bytes:
        self._frames.sequence = batch.first
        take(batch.events, texts=self._go_on, other=self._tell)
        return self._frames.taken()

    def heartbeat(self) -> bytes:
        return sse.COMMENT_HEARTBEAT

    def stay_open(self, questions: tuple[Interrupt, ...]) -> None:
        self._still_open = questions

    def paused(self) -> bytes:
        questions = [
            {
                "id": str(QuestionId(self._run_id, one.interrupt_id, self._frames.sequence)),
                "reason": "input_required",
                "message": question_text(one.value),
                "metadata": {"value": one.value},
            }
            for one in self._still_open or self._asked
        ]
        self._close_all()
        self._finish({"type": "interrupt", "interrupts": questions})
        return self._frames.paused()

    def _go_on(self, channel: Channel, texts: list[str]) -> None:
        """Take events in a row whose texts are of one message: by far the most."""
        message = None if self._asked else self._messages.get(channel)
        if message is None:
            self._tell(Token(texts.pop(0), node=channel[0], message_id=channel[1]))
            message = self._messages[channel]
        if texts:
            self._frames.go_on(message, texts)

    def _tell(self, event: Event) -> None:
        self._made = 0
        if not self._begun:
            # The page's run begins with the first event of ours.
            self._begun = True
            self._say("RUN_STARTED", {**self._boundary, "protocolVersion": PROTOCOL_VERSION})
        self._take(event)
        self._frames.told()

    def _take(self, event: Event) -> None:
        if self._asked and type(event) is not Interrupt:
            # They have been answered.
            self._asked.clear()
        match event:
            case Started(framework=framework, attempt=attempt):
                self._framework = framework
                if attempt is not None:
                    # A worker was lost: a page cannot take back what it has said, but what is said anew goes on nothing.
                    self._close_all()
                    self._spoke = False
            case Step(node_name=name):
                self._say("STEP_STARTED", {"stepName": name})
                self._say("STEP_FINISHED", {"stepName": name})
            case ToolCall():
                self._call(event)
            case ToolResult():
                self._called(event)
            case Progress() | Checkpoint() | Policy():
                name = type(event).__name__.lower()
                self._say("CUSTOM", {"name": name, "value": msgspec.structs.asdict(event)})
            case Custom(name=name, data=data):
                self._custom(name, data)
            case Interrupt():
                self._asked.append(event)
            case Complete():
                self._complete(event)
            case Failed(error=message, code=code):
                self._say("RUN_ERROR", {"message": message, "code": code})
            case Cancelled():
                self._close_all()
                self._finish({"type": "cancelled"})
            case Token():
                self._speak(event)
            case _:
                assert_never(event)

    def _custom(self, name: str, data: Any) -> None:
        if name == STATE:
            self._say("STATE_SNAPSHOT", {"snapshot": data})
        elif name == STATE_DELTA and isinstance(data, list):
            self._say("STATE_DELTA", {"delta": data})
        else:
            self._say("CUSTOM", {"name": name, "value": data})

    def _complete(self, event: Complete) -> None:
        reply = "" if self._spoke else self._chat.reply(event.output)
        if reply:
            self._speak(Token(reply))
        self._close_all()
        output: Any = event.output
        if self._framework == _GRAPHS and isinstance(output, dict):
            self._say("STATE_SNAPSHOT", {"snapshot": output})
        usage = usage_of(event.metadata)
        used = {} if usage is None else {"usage": [usage]}
        self._finish({"type": "success"}, result=event.output, **used)

    def _finish(self, outcome: dict[str, Any], **more: Any) -> None:
        self._say("RUN_FINISHED", {**self._boundary, "outcome": outcome, **more})

    # Text

    def _speak(self, token: Token) -> None:
        channel = (token.node, token.message_id)
        if token.content:
            message = self._messages.get(channel) or self._open(channel)
            fields = {"messageId": message.id, "delta": token.content}
            self._say("TEXT_MESSAGE_CONTENT", fields)
        if token.finish_reason is not None:
            self._close(channel)

    def _open(self, channel: Channel) -> OpenText:
        self._spoke = True
        message_id = self._new_id("msg")
        self._say("TEXT_MESSAGE_START", {"messageId": message_id, "role": "assistant"})
        delta = {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id}
        message = self._messages[channel] = self._frames.text(message_id, delta)
        return message

    def _close(self, channel: Channel) -> None:
        message = self._messages.pop(channel, None)
        if message is not None:
            self._say("TEXT_MESSAGE_END", {"messageId": message.id})

    def _close_all(self) -> None:
        for channel in list(self._messages):
            self._close(channel)
        for _, _, call_id in self._calls:
            # A call without a result is one that the page would make itself.
            self._result(call_id, "")
        self._calls.clear()

    # Tools

    def _call(self, event: ToolCall) -> None:
        self._close(OWN)
        call_id = self._new_id("call")
        self._calls.append((event.tool, event.call_id, call_id))
        arguments = encode(event.arguments).decode()
        self._say("TOOL_CALL_START", {"toolCallId": call_id, "toolCallName": event.tool})
        self._say("TOOL_CALL_ARGS", {"toolCallId": call_id, "delta": arguments})
        self._say("TOOL_CALL_END", {"toolCallId": call_id})

    def _called(self, event: ToolResult) -> None:
        for call in self._calls:
            if call[:2] == (event.tool, event.call_id):
                break
        else:
            # The Dockfile's filter lets results pass, and no calls.
            return
        self._calls.remove(call)
        output = event.output if isinstance(event.output, str) else encode(event.output).decode()
        self._result(call[2], output if event.error is None else event.error)

    def _result(self, call_id: str, content: str) -> None:
        fields = {"messageId": self._new_id("msg"), "toolCallId": call_id, "role": "tool"}
        self._say("TOOL_CALL_RESULT", {**fields, "content": content})

    def _new_id(self, kind: str) -> str:
        """Return an id that nothing else has, and that is the same whoever tells the run again, from wherever."""
        self._made += 1
        return f"{kind}_{self._run_id}_{self._frames.sequence}_{self._made}"

    def _say(self, kind: str, fields: dict[str, Any]) -> None:
        self._frames.say({"type": kind, **fields})
