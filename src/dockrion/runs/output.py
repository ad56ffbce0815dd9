"""From what an agent returned to the output of its run: shape, size, schema."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any, Literal

from dockrion.errors import InvalidOutputError
from dockrion.events.jsonable import encode, plain_and_size, well_formed
from dockrion.events.model import Event, Token
from dockrion.events.room import Room
from dockrion.policy.caps import cut_text_to_bytes, cut_to_bytes
from dockrion.policy.outgoing import EVERYTHING, Outgoing
from dockrion.policy.values import is_large
from dockrion.runs.schema import Schema
from dockrion.spec.io_schema import text_key

logger = logging.getLogger(__name__)


class JoinedTokens:
    """The text of all tokens of a run, up to `limit_bytes`; counts them all."""

    __slots__ = ("_room", "_text", "count")

    def __init__(self, limit_bytes: int) -> None:
        self._room = Room(limit_bytes)
        self._text: StringIO | None = None
        self.count = 0

    def note(self, events: list[Event]) -> None:
        if len(events) == 1:
            # As models write them.
            event = events[0]
            if type(event) is Token:
                self._add(event.content, 1)
            return
        texts = [event.content for event in events if type(event) is Token]
        if texts:
            self._add("".join(texts), len(texts))

    def _add(self, text: str, count: int) -> None:
        self.count += count
        if self._room.is_full:
            return
        if self._text is None:
            self._text = StringIO()
        self._text.write(self._room.fit(text))

    @property
    def is_cut(self) -> bool:
        return self._room.is_full

    def text(self) -> str:
        return "" if self._text is None else self._text.getvalue()


class OutputRules:
    """What `io_schema.output`, `strict`, `limits.max_output_bytes` and the policies ask of an output.

    It is redacted before it is cut, or a cut could leave a part of what a rule matches. `on_returned` gets each
    value as the agent returned it, in the thread that makes an output of it.
    """

    def __init__(
        self,
        schema: Mapping[str, Any] | None,
        *,
        strict: bool | Literal["enforce"],
        max_bytes: int,
        outgoing: Outgoing = EVERYTHING,
        on_returned: Callable[[Any], None] | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self._outgoing = outgoing
        self._on_returned = on_returned
        self._schema = None if schema is None else Schema(schema)
        self._check = strict is not False and schema is not None
        self._enforce = strict == "enforce"
        self._root_type = "object" if self._schema is None else self._schema.root_type
        self._joined_key = text_key(schema)

    def finish(
        self, value: Any, tokens: JoinedTokens, *, run_id: str
    ) -> tuple[Any, dict[str, Any]]:
        """Return the output as plain JSON data, and what it adds to the run's metadata.

        Raises `InvalidOutputError`, `PolicyViolationError`.
        """
        if self._on_returned is not None:
            self._on_returned(value)
        if value is None and tokens.count:
            output, notes = self._joined(tokens)
        else:
            output, notes = self._sized(value)
        wrong = output is None if self._root_type != "object" else not isinstance(output, dict)
        if wrong and self._root_type != "null":
            raise InvalidOutputError(
                f"output: must be {_named(self._root_type)}, the agent gave {_kind(output)}; return one, "
                "yield tokens, or name another `type` in io_schema.output"
            )
        if self._check and self._schema is not None and not self._schema.fits(output):
            self._mismatch(self._schema, output, run_id)
            notes["output_valid"] = False
        return output, notes

    def takes_long(self, value: Any) -> bool:
        """Whether `finish` takes more than some milliseconds, with rules that read each character."""
        return self._outgoing.rules is not None and is_large(value)

    def _joined(self, tokens: JoinedTokens) -> tuple[Any, dict[str, Any]]:
        # The frame around the text: {"<key>":""}
        room = self.max_bytes - len(encode({self._joined_key: ""}))
        text = well_formed(tokens.text())
        cut = cut_text_to_bytes(text, max(0, room))
        notes = {"truncated": True} if tokens.is_cut or len(cut) < len(text) else {}
        return (cut if self._root_type == "string" else {self._joined_key: cut}), notes

    def _sized(self, value: Any) -> tuple[Any, dict[str, Any]]:
        given, size = plain_and_size(value)
        output, is_cut = self._outgoing.output(given)
        if output is not given:
            size = len(encode(output))
        if size <= self.max_bytes:
            return output, {"truncated": True} if is_cut else {}
        cut, fits = cut_to_bytes(output, self.max_bytes)
        if not fits:
            raise InvalidOutputError(
                f"output: {size} bytes, and without its text still over expose.limits.max_output_bytes ({self.max_bytes})"
            )
        return cut, {"truncated": True}

    def _mismatch(self, schema: Schema, output: Any, run_id: str) -> None:
        problems = schema.problems(output)
        if self._enforce:
            first = problems[0]
            raise InvalidOutputError(
                f"output{first['pointer']}: {first['message']}", details=problems
            )
        logger.warning(
            "output does not fit io_schema.output",
            extra={
                "run_id": run_id,
                "pointers": [problem["pointer"] for problem in problems],
            },
        )


def _named(root_type: str) -> str:
    return f"an {root_type}" if root_type[0] in "aio" else f"a {root_type}"


def _kind(output: Any) -> str:
    match output:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case _:
            return "an object"
