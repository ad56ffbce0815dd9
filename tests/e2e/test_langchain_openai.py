"""`langchain-openai`, from PyPI, against a real server: the agent is a chat model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from .chatting import KEY, chatting
from .cutting import cutting
from .puppet import CHAT
from .server import Server, agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .puppet import Puppet


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with chatting(tmp_path_factory, "openai") as one:
        yield one


def read(stream: Iterable[Any], seen: list[Any]) -> None:
    """Read to the end, or to what goes wrong."""
    for piece in stream:
        seen.append(piece)


def model_of(url: str, http_client: Any, *, responses: bool, key: str = KEY) -> ChatOpenAI:
    return ChatOpenAI(
        model="e2e",
        base_url=f"{url}/v1",
        api_key=SecretStr(key),
        http_client=http_client,
        use_responses_api=responses,
        max_retries=0,
    )


@pytest.fixture(params=[False, True], ids=["chat completions", "responses"])
def responses(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def http_client() -> Iterator[Any]:
    with openai.DefaultHttpxClient(trust_env=False) as one:
        yield one


@pytest.fixture
def model(served: Server, http_client: Any, responses: bool) -> ChatOpenAI:
    return model_of(served.url, http_client, responses=responses)


def test_langchain_talks_to_the_agent_as_to_a_model(model: ChatOpenAI) -> None:
    assert model.invoke("one two").text == "one two "
    assert [chunk.text for chunk in model.stream("one two") if chunk.text] == ["one ", "two "]
    with pytest.raises(openai.APIError, match="I cannot"):
        model.invoke("fail")
    pieces: list[Any] = []
    # A failed response in a stream is a `ValueError` of the package's own.
    with pytest.raises((openai.APIError, ValueError), match="I cannot"):
        read(model.stream("fail"), pieces)
    assert [piece.text for piece in pieces if piece.text] == ["Well, "]


async def test_langchain_talks_without_blocking(served: Server, responses: bool) -> None:
    async with openai.DefaultAsyncHttpxClient(trust_env=False) as http_client:
        model = ChatOpenAI(
            model="e2e",
            base_url=f"{served.url}/v1",
            api_key=SecretStr(KEY),
            http_async_client=http_client,
            use_responses_api=responses,
        )
        assert (await model.ainvoke("one two")).text == "one two "
        texts = [chunk.text async for chunk in model.astream("one two")]
    assert [text for text in texts if text] == ["one ", "two "]


def test_langchain_sees_tools_questions_and_usage(model: ChatOpenAI) -> None:
    reply = model.invoke("tool")
    assert reply.text == "It is 3."
    # The agent has made the call: nobody has to.
    assert reply.tool_calls == []
    assert model.invoke("ask").text == "Really?"
    counted = model.invoke("count").usage_metadata
    assert counted is not None
    assert (counted["input_tokens"], counted["output_tokens"]) == (3, 4)


def test_langchain_is_told_that_the_agent_calls_no_tools_of_others(model: ChatOpenAI) -> None:
    class Answer(BaseModel):
        text: str

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    with pytest.raises(openai.BadRequestError, match="tools: the agent has its own tools"):
        model.bind_tools([add]).invoke("one")
    assert model.bind_tools([add], tool_choice="none").invoke("one").text == "one "
    for method in ("json_schema", "function_calling", "json_mode"):
        with pytest.raises(openai.BadRequestError, match="the agent"):
            model.with_structured_output(Answer, method=method).invoke("one")


def test_a_key_that_is_wrong(served: Server, http_client: Any, responses: bool) -> None:
    stranger = model_of(served.url, http_client, responses=responses, key="wrong")
    with pytest.raises(openai.AuthenticationError, match="Invalid API key"):
        stranger.invoke("one")


def test_a_stream_that_is_cut_raises(served: Server, http_client: Any, responses: bool) -> None:
    words = " ".join(map(str, range(30)))
    pieces: list[Any] = []
    with cutting(served.port, [2500]) as url:
        model = model_of(url, http_client, responses=responses)
        with pytest.raises(openai.APIConnectionError):
            read(model.stream(words), pieces)
    said = "".join(piece.text for piece in pieces)
    assert said
    assert words.startswith(said.strip())
    assert len(said) < len(words)


def test_whoever_leaves_a_stream_stops_the_agent(
    server: StartServer, puppet: Puppet, http_client: Any, responses: bool
) -> None:
    expose = {"protocols": ["openai"]}
    strung = server(agent_source("puppet") + CHAT, handler="chat", expose=expose)
    model = model_of(strung.url, http_client, responses=responses)
    stream = model.stream(str(puppet.payload["puppet"]))
    assert next(stream).text == ""
    puppet.token("first")
    assert next(piece.text for piece in stream if piece.text) == "first"
    # It is a generator, whatever its annotation says.
    stream.close()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert puppet.left(within=2) == "CancelledError"
