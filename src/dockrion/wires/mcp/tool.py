"""The agent as the one tool of an MCP server: how it is listed, what it gets, and its outputs as results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, cast

from dockrion.events.jsonable import encode
from dockrion.spec import DockSpec
from dockrion.spec.fields import is_mapping
from dockrion.spec.schema_walk import moved
from dockrion.wires.chat import Replies, kind_of, question_text
from dockrion.wires.mcp.rpc import HEADER_MISMATCH, INVALID_PARAMS, Head, RpcError, plain_header

# What the model providers behind most hosts take as the name of a function.
MAX_NAME_CHARS: Final = 64
# The argument of an agent whose input is no object.
_INPUT: Final = "input"
# The field of a form for a question that brings none of its own.
ANSWER: Final = "answer"
RUN_KEY: Final = "dockrion/run_id"
THREAD_KEY: Final = "dockrion/thread_id"
TOKENS_KEY: Final = "dockrion/tokens"
CODE_KEY: Final = "dockrion/code"
DETAILS_KEY: Final = "dockrion/details"
METADATA_KEY: Final = "dockrion/metadata"
INTERRUPTS_KEY: Final = "dockrion/interrupts"
# What the schema of a form has, and what a field of it may be.
_OF_FORMS: Final = ("type", "properties", "required")
_PRIMITIVES: Final = frozenset({"string", "number", "integer", "boolean"})


class Question(NamedTuple):
    interrupt_id: str
    value: Any


class Tool:
    """One for each app. `hide` takes the values of secrets out of what the Dockfile says of itself."""

    def __init__(self, spec: DockSpec, hide: Callable[[Any], Any]) -> None:
        self.name: Final = spec.agent.name[:MAX_NAME_CHARS]
        schema = spec.io_schema
        self._replies = Replies(spec)
        self._is_object = schema.input is None or schema.input.get("type", "object") == "object"
        self.listing: Final[dict[str, Any]] = hide(
            {
                "name": self.name,
                "description": spec.agent.description or f"Runs the agent {spec.agent.name}.",
                "inputSchema": self._input(schema.input),
                **_output(None if schema.strict is False else schema.output),
            }
        )
        self._is_checked = "outputSchema" in self.listing
        self._in_head = dict(_in_head(self.listing["inputSchema"], ()))

    def _input(self, schema: dict[str, Any] | None) -> dict[str, Any]:
        if schema is None:
            return {"type": "object"}
        if self._is_object:
            return {"type": "object", **schema}
        inner = moved(schema, f"#/properties/{_INPUT}")
        return {"type": "object", "properties": {_INPUT: inner}, "required": [_INPUT]}

    def payload(self, params: dict[str, Any]) -> Any:
        """Return what the agent gets of a call; raise `RpcError`."""
        name, arguments = params.get("name"), params.get("arguments")
        if name != self.name:
            shown = f" {name[:80]!r}" if isinstance(name, str) else ""
            raise RpcError(
                INVALID_PARAMS, f"There is no tool{shown}; this server has {self.name!r}."
            )
        given: Any = {} if arguments is None else arguments
        if not isinstance(given, dict):
            raise RpcError(INVALID_PARAMS, f"arguments: must be an object, got {kind_of(given)}")
        known = cast("dict[str, Any]", given)
        return known if self._is_object else known.get(_INPUT)

    def check_head(self, params: dict[str, Any], head: Head) -> None:
        """Raise `RpcError` where an argument that the schema wants in the head, too, is another one there."""
        for place, name in self._in_head.items():
            value: Any = params.get("arguments")
            for key in place:
                value = value.get(key) if is_mapping(value) else None
            if not _says(plain_header(head.arguments.get(name.lower())), value):
                raise RpcError(
                    HEADER_MISMATCH, f"Mcp-Param-{name}: must be the argument {'.'.join(place)}"
                )

    def result(self, output: Any, metadata: dict[str, Any], run_id: str) -> dict[str, Any]:
        """Return the result of a run that has an output. Clients refuse one that does not fit the schema that they
        were told, so such an output is an error here.
        """
        meta = {RUN_KEY: run_id, METADATA_KEY: metadata}
        text = encode(output).decode() if self._is_checked else self._replies.reply(output)
        content = {"content": [{"type": "text", "text": text}]}
        if self._is_checked and metadata.get("output_valid") is False:
            return {**content, "isError": True, "_meta": {**meta, CODE_KEY: "INVALID_OUTPUT"}}
        structured = {"structuredContent": output} if is_mapping(output) else {}
        return {**content, **structured, "isError": False, "_meta": meta}


def failure(message: str, code: str, run_id: str | None = None, **meta: Any) -> dict[str, Any]:
    """Return the result of a call that came to nothing, for the model to read."""
    known = {CODE_KEY: code} if run_id is None else {RUN_KEY: run_id, CODE_KEY: code}
    content = [{"type": "text", "text": f"{code}: {message}"}]
    return {"content": content, "isError": True, "_meta": {**known, **meta}}


def unanswered(questions: list[Question], run_id: str, *, can_be: bool) -> dict[str, Any]:
    """Return the result of a run that waits, for a client that cannot ask its user."""
    asked = "\n".join(question_text(one.value) for one in questions)
    how = (
        f"Answer with POST /runs/{run_id}/resume, and look for the output at GET /runs/{run_id}."
        if can_be
        else "This agent has no async runs, so it cannot be answered (streaming.async_runs)."
    )
    interrupts = [{"interrupt_id": one.interrupt_id, "value": one.value} for one in questions]
    message = f"The agent waits for an answer, and this client cannot be asked: {asked}\n{how}"
    return failure(message, "INTERRUPTED", run_id, **{INTERRUPTS_KEY: interrupts})


def form(question: Question) -> dict[str, Any]:
    """Return a question as the form that a client shows. One that has a `message` and a `schema` of plain fields is a
    form already.
    """
    value = question.value
    schema = _own_form(value)
    if schema is None:
        schema = {
            "type": "object",
            "properties": {ANSWER: {"type": "string"}},
            "required": [ANSWER],
        }
        return {"message": question_text(value), "requestedSchema": schema}
    return {"message": cast("dict[str, Any]", value)["message"], "requestedSchema": schema}


def required(questions: list[Question], run_id: str) -> dict[str, Any]:
    """Return the result that asks for answers; the call that brings them names the run by its state.

    Who may see the run may answer it, so the state needs no seal: one that is made up leads to nothing else.
    """
    requests = {
        one.interrupt_id: {"method": "elicitation/create", "params": {"mode": "form", **form(one)}}
        for one in questions
    }
    return {"resultType": "input_required", "inputRequests": requests, "requestState": run_id}


def answer_to(question: Question, content: Any) -> Any:
    """Return what the agent gets of a form that was filled in: of its own the whole, else the one answer."""
    if _own_form(question.value) is None and isinstance(content, dict):
        return cast("dict[str, Any]", content).get(ANSWER)
    return content


def _own_form(value: Any) -> dict[str, Any] | None:
    if not is_mapping(value) or not isinstance(value.get("message"), str):
        return None
    schema = value.get("schema")
    if not is_mapping(schema) or schema.get("type") != "object":
        return None
    fields = schema.get("properties")
    if not is_mapping(fields) or not all(map(_is_plain, fields.values())):
        return None
    return {key: schema[key] for key in _OF_FORMS if key in schema}


def _is_plain(field: Any) -> bool:
    if not is_mapping(field):
        return False
    kind = field.get("type")
    return kind in _PRIMITIVES or (kind == "array" and is_mapping(field.get("items")))


def _in_head(schema: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give the arguments that are to be in the head of a call too, and under which name: `x-mcp-header`."""
    fields = schema.get("properties") if is_mapping(schema) else None
    if not is_mapping(fields):
        return
    for key, field in fields.items():
        name = field.get("x-mcp-header") if is_mapping(field) else None
        if isinstance(name, str):
            yield (*place, key), name
        yield from _in_head(field, (*place, key))


def _says(header: str | None, value: Any) -> bool:
    match value:
        case None:
            return header is None
        case bool():
            return header == str(value).lower()
        case int():
            return header is not None and re.fullmatch(rf"{value}(\.0+)?", header) is not None
        case str():
            return header == value
        case _:
            # Of what else there is, a header has none.
            return header is None


def _output(schema: dict[str, Any] | None) -> dict[str, Any]:
    """Only objects: of what else there is, clients of before 2026 know nothing."""
    if schema is None or schema.get("type", "object") != "object":
        return {}
    return {"outputSchema": {"type": "object", **schema}}
