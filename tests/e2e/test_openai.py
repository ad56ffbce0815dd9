"""The real client of OpenAI's protocols against a real server: `openai`, of PyPI."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from tests.wires.openai.types import COMPLETION, MODEL, RESPONSE, check, with_a_code_of_theirs

from dockrion import Client

from .chatting import KEY, chatting
from .cutting import cutting
from .puppet import CHAT
from .server import Server, agent_source

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

    from .conftest import StartServer
    from .puppet import Puppet

HELD = {"connection": {"on_disconnect": "continue"}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with chatting(tmp_path_factory, "openai", streaming=HELD) as one:
        yield one


@pytest.fixture(scope="module")
def strung_chat(server: StartServer) -> Server:
    """Whoever talks to it says the port of a puppet's strings."""
    expose = {"protocols": ["openai"]}
    return server(agent_source("puppet") + CHAT, handler="chat", expose=expose)


def client_of(url: str, key: str = KEY, **options: Any) -> openai.OpenAI:
    http_client = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, http_client=http_client, **options)


@pytest.fixture
def client(served: Server) -> Iterator[openai.OpenAI]:
    with client_of(served.url) as one:
        yield one


def say(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def read(stream: Iterable[Any], seen: list[Any]) -> None:
    """Read to the end, or to what goes wrong."""
    for event in stream:
        seen.append(event)


def end_of(events: Iterable[Any]) -> Any:
    """Return the response that the last event has."""
    *_, last = events
    return last.response


def test_the_agent_is_a_model(client: openai.OpenAI) -> None:
    [model] = client.models.list().data
    assert model.id == "e2e"
    assert client.models.retrieve("e2e") == model
    with pytest.raises(openai.NotFoundError, match="There is no model 'gpt'"):
        client.models.retrieve("gpt")


def test_a_chat_completion_is_the_reply(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="e2e", messages=say("one two"))
    reply = raw.parse()
    assert reply.choices[0].message.content == "one two "
    assert reply.choices[0].finish_reason == "stop"
    assert reply.id == f"chatcmpl-{raw.headers['x-run-id']}"
    assert reply._request_id == raw.headers["x-request-id"]


def test_a_stream_is_the_reply_in_pieces(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="e2e", messages=say("one two"), stream=True)
    chunks = list(stream)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "one ", "two ", None]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert chunks[0].choices[0].delta.role == "assistant"


def test_the_clients_own_accumulator_makes_the_same_reply(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="e2e", messages=say("one two")) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "one two "
    assert {"chunk", "content.delta", "content.done"} <= kinds


def test_an_agent_that_fails_raises_and_is_not_called_again(
    client: openai.OpenAI, served: Server
) -> None:
    calls = served.folder / "calls"
    before = calls.read_text().count("fail\n") if calls.exists() else 0
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="e2e", messages=say("fail"))
    assert caught.value.code == "AGENT_EXECUTION_ERROR"
    assert "RuntimeError: I cannot" in caught.value.message
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="e2e", input="fail")
    assert calls.read_text().count("fail\n") == before + 2


def test_an_agent_that_fails_in_a_stream_raises_after_what_it_said(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="e2e", messages=say("fail"), stream=True)
    seen: list[Any] = []
    with pytest.raises(openai.APIError, match="RuntimeError: I cannot") as caught:
        read(stream, seen)
    assert [chunk.choices[0].delta.content for chunk in seen] == ["", "Well, "]
    assert caught.value.code == "AGENT_EXECUTION_ERROR"


def test_bad_requests_and_keys_raise_what_the_client_has_for_them(
    client: openai.OpenAI, served: Server
) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="e2e", messages=[])
    assert (bad.value.param, bad.value.code) == ("messages", "VALIDATION_ERROR")
    with client_of(served.url, "wrong") as other:
        with pytest.raises(openai.AuthenticationError, match="Invalid API key"):
            other.chat.completions.create(model="e2e", messages=say("x"))
        with pytest.raises(openai.AuthenticationError):
            other.models.list()


def test_a_caller_who_closes_the_stream_stops_the_agent(
    strung_chat: Server, puppet: Puppet
) -> None:
    with client_of(strung_chat.url) as client:
        said = say(str(puppet.payload["puppet"]))
        stream = client.chat.completions.create(model="e2e", messages=said, stream=True)
        assert next(stream).choices[0].delta.content == ""
        puppet.token("first")
        assert next(stream).choices[0].delta.content == "first"
        stream.close()
        assert puppet.left(within=2) == "CancelledError"


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, said: client.chat.completions.create(model="e2e", messages=say(said)),
        lambda client, said: client.responses.create(model="e2e", input=said),
    ],
    ids=["chat", "responses"],
)
def test_a_caller_who_gives_up_waiting_stops_the_agent(
    strung_chat: Server, puppet: Puppet, ask: Callable[[openai.OpenAI, str], object]
) -> None:
    with client_of(strung_chat.url, timeout=0.5, max_retries=0) as client:
        with pytest.raises(openai.APITimeoutError):
            ask(client, str(puppet.payload["puppet"]))
        assert puppet.left(within=1) == "CancelledError"


def test_a_stream_of_chunks_that_was_cut_goes_on_after_its_last_id(served: Server) -> None:
    """The client drops the ids, so whoever wants to go on reads the lines."""
    words = " ".join(map(str, range(30)))

    def read_lines(client: openai.OpenAI, seen: list[str], **headers: str) -> None:
        with client.chat.completions.with_streaming_response.create(
            model="e2e", messages=say(words), stream=True, extra_headers=headers
        ) as response:
            seen.extend(response.iter_lines())

    seen: list[str] = []
    with cutting(served.port, [1500]) as url, client_of(url, max_retries=0) as client:
        stream = client.chat.completions.create(model="e2e", messages=say(words), stream=True)
        with pytest.raises(openai.APIConnectionError):
            read(stream, [])
    with cutting(served.port, [1500]) as url, client_of(url, max_retries=0) as client:
        with pytest.raises((openai.APIConnectionError, httpx2.TransportError)):
            read_lines(client, seen)
        whole = "\n".join(seen).rpartition("\n\n")[0]
        ids = re.findall(r"(?m)^id: (.*)$", whole)
        rest: list[str] = []
        read_lines(client, rest, **{"Last-Event-ID": ids[-1]})
    text = [
        json.loads(data)["choices"][0]["delta"].get("content", "")
        for data in re.findall(r"(?m)^data: (\{.*)$", "\n".join([whole, *rest]))
    ]
    assert "".join(text) == f"{words} "
    assert "data: [DONE]" in rest


def test_usage_is_what_the_agent_has_told(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="e2e", messages=say("count"))
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 4)
    stream = client.chat.completions.create(
        model="e2e", messages=say("count"), stream=True, stream_options={"include_usage": True}
    )
    *_, last = stream
    assert last.usage == reply.usage
    response = client.responses.create(model="e2e", input="count")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 4)
    assert client.responses.create(model="e2e", input="one").usage is None


def test_a_question_is_a_reply_and_its_run_goes_on_with_the_answer(
    client: openai.OpenAI, served: Server
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="e2e", messages=say("ask"))
    choice = raw.parse().choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Really?", "stop")
    response = client.responses.create(model="e2e", input="ask")
    assert (response.output_text, response.status) == ("Really?", "completed")
    streamed = end_of(client.responses.create(model="e2e", input="ask", stream=True))
    assert (streamed.output_text, streamed.status) == ("Really?", "completed")
    ids = [response.id.removeprefix("resp_"), streamed.id.removeprefix("resp_")]
    with Client(served.url, token=KEY) as ours:
        for run_id in [raw.headers["x-run-id"], *ids]:
            ours.runs.resume(run_id, "yes")
            with ours.runs.events(run_id) as events:
                assert events.result() == {"content": "You said yes."}
    assert client.responses.retrieve(response.id).output_text == "You said yes."
    whole = end_of(client.responses.retrieve(streamed.id, stream=True))
    assert whole.output_text == "Really?You said yes."


def test_a_response_whose_agent_fails_has_what_it_said(client: openai.OpenAI) -> None:
    failed = end_of(client.responses.create(model="e2e", input="fail", stream=True))
    assert (failed.status, failed.output_text) == ("failed", "Well, ")
    assert failed.error.code == "AGENT_EXECUTION_ERROR"


def test_a_response_is_the_reply(client: openai.OpenAI) -> None:
    response = client.responses.create(model="e2e", input="one two")
    assert response.output_text == "one two "
    assert response.status == "completed"
    assert response.id.startswith("resp_")


def test_a_streamed_response_has_its_events_in_order(client: openai.OpenAI) -> None:
    with client.responses.stream(model="e2e", input="one two") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_text == "one two "
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == [
        "one ",
        "two ",
    ]


def test_tools_of_the_agent_are_calls_that_are_over(client: openai.OpenAI) -> None:
    response = client.responses.create(model="e2e", input="tool")
    call, message = response.output
    assert call.type == "mcp_call"
    assert (call.name, call.arguments, call.output) == ("add", '{"a":1,"b":2}', "3")
    assert message.type == "message"
    reply = client.chat.completions.create(model="e2e", messages=say("tool"))
    assert reply.choices[0].message.tool_calls is None
    assert reply.choices[0].message.content == "It is 3."


def test_the_next_response_goes_on_in_the_thread(client: openai.OpenAI) -> None:
    first = client.responses.create(model="e2e", input="thread")
    second = client.responses.create(model="e2e", input="thread", previous_response_id=first.id)
    third = client.responses.create(model="e2e", input="thread", previous_response_id=second.id)
    other = client.responses.create(model="e2e", input="thread")
    assert first.output_text == second.output_text == third.output_text != other.output_text


def test_a_response_whose_connection_was_cut_goes_on_after_its_last_event(
    served: Server,
) -> None:
    words = " ".join(map(str, range(30)))
    for cut in (0, 1500, 4000):
        with cutting(served.port, [cut]) as url, client_of(url, max_retries=0) as client:
            seen: list[Any] = []
            stream = client.responses.create(model="e2e", input=words, stream=True)
            with pytest.raises(openai.APIConnectionError):
                read(stream, seen)
            first = seen[0].response
            rest = list(
                client.responses.retrieve(
                    first.id, stream=True, starting_after=seen[-1].sequence_number
                )
            )
        numbers = [event.sequence_number for event in [*seen, *rest]]
        assert numbers == list(range(len(numbers)))
        assert rest[-1].type == "response.completed"
        assert rest[-1].response.output_text == f"{words} "


def test_a_background_response_can_be_waited_for_and_cancelled(
    strung_chat: Server, puppet: Puppet
) -> None:
    with client_of(strung_chat.url) as client:
        port = str(puppet.payload["puppet"])
        response = client.responses.create(model="e2e", input=port, background=True)
        assert response.status in ("queued", "in_progress")
        puppet.token("first")
        stream = client.responses.retrieve(response.id, stream=True)
        deltas = (event for event in stream if event.type == "response.output_text.delta")
        assert next(deltas).delta == "first"
        assert client.responses.cancel(response.id).status == "cancelled"
        assert puppet.left(within=2) == "CancelledError"
        assert client.responses.retrieve(response.id).status == "cancelled"


def test_every_answer_fits_the_types_of_the_client(
    client: openai.OpenAI, strung_chat: Server, puppet: Puppet
) -> None:
    raw = client.with_raw_response
    check(MODEL, raw.models.retrieve("e2e").text)
    check(COMPLETION, raw.chat.completions.create(model="e2e", messages=say("count")).text)
    check(RESPONSE, raw.responses.create(model="e2e", input="tool").text)
    with client_of(strung_chat.url) as other:
        port = str(puppet.payload["puppet"])
        begun = other.with_raw_response.responses.create(model="e2e", input=port, background=True)
        response_id = check(RESPONSE, begun.text).id
        puppet.token("first")
        check(RESPONSE, other.with_raw_response.responses.retrieve(response_id).text)
        ended = other.with_raw_response.responses.cancel(response_id).text
    check(RESPONSE, json.dumps(with_a_code_of_theirs(json.loads(ended))))


async def test_the_async_client_streams_too(served: Server) -> None:
    http_client = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(
        base_url=f"{served.url}/v1", api_key=KEY, http_client=http_client
    ) as client:
        stream = await client.chat.completions.create(
            model="e2e", messages=say("one two"), stream=True
        )
        texts = [chunk.choices[0].delta.content async for chunk in stream]
    assert texts == ["", "one ", "two ", None]


def test_limits_and_redaction_hold(tmp_path_factory: pytest.TempPathFactory) -> None:
    auth = {"mode": "api_key", "rate_limits": {"default": "2/hour"}}
    policies = {"safety": {"redact_patterns": ["t[a-z]o"]}}
    with (
        chatting(tmp_path_factory, "openai", auth=auth, policies=policies) as one,
        client_of(one.url, max_retries=0) as client,
    ):
        stream = client.chat.completions.create(model="e2e", messages=say("one two"), stream=True)
        texts = [chunk.choices[0].delta.content or "" for chunk in stream]
        assert "".join(texts) == "one [REDACTED] "
        assert client.responses.create(model="e2e", input="two").output_text == "[REDACTED] "
        with pytest.raises(openai.RateLimitError) as caught:
            client.responses.create(model="e2e", input="two")
    assert caught.value.code == "RATE_LIMIT_EXCEEDED"
    assert int(caught.value.response.headers["retry-after"]) > 0


def test_the_snippets_of_the_page_run(
    served: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    page = (Path(__file__).parents[2] / "docs" / "openai.md").read_text()
    snippets = re.findall(r"(?ms)^```python\n(.*?)^```$", page)
    code = "\n".join(snippets).replace("http://127.0.0.1:8080", served.url)
    names: dict[str, Any] = {}
    exec(code.replace("<your key>", KEY), names)
    assert len(snippets) == 4
    shown = capsys.readouterr().out
    assert shown.startswith("one two \none two one two 2 response.output_item.added\n")
    assert shown.endswith(" response.completed\n")
    names["client"].close()
