"""LangChain runnables as agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableGenerator, RunnableLambda
from langchain_core.tools import tool

from dockrion.adapters.langchain import RunnableAgent
from dockrion.adapters.shapes import Shapes
from dockrion.errors import InvalidAgentError
from dockrion.events.model import Complete, Event, Token, ToolCall, ToolResult
from tests.adapters.graphs import speaker
from tests.runs.kit import read_to_end, runner_for_agent, tokens


async def events_of(runnable: Any, payload: Any, **shapes: Any) -> list[Event]:
    agent = await RunnableAgent.load(runnable, name="kit:chain", shapes=Shapes(**shapes))
    with anyio.fail_after(10):
        return await read_to_end(runner_for_agent(agent).start(payload, streams=True))


def output_of(events: list[Event]) -> Any:
    assert isinstance(events[-1], Complete), events[-1]
    return events[-1].output


def _text_of(message: Any) -> dict[str, Any]:
    return {"text": message.content}


ASK = ChatPromptTemplate.from_template("say {topic}")


async def test_a_chain_streams_the_tokens_of_its_model_and_its_text_is_the_output() -> None:
    events = await events_of(ASK | speaker("hello there") | StrOutputParser(), {"topic": "x"})
    assert tokens(events) == list("hello there")
    assert output_of(events) == {"content": "hello there"}


async def test_text_goes_where_the_schema_has_it() -> None:
    chain = ASK | speaker("hello") | StrOutputParser()
    events = await events_of(chain, {"topic": "x"}, text_key="answer")
    assert output_of(events) == {"answer": "hello"}


async def test_the_output_is_the_whole_value_when_it_is_structured() -> None:
    chain = ASK | speaker('{"a": [1, 2], "b": "c"}') | JsonOutputParser()
    events = await events_of(chain, {"topic": "x"})
    assert output_of(events) == {"a": [1, 2], "b": "c"}


async def test_a_message_is_its_json() -> None:
    events = await events_of(ASK | speaker("hello"), {"topic": "x"})
    output = output_of(events)
    assert output["content"] == "hello"
    assert tokens(events) == list("hello")


async def test_what_streams_text_without_a_model_streams_here() -> None:
    async def words(inputs: AsyncIterator[Any]) -> AsyncIterator[str]:
        async for _ in inputs:
            pass
        for word in ("one ", "two"):
            yield word

    events = await events_of(RunnableGenerator(words), "go")
    assert tokens(events) == ["one ", "two"]
    assert output_of(events) == {"content": "one two"}


@pytest.mark.parametrize(
    ("payload", "input_key", "given"),
    [
        ({"q": "x"}, "q", "x"),
        ({"q": "x"}, None, {"q": "x"}),
        ({"q": "x", "more": 1}, "q", {"q": "x", "more": 1}),
        ("text", "q", "text"),
    ],
)
async def test_the_one_property_of_the_schema_is_the_input(
    payload: Any, input_key: str | None, given: Any
) -> None:
    events = await events_of(
        RunnableLambda(lambda value: {"given": value}), payload, input_key=input_key
    )
    assert output_of(events) == {"given": given}


async def test_tools_are_told() -> None:
    @tool
    def shout(text: str) -> str:
        """Shout it."""
        return text.upper()

    chain = RunnableLambda(lambda text: {"text": text}) | shout
    events = await events_of(chain, "hi")
    [call] = [event for event in events if isinstance(event, ToolCall)]
    [result] = [event for event in events if isinstance(event, ToolResult)]
    assert (call.tool, call.arguments, result.output) == ("shout", {"text": "hi"}, "HI")
    assert output_of(events) == {"content": "HI"}


async def test_a_model_tagged_nostream_makes_the_output_without_tokens() -> None:
    quiet = speaker("quiet").with_config(tags=["nostream"])
    chain = ASK | quiet | RunnableLambda(_text_of)
    events = await events_of(chain, {"topic": "x"})
    assert not any(isinstance(event, Token) for event in events)
    assert output_of(events) == {"text": "quiet"}


async def test_text_that_a_chain_makes_of_a_model_tagged_nostream_is_not_sent_either() -> None:
    quiet = speaker("quiet").with_config(tags=["nostream"])
    events = await events_of(ASK | quiet | StrOutputParser(), {"topic": "x"})
    assert not any(isinstance(event, Token) for event in events)
    assert output_of(events) == {"content": "quiet"}


async def test_the_thread_is_the_session_that_message_histories_ask_for() -> None:
    def session(_: Any, config: RunnableConfig) -> dict[str, str]:
        return {"session": config.get("configurable", {})["session_id"]}

    agent = await RunnableAgent.load(RunnableLambda(session), name="kit:chain", shapes=Shapes())
    run = runner_for_agent(agent).start({}, streams=True, thread_id="talk")
    with anyio.fail_after(10):
        events = await read_to_end(run)

    assert output_of(events) == {"session": "talk"}


async def test_what_is_no_runnable_is_refused() -> None:
    with pytest.raises(
        InvalidAgentError, match=r"kit:chain must give a LangChain Runnable, got an object of dict"
    ):
        await events_of({}, {})
