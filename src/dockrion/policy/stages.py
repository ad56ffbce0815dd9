"""The stages that every event passes on its way out: redaction, then the cap on a run's tokens."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import msgspec

from dockrion.errors import PolicyViolationError
from dockrion.events.base import HaltedError
from dockrion.events.model import (
    OWN,
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
from dockrion.policy.redaction import (
    REDACTED,
    REDACTION_RULE,
    RedactionRules,
    StreamRedactor,
)
from dockrion.policy.values import redact_number, redact_value

# So many messages of a run are looked at as texts that go on; of those with nothing held the oldest is closed.
MAX_CHANNELS: Final = 1024
# So many messages of a run can be told apart; an agent that writes in more of them is stopped.
MAX_MESSAGES: Final = 100_000
MAX_NODES: Final = 1024
# A custom event's name has no brackets.
REDACTED_NAME: Final = "REDACTED"


class RedactingStage:
    """Redacts the events of one run: the text of each channel (node and message) as one, everything else whole.

    Text that may still become a match is held, while other events pass it; it comes out as a token of its own
    channel. A `finish_reason` lets what is held of its message go. Text that comes for it after that can no longer be
    seen together with what has left, so it becomes `[REDACTED]`.

    A question of the agent's lets go of what is held of its own text, which belongs in front of it. What follows is
    looked at together with that, so nothing more of a match leaves than was there before the question.

    Outputs and the sentences of errors come here redacted already: they are cut to a size, which must not
    cut a match in two. With `on_match`, which raises, a match ends the run and nothing more leaves.
    """

    def __init__(
        self, rules: RedactionRules, *, on_match: Callable[[], object] | None = None
    ) -> None:
        self._rules = rules
        self._on_match = on_match
        self._channels: dict[Channel, StreamRedactor] = {}
        # Of which something has left, or was forgotten, that a match might have begun in.
        self._closed: set[Channel] = set()
        # Of tokens without a message: whether it has ended is known only at the end of the run.
        self._finish_reasons: dict[Channel, str] = {}
        self._nodes: dict[str, str] = {}
        # What a question has let go of, of what is still held.
        self._let_go = ""
        self._halted = False

    def feed(self, batch: list[Event]) -> list[Event]:
        if self._halted:
            return [event for event in batch if isinstance(event, _LAST)]
        with self._halting() as passed:
            self._feed(batch, passed)
        return passed

    def flush(self) -> list[Event]:
        if self._halted:
            return []
        with self._halting() as passed:
            for channel in list(self._channels):
                self._end(channel, self._finish_reasons.pop(channel, None), passed)
        return passed

    @contextmanager
    def _halting(self) -> Generator[list[Event]]:
        """Give a list for what passes; a violation ends the run with what is in it by then."""
        passed: list[Event] = []
        try:
            yield passed
        except PolicyViolationError as violation:
            self._halted = True
            raise HaltedError(violation, passed) from None

    def _feed(self, batch: list[Event], passed: list[Event]) -> None:
        position, count = 0, len(batch)
        while position < count:
            event = batch[position]
            if type(event) is Token:
                end = _end_of_text(batch, position)
                self._speak(cast("list[Token]", batch[position:end]), passed)
                position = end
            else:
                if type(event) is Interrupt:
                    self._let_own_text_go(passed)
                passed.append(self._redacted(event))
                position += 1

    def _speak(self, tokens: list[Token], passed: list[Event]) -> None:
        """Pass tokens of one channel on; only the last one may have a `finish_reason`."""
        last = tokens[-1]
        channel = (last.node, last.message_id)
        if (earlier := self._finish_reasons.pop(channel, None)) is not None:
            passed.append(self._token("", channel, earlier))
        if channel in self._closed:
            if any(token.content for token in tokens):
                self._matched()
                passed.append(self._token(REDACTED, channel, None))
            if last.finish_reason is not None:
                passed.append(self._token("", channel, self._text(last.finish_reason)))
            return
        redactor = self._channels.pop(channel, None)
        if redactor is None:
            self._make_room()
            redactor = self._rules.stream()
        # The one that was used last stands last.
        self._channels[channel] = redactor
        texts = [token.content for token in tokens]
        joined = "".join(texts)
        out = redactor.feed(joined)
        if redactor.matched:
            self._matched()
        if self._let_go and channel == OWN:
            out = self._not_yet_gone(out)
        if last.finish_reason is not None:
            self._finish(tokens, out, redactor, passed)
        elif out == joined and self._node(last.node) is last.node:
            passed.extend(tokens)
        else:
            self._distribute(out, tokens, passed)

    def _finish(
        self, tokens: list[Token], out: str, redactor: StreamRedactor, passed: list[Event]
    ) -> None:
        last = tokens[-1]
        channel = (last.node, last.message_id)
        finish_reason = self._text(last.finish_reason or "")
        self._distribute(out, tokens, passed)
        if not redactor.held:
            # The text may go on, and a rule may look back at what has left.
            self._say_finished(channel, "", finish_reason, passed)
        elif last.message_id is None:
            self._finish_reasons[channel] = finish_reason
        else:
            self._end(channel, finish_reason, passed)
            self._close(channel)

    def _end(self, channel: Channel, finish_reason: str | None, passed: list[Event]) -> None:
        redactor = self._channels.pop(channel)
        text = redactor.flush()
        if redactor.matched:
            self._matched()
        if self._let_go and channel == OWN:
            text = self._not_yet_gone(text)
            self._let_go = ""
        if text or finish_reason is not None:
            self._say_finished(channel, text, finish_reason, passed)

    def _let_own_text_go(self, passed: list[Event]) -> None:
        # Models have messages, and graphs nodes, which may be in the middle of a word.
        redactor = self._channels.get(OWN)
        if redactor is None or not redactor.held:
            return
        ahead = redactor.copy()
        rest = ahead.flush()
        if ahead.matched:
            self._matched()
        gone, self._let_go = self._let_go, rest
        text = rest[_common(gone, rest) :]
        if text:
            passed.append(self._token(text, OWN, None))

    def _not_yet_gone(self, text: str) -> str:
        """Return `text`, which is held no more, without what has left of it before a question."""
        seen = _common(self._let_go, text)
        # Where it goes on in another way, a match began in what has left.
        self._let_go = self._let_go[seen:] if seen == len(text) else ""
        return text[seen:]

    def _say_finished(
        self, channel: Channel, text: str, finish_reason: str | None, passed: list[Event]
    ) -> None:
        before = passed[-1] if passed else None
        shown = (self._node(channel[0]), channel[1])
        if (
            not text
            and type(before) is Token
            and before.finish_reason is None
            and (before.node, before.message_id) == shown
        ):
            passed[-1] = Token(before.content, finish_reason, *shown)
        else:
            passed.append(self._token(text, channel, finish_reason))

    def _distribute(self, text: str, tokens: list[Token], passed: list[Event]) -> None:
        """Give `text`, what a channel lets go of, out in tokens about as long as those that came in."""
        channel = (tokens[-1].node, tokens[-1].message_id)
        start = 0
        for token in tokens[:-1]:
            piece = text[start : start + len(token.content)]
            if piece:
                passed.append(self._token(piece, channel, None))
            start += len(piece)
        if start < len(text):
            passed.append(self._token(text[start:], channel, None))

    def _token(self, text: str, channel: Channel, finish_reason: str | None) -> Token:
        return Token(text, finish_reason, self._node(channel[0]), channel[1])

    def _node(self, node: str | None) -> str | None:
        """Return a node's name as it may be shown; the channels of two stay apart even if that is the same."""
        if node is None:
            return None
        shown = self._nodes.get(node)
        if shown is None:
            if len(self._nodes) >= MAX_NODES:
                self._nodes.clear()
            shown = self._nodes[node] = self._text(node)
        return shown

    def _make_room(self) -> None:
        if len(self._channels) < MAX_CHANNELS:
            return
        idle = (channel for channel, redactor in self._channels.items() if not redactor.held)
        oldest = next(idle, None)
        if oldest is None:
            raise PolicyViolationError(
                "More messages are written at once than can be redacted.", rule=REDACTION_RULE
            )
        del self._channels[oldest]
        self._close(oldest)

    def _close(self, channel: Channel) -> None:
        if len(self._closed) >= MAX_MESSAGES:
            raise PolicyViolationError(
                f"The run has more than {MAX_MESSAGES} messages.", rule=REDACTION_RULE
            )
        self._closed.add(channel)

    def _matched(self) -> None:
        if self._on_match is not None:
            self._on_match()

    def _text(self, text: str) -> str:
        redacted = self._rules.redact(text)
        if redacted is not text:
            self._matched()
        return redacted

    def _error(self, text: str | None) -> str | None:
        if isinstance(text, RedactedText):
            self._matched()
            return str.__str__(text)
        return self._optional(text)

    def _optional(self, text: str | None) -> str | None:
        return None if text is None else self._text(text)

    def _value(self, value: Any) -> Any:
        return redact_value(value, self._text)

    def _milliseconds(self, duration: float | None) -> float | None:
        if duration is None or redact_number(duration, self._text) is duration:
            return duration
        return None

    def _redacted(self, event: Event) -> Event:
        text, optional, value = self._text, self._optional, self._value
        match event:
            case Step():
                return Step(
                    text(event.node_name),
                    self._milliseconds(event.duration_ms),
                    value(event.input_keys),
                    value(event.output_keys),
                )
            case Progress():
                done = redact_number(event.progress, text)
                progress = event.progress if done is event.progress else 0.0
                return Progress(text(event.step), progress, optional(event.message))
            case Checkpoint():
                return Checkpoint(text(event.name), value(event.data))
            case ToolCall():
                return ToolCall(text(event.tool), event.call_id, value(event.arguments))
            case ToolResult():
                return ToolResult(
                    text(event.tool),
                    event.call_id,
                    value(event.output),
                    self._milliseconds(event.duration_ms),
                    self._error(event.error),
                )
            case Policy():
                return Policy(text(event.rule), text(event.message), optional(event.tool))
            case Custom():
                name = event.name if text(event.name) is event.name else REDACTED_NAME
                return Custom(name, value(event.data))
            case Interrupt():
                return Interrupt(value(event.value), event.interrupt_id)
            case Cancelled():
                return Cancelled(text(event.reason))
            case Token() | Started() | Complete() | Failed():
                return event


class RedactedText(str):
    """A text of ours that had a match in it, and has been redacted."""

    __slots__ = ()


class TokenCap:
    """Lets so many characters of tokens through, over all channels; further tokens are left out."""

    def __init__(self, max_chars: int) -> None:
        self._room = max_chars
        self._cut = False

    def feed(self, batch: list[Event]) -> list[Event]:
        passed: list[Event] = []
        for event in batch:
            match event:
                case Token():
                    passed.extend(self._within(event))
                case Complete() if self._cut:
                    metadata = {**event.metadata, "truncated": True}
                    passed.append(msgspec.structs.replace(event, metadata=metadata))
                case _:
                    passed.append(event)
        return passed

    def flush(self) -> list[Event]:
        return []

    def _within(self, token: Token) -> Sequence[Token]:
        size = len(token.content)
        if size <= self._room:
            self._room -= size
            return (token,)
        self._cut = True
        text, self._room = token.content[: self._room], 0
        if not text and token.finish_reason is None:
            return ()
        return (Token(text, token.finish_reason, token.node, token.message_id),)


_LAST: Final = (Complete, Failed, Cancelled)


def _common(left: str, right: str) -> int:
    """Return how long the beginning is that both have."""
    pairs = zip(left, right, strict=False)
    unlike = (at for at, (one, other) in enumerate(pairs) if one != other)
    return next(unlike, min(len(left), len(right)))


def _end_of_text(batch: list[Event], start: int) -> int:
    """Return where the run of tokens ends that are of one channel and have no `finish_reason`, but the last."""
    first = cast("Token", batch[start])
    end = start
    for event in batch[start:]:
        if type(event) is not Token:
            break
        if event.message_id != first.message_id or event.node != first.node:
            break
        end += 1
        if event.finish_reason is not None:
            break
    return end
