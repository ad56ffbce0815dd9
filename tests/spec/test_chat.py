"""Where a conversation goes in a payload, and why it may have no place."""

from __future__ import annotations

from typing import Any

import pytest
from tests.spec.kit import problems_of, spec_of

from dockrion.spec.chat import ChatInput, chat_input

TEXT = {"type": "string"}
LIST = {"type": "array", "items": {"type": "object"}}
PLACES: list[tuple[dict[str, Any] | None, str | None, ChatInput]] = [
    (None, None, ChatInput("messages", whole=True)),
    (None, "query", ChatInput("query", whole=False)),
    ({"type": "string"}, None, ChatInput(None, whole=False)),
    ({"properties": {"messages": LIST, "x": TEXT}}, None, ChatInput("messages", whole=True)),
    ({"properties": {"messages": TEXT}}, None, ChatInput("messages", whole=False)),
    (
        {"properties": {"q": TEXT, "k": {"type": "integer"}}, "required": ["q"]},
        None,
        ChatInput("q", whole=False),
    ),
    ({"properties": {"a": TEXT, "b": TEXT}}, "b", ChatInput("b", whole=False)),
    ({"properties": {"history": LIST}}, "history", ChatInput("history", whole=True)),
]
NONE: list[tuple[dict[str, Any], str | None, str]] = [
    ({"type": "integer"}, None, "is of type integer"),
    ({"properties": {"a": TEXT}}, None, "(found: none)"),
    ({"properties": {"a": TEXT, "b": TEXT}, "required": ["a", "b"]}, None, "(found: a, b)"),
    ({"properties": {"a": TEXT}}, "b", "b is no property of io_schema.input (found: a)"),
    (
        {"properties": {"q": TEXT, "k": {"type": "integer"}}, "required": ["q", "k"]},
        None,
        "also requires k",
    ),
    ({"properties": {"n": {"type": "integer"}}}, "n", "n is of type integer"),
]


def parts(schema: dict[str, Any] | None, named: str | None) -> dict[str, Any]:
    chat = {} if named is None else {"expose.chat": {"input": named}}
    return {"expose.protocols": ["openai"], "io_schema.input": schema, **chat}


@pytest.mark.parametrize(("schema", "named", "place"), PLACES)
def test_a_conversation_has_its_place(
    schema: dict[str, Any] | None, named: str | None, place: ChatInput
) -> None:
    assert chat_input(spec_of(parts(schema, named))) == place


@pytest.mark.parametrize(("schema", "named", "why"), NONE)
def test_a_schema_without_a_place_for_it_is_a_problem_of_the_dockfile(
    schema: dict[str, Any], named: str | None, why: str
) -> None:
    [problem] = problems_of(parts(schema, named))
    at = "expose.protocols" if named is None else "expose.chat.input"
    assert problem.startswith(f"{at}: openai cannot be served: ")
    assert why in problem


@pytest.mark.parametrize(("schema", "named", "why"), NONE)
def test_without_a_chat_protocol_it_is_none(
    schema: dict[str, Any], named: str | None, why: str
) -> None:
    assert spec_of({**parts(schema, named), "expose.protocols": ["mcp"]})


@pytest.mark.parametrize(("schema", "named", "says"), NONE)
def test_a2a_serves_agents_without_such_a_place_unless_one_is_named(
    schema: dict[str, Any], named: str | None, says: str
) -> None:
    given = {**parts(schema, named), "expose.protocols": ["a2a"]}
    if named is None:
        assert chat_input(spec_of(given)) is None
    else:
        assert any(says in problem for problem in problems_of(given))
