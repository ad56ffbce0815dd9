"""The real clients of A2A, `a2a-sdk` from PyPI and `@a2a-js/sdk` from npm, against a real server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import httpx
import pytest
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.errors import A2AClientError
from a2a.compat.v0_3.jsonrpc_transport import CompatJsonRpcTransport
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import (
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from .cutting import cutting
from .readers import CLIENTS
from .server import Server, agent_source

if TYPE_CHECKING:
    from google.protobuf.message import Message as Proto

KEYS = {"ONE": "key-of-one", "TWO": "key-of-two"}
EXPOSE = {"protocols": ["a2a"]}
PAGE = Path(__file__).parents[2] / "docs" / "a2a.md"
WHOLE = "".join(f"{number} " for number in range(40))
SECTIONS: dict[str, Any] = {
    "expose": EXPOSE,
    "auth": {
        "mode": "api_key",
        "api_keys": {"keys": [{"name": name, "env_var": f"KEY_{name}"} for name in KEYS]},
    },
    "streaming": {"backend": "sqlite"},
    "policies": {"safety": {"redact_patterns": ["sec.?ret"]}},
}
both = pytest.mark.parametrize("legacy", [False, True], ids=["1.0", "0.3"])


def _start(folder: Path) -> Server:
    with pytest.MonkeyPatch.context() as patch:
        for name, key in KEYS.items():
            patch.setenv(f"KEY_{name}", key)
        return Server(folder, agent_source("tasking"), handler="handle", sections=SECTIONS)


@pytest.fixture(scope="module")
def tasking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = _start(tmp_path_factory.mktemp("tasking"))
    yield one
    one.kill()


@asynccontextmanager
async def client_of(
    server: Server,
    *,
    legacy: bool,
    key: str | None = KEYS["ONE"],
    at: str | None = None,
    **more: Any,
) -> AsyncGenerator[Client]:
    """Make a client as the card says; `at` is another way to the server."""
    headers = {} if key is None else {"x-api-key": key}
    async with httpx.AsyncClient(headers=headers, timeout=20) as http:
        card = await A2ACardResolver(http, server.url).get_agent_card()
        kept = card.supported_interfaces[1 if legacy else 0]
        if at is not None:
            kept.url = f"{at}/a2a"
        del card.supported_interfaces[0 if legacy else 1]
        client = ClientFactory(ClientConfig(httpx_client=http, **more)).create(card)
        assert isinstance(cast("Any", client)._transport, CompatJsonRpcTransport) is legacy
        yield client


def message(text: str, **more: Any) -> SendMessageRequest:
    said = Message(message_id="m", role=Role.ROLE_USER, parts=[Part(text=text)], **more)
    return SendMessageRequest(message=said)


async def follow(
    stream: AsyncIterator[StreamResponse], on_task: Callable[[Task], Any] | None = None
) -> Task:
    """Return the task that a client has in the end."""
    task: Task | None = None
    async for one in stream:
        if one.HasField("task"):
            assert task is None
            task = one.task
            if on_task is not None:
                await on_task(task)
            continue
        assert task is not None
        if one.HasField("status_update"):
            task.status.CopyFrom(one.status_update.status)
            continue
        artifact = one.artifact_update.artifact
        known = {each.artifact_id: each for each in task.artifacts}
        assert one.artifact_update.append is (artifact.artifact_id in known)
        if artifact.artifact_id in known:
            known[artifact.artifact_id].parts.extend(artifact.parts)
        else:
            task.artifacts.append(artifact)
    assert task is not None
    return task


async def last(stream: AsyncIterator[StreamResponse]) -> Task:
    [only] = [one async for one in stream]
    return only.task


def texts(task: Task) -> list[str]:
    return ["".join(part.text for part in one.parts) for one in task.artifacts]


def state(task: Task) -> str:
    return TaskState.Name(task.status.state).removeprefix("TASK_STATE_")


def same(one: Proto, other: Proto) -> None:
    assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


@both
@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "send"])
async def test_a_task_is_told_of_and_got(tasking: Server, legacy: bool, streaming: bool) -> None:
    read = follow if streaming else last
    async with client_of(tasking, legacy=legacy, streaming=streaming) as client:
        task = await read(client.send_message(message("one two", context_id="c")))
        got = await client.get_task(GetTaskRequest(id=task.id))
        failed = await read(client.send_message(message("fail")))
        tool = await read(client.send_message(message("tool")))
        output = await read(client.send_message(message("object")))
        thread = await read(client.send_message(message("thread", context_id="c")))
        redacted = await read(client.send_message(message("a sec ret b")))
        many = await read(client.send_message(message("many 12000")))
    assert (state(task), texts(task), task.context_id) == ("COMPLETED", ["one two "], "c")
    assert (state(got), texts(got)) == ("COMPLETED", ["one two "])
    assert (state(failed), texts(failed)) == ("FAILED", ["Well, "])
    assert failed.status.message.parts[0].text == "RuntimeError: I cannot"
    assert texts(tool) == ["It is 3."]
    [data] = output.artifacts[0].parts
    assert data.data.struct_value["total"] == 3
    assert texts(thread) == ["c"]
    assert texts(redacted) == ["a [REDACTED] b "]
    assert texts(many) == ["".join(f"{number} " for number in range(12_000))]


@both
async def test_a_question_is_answered_and_the_same_task_goes_on(
    tasking: Server, legacy: bool
) -> None:
    async with client_of(tasking, legacy=legacy) as client:
        asked = await follow(client.send_message(message("ask")))
        waits = await client.get_task(GetTaskRequest(id=asked.id))
        answered = await follow(client.send_message(message("yes", task_id=asked.id)))
        with pytest.raises(UnsupportedOperationError, match="does not wait for an answer"):
            await follow(client.send_message(message("yes", task_id=asked.id)))
    assert (state(asked), state(waits)) == ("INPUT_REQUIRED", "INPUT_REQUIRED")
    assert asked.status.message.parts[0].text == "Really?"
    same(asked.status.message, waits.status.message)
    assert (answered.id, state(answered)) == (asked.id, "COMPLETED")
    assert texts(answered) == ["Well. You said yes."]


@both
async def test_a_cancelled_task_ends_on_its_stream(tasking: Server, legacy: bool) -> None:
    async with client_of(tasking, legacy=legacy) as client:

        async def cancel(task: Task) -> None:
            cancelled = await client.cancel_task(CancelTaskRequest(id=task.id))
            assert state(cancelled) == "CANCELED"

        task = await follow(client.send_message(message("wait")), cancel)
        assert state(task) == "CANCELED"
        with pytest.raises(TaskNotCancelableError, match="has ended already: CANCELLED"):
            await client.cancel_task(CancelTaskRequest(id=task.id))


@both
async def test_a_stream_that_was_cut_is_subscribed_to_without_a_loss(
    tasking: Server, legacy: bool
) -> None:
    gate = f"python {legacy}"
    with cutting(tasking.port, [900]) as cut:
        async with client_of(tasking, legacy=legacy, at=cut) as broken:
            seen: list[str] = []

            async def note(task: Task) -> None:
                seen.append(task.id)

            with pytest.raises(A2AClientError):
                await follow(broken.send_message(message(f"gated {gate}")), note)
    [task_id] = seen
    async with client_of(tasking, legacy=legacy) as client:

        async def open_gate(task: Task) -> None:
            assert task.artifacts, "what was said before is in the task"
            await follow(client.send_message(message(f"open {gate}")))

        request = SubscribeToTaskRequest(id=task_id)
        task = await follow(client.subscribe(request), open_gate)
        got = await client.get_task(GetTaskRequest(id=task_id))
        with pytest.raises(UnsupportedOperationError, match="get it instead"):
            await follow(client.subscribe(request))
    assert (state(task), texts(task), texts(got)) == ("COMPLETED", [WHOLE], [WHOLE])


@both
async def test_errors_have_the_classes_and_sentences_of_the_client(
    tasking: Server, legacy: bool
) -> None:
    url = "https://a.example/hook"
    async with client_of(tasking, legacy=legacy) as client:
        with pytest.raises(TaskNotFoundError, match="There is no task 'unknown'"):
            await client.get_task(GetTaskRequest(id="unknown"))
        with pytest.raises(TaskNotFoundError):
            await follow(client.send_message(message("yes", task_id="unknown")))
        with pytest.raises(InvalidParamsError, match=r"message\.contextId"):
            await follow(client.send_message(message("hi", context_id="\x00")))
        with pytest.raises(PushNotificationNotSupportedError):
            await client.create_task_push_notification_config(
                TaskPushNotificationConfig(task_id="x", id="1", url=url)
            )
        request = message("hi")
        request.configuration.CopyFrom(SendMessageConfiguration(accepted_output_modes=["a/b"]))
        with pytest.raises(Exception, match="must have text/plain or application/json"):
            await follow(client.send_message(request))
    async with client_of(tasking, legacy=legacy, key="wrong") as stranger:
        with pytest.raises(A2AClientError, match="401"):
            await follow(stranger.send_message(message("hi")))


@both
async def test_two_callers_do_not_see_each_others_tasks(tasking: Server, legacy: bool) -> None:
    async with client_of(tasking, legacy=legacy) as one:
        task = await follow(one.send_message(message("ask")))
        async with client_of(tasking, legacy=legacy, key=KEYS["TWO"]) as two:
            for call in (
                lambda: two.get_task(GetTaskRequest(id=task.id)),
                lambda: two.cancel_task(CancelTaskRequest(id=task.id)),
                lambda: follow(two.subscribe(SubscribeToTaskRequest(id=task.id))),
                lambda: follow(two.send_message(message("yes", task_id=task.id))),
            ):
                with pytest.raises(TaskNotFoundError):
                    await call()
        assert state(await one.get_task(GetTaskRequest(id=task.id))) == "INPUT_REQUIRED"


async def test_tasks_are_listed_for_their_owner(tasking: Server) -> None:
    async with client_of(tasking, legacy=False, key=KEYS["TWO"]) as client:
        task = await follow(client.send_message(message("one", context_id="of two")))
        listed = await client.list_tasks(ListTasksRequest(context_id="of two"))
    assert [(one.id, one.context_id) for one in listed.tasks] == [(task.id, "of two")]


async def test_a_client_that_polls_gets_its_task(tasking: Server) -> None:
    async with client_of(tasking, legacy=False, streaming=False, polling=True) as client:
        task = await last(client.send_message(message("one two")))
        with anyio.fail_after(10):
            while state(task) not in ("COMPLETED", "FAILED"):
                task = await client.get_task(GetTaskRequest(id=task.id))
                await anyio.sleep(0.01)
    assert texts(task) == ["one two "]


async def test_tasks_outlive_a_restart(tmp_path: Path) -> None:
    server = _start(tmp_path)
    try:
        async with client_of(server, legacy=False) as client:
            task = await follow(client.send_message(message("one two")))
        server.kill()
        server = _start(tmp_path)
        async with client_of(server, legacy=False) as client:
            got = await client.get_task(GetTaskRequest(id=task.id))
    finally:
        server.kill()
    assert (state(got), texts(got)) == ("COMPLETED", ["one two "])
    same(got.status, task.status)


# The client from npm

SUBMITTED, WORKING, COMPLETED, FAILED, CANCELED, INPUT_REQUIRED = 1, 2, 3, 4, 5, 6


@pytest.fixture(scope="module")
def seen(tasking: Server) -> dict[str, Any]:
    with cutting(tasking.port, [900, 900]) as cut:
        told = {"url": tasking.url, "key": KEYS["ONE"], "cutting": cut}
        return json.loads(_ran(["node", "a2a.mjs"], json.dumps(told)))


def _ran(command: list[str], given: str = "") -> str:
    ran = subprocess.run(
        command, cwd=CLIENTS, input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


versions = pytest.mark.parametrize("version", ["now", "before"], ids=["1.0", "0.3"])


@versions
@pytest.mark.node
def test_npm_streams_sends_and_gets(seen: dict[str, Any], version: str) -> None:
    told = seen[version]
    assert told["said"]["states"] == [SUBMITTED, WORKING, COMPLETED]
    assert told["said"]["error"] is None
    for one in (told["said"], told["sent"], told["got"]):
        assert list(one["texts"].values()) == ["one two "]
    assert (told["sent"]["state"], told["failed"]["state"]) == (COMPLETED, FAILED)


@versions
@pytest.mark.node
def test_npm_answers_and_cancels(seen: dict[str, Any], version: str) -> None:
    told = seen[version]
    assert told["asked"]["states"][-1] == told["waits"]["state"] == INPUT_REQUIRED
    assert list(told["answered"]["texts"].values()) == ["Well. You said yes."]
    assert told["answered"]["task"] == told["asked"]["task"]
    assert (told["cancelled"]["states"][-1], told["cancelled"]["error"]) == (CANCELED, None)


@versions
@pytest.mark.node
def test_npm_comes_back_after_a_cut(seen: dict[str, Any], version: str) -> None:
    told = seen[version]
    assert told["cut"]["error"] is not None
    assert told["cut"]["states"][-1] == WORKING
    assert list(told["resubscribed"]["texts"].values()) == [WHOLE]
    assert list(told["rest"]["texts"].values()) == [WHOLE]


@pytest.mark.node
def test_npm_lists_the_tasks_of_a_context(seen: dict[str, Any]) -> None:
    task_id, listed = seen["listed"]
    assert listed == [task_id]


@versions
@pytest.mark.node
def test_npm_sees_our_errors_as_its_own(seen: dict[str, Any], version: str) -> None:
    told = seen[version]
    assert (told["late"]["code"], told["late"]["error"][0]) == (-32002, "TaskNotCancelableError")
    assert (told["unknown"]["code"], told["unknown"]["error"][0]) == (-32001, "TaskNotFoundError")
    assert seen["refused"]["error"][1] == "API key required"
    assert seen["refusedStream"]["error"][1] == "API key required"


# The page


@pytest.mark.parametrize("language", ["python", pytest.param("js", marks=pytest.mark.node)])
def test_the_snippets_of_the_page_run(tasking: Server, language: str) -> None:
    [snippet] = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE.read_text())
    code = snippet.replace("http://127.0.0.1:8080", tasking.url).replace("<your key>", KEYS["ONE"])
    run = {"python": [sys.executable, "-c"], "js": ["node", "--input-type=module", "-e"]}
    assert _ran([*run[language], code]) == "one two \nTASK_STATE_COMPLETED\n"
