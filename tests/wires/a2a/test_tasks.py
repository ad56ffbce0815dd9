"""A2A's tasks, as bytes; every frame is read by the types of `a2a-sdk`."""

from __future__ import annotations

from typing import Any

import pytest
from a2a.compat.v0_3.types import (
    DataPart,
    SendStreamingMessageSuccessResponse,
    TaskArtifactUpdateEvent,
    TaskStatusUpdateEvent,
)
from a2a.compat.v0_3.types import Task as LegacyTask
from a2a.server.tasks.task_manager import append_artifact_to_task
from a2a.types.a2a_pb2 import StreamResponse, Task
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.errors import GoneError
from dockrion.events.model import (
    Batch,
    Cancelled,
    Complete,
    Custom,
    Event,
    Failed,
    Interrupt,
    Progress,
    Started,
    Token,
    ToolCall,
)
from dockrion.testing import read_sse
from dockrion.wires.a2a.artifacts import Modes
from dockrion.wires.a2a.tasks import A2aWire, Known
from dockrion.wires.a2a.words import Words
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of

START = Started("a", "custom")
DONE = Complete({"content": "x"}, 0.1, {})
LATER = "2026-11-24T11:00:01.000Z"


def wire_of(
    *, legacy: bool = False, cursors: bool = False, known: Known | None = None, **more: Any
) -> A2aWire:
    words = Words(legacy=legacy, request_id="q")
    modes = Modes(**more)
    return A2aWire(chat_of(), run_of(cursors=cursors), words, modes=modes, known=known)


def results(body: bytes) -> list[dict[str, Any]]:
    frames = [event.json() for event in read_sse(body)]
    assert all((one["jsonrpc"], one["id"]) == ("2.0", "q") for one in frames)
    return [one["result"] for one in frames]


def read(body: bytes) -> list[StreamResponse]:
    """Read frames as strictly as the SDK can: nothing unknown, nothing that is required left out."""
    read = [ParseDict(result, StreamResponse()) for result in results(body)]
    for one in read:
        validate_proto_required_fields(one)
    return read


def read_legacy(body: bytes) -> list[Any]:
    return [
        SendStreamingMessageSuccessResponse.model_validate({"result": one}).result
        for one in results(body)
    ]


def joined(updates: list[StreamResponse], task: Task | None = None) -> Task:
    """Return the task that a client has in the end."""
    for one in updates:
        match one.WhichOneof("payload"):
            case "task":
                assert task is None, "the first one is the task, and no other"
                task = Task()
                task.CopyFrom(one.task)
            case "status_update":
                assert task is not None
                task.status.CopyFrom(one.status_update.status)
            case _:
                assert task is not None
                append_artifact_to_task(task, one.artifact_update)
    assert task is not None
    return task


def texts_of(task: Task) -> dict[str, list[Any]]:
    """Return the artifacts: of each its texts as one, then its data."""
    return {
        one.artifact_id: [
            "".join(part.text for part in one.parts),
            *(MessageToDict(part.data) for part in one.parts if part.HasField("data")),
        ]
        for one in task.artifacts
    }


def streamed(*given: Event, **more: Any) -> list[StreamResponse]:
    return read(wire_of(**more).encode(Batch([*given], 0, TIME)))


def end_of(*given: Event, **more: Any) -> Task:
    return joined(streamed(START, *given, **more))


# Events

channels = st.sampled_from([(None, None), ("n", "m1"), ("n", "m2")])
tokens = st.builds(
    lambda text, end, channel: Token(text, end, *channel),
    st.sampled_from(["", "a", "%d ", '"text":""', "é\u2028😀"]),
    st.sampled_from([None, None, None, "stop"]),
    channels,
)
others = st.sampled_from(
    [Progress("p", 0.5), ToolCall("t", "c", {"a": 1}), Custom("c", [1]), Interrupt({"q": 1}, "i")]
)
endings = st.sampled_from(
    [DONE, Complete({"a": 1, "b": None}, 0.1, {}), Failed("no", "X"), Cancelled("left")]
)
runs = st.builds(
    lambda events, end: [START, *events, end],
    st.lists(st.one_of(tokens, tokens, others), max_size=12),
    endings,
)


def open_after(events: list[Event]) -> tuple[Interrupt, ...]:
    """Return the questions at the end of these events, as a record would have them."""
    asked: tuple[Interrupt, ...] = ()
    for event in events:
        asked = (*asked, event) if isinstance(event, Interrupt) else ()
    return asked


@settings(deadline=None)
@given(events=runs, legacy=st.booleans(), data=st.data())
def test_any_cut_into_batches_gives_the_same_bytes(
    events: list[Event], legacy: bool, data: st.DataObject
) -> None:
    whole = wire_of(legacy=legacy, cursors=True).encode(Batch(events, 0, TIME))
    cut = data.draw(st.integers(1, len(events) - 1))
    wire = wire_of(legacy=legacy, cursors=True)
    first = wire.encode(Batch(events[:cut], 0, TIME))
    assert first + wire.encode(Batch(events[cut:], cut, TIME)) == whole


@settings(deadline=None)
@given(events=runs)
def test_what_a_client_joins_is_what_it_gets(events: list[Event]) -> None:
    wire = wire_of()
    task = joined(read(wire.encode(Batch(events, 0, TIME))))
    got = ParseDict(wire.task(), Task())
    assert texts_of(task) == texts_of(got)
    assert task.status == got.status


@settings(deadline=None)
@given(events=runs, data=st.data())
def test_who_joins_late_has_the_same_in_the_end(events: list[Event], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(events) - 1))
    cut = data.draw(st.integers(1, len(events) - 1))
    late = wire_of(known=Known(count, open_after(events[:count])))
    body = late.encode(Batch(events[:cut], 0, TIME)) + late.encode(Batch(events[cut:], cut, TIME))
    whole = joined(read(wire_of().encode(Batch(events, 0, TIME))))
    told = joined(read(body))
    assert (texts_of(told), told.status) == (texts_of(whole), whole.status)


@settings(deadline=None)
@given(events=runs)
def test_both_versions_tell_the_same(events: list[Event]) -> None:
    now = read(wire_of().encode(Batch(events, 0, TIME)))
    before = read_legacy(wire_of(legacy=True).encode(Batch(events, 0, TIME)))
    kinds = {
        "task": LegacyTask,
        "status_update": TaskStatusUpdateEvent,
        "artifact_update": TaskArtifactUpdateEvent,
    }
    assert [type(one) for one in before] == [kinds[str(one.WhichOneof("payload"))] for one in now]
    finals = [one.final for one in before if isinstance(one, TaskStatusUpdateEvent)]
    assert finals == [False] * (len(finals) - 1) + [True]


def test_every_event_that_is_told_has_a_cursor_at_its_end() -> None:
    body = wire_of(cursors=True).encode(Batch(EVERYTHING, 0, TIME))
    ids = [event.id for event in read_sse(body)]
    assert [one for one in ids if "." not in one] == [
        f"r_1:{n}" for n in range(len(EVERYTHING)) if n != 12
    ]


def test_everything_is_told_in_its_order() -> None:
    updates = streamed(*EVERYTHING)
    assert [one.WhichOneof("payload") for one in updates[:4]] == [
        "task",
        "status_update",
        "status_update",
        "artifact_update",
    ]
    told = [
        one.status_update.metadata["type"]
        for one in updates
        if "type" in one.status_update.metadata
    ]
    assert told == [
        *["progress", "step", "tool_call", "tool_call", "tool_result", "tool_result"],
        *["checkpoint", "policy"],
    ]
    task = joined(updates)
    assert texts_of(task) == {
        "text-2": ['Hello %s "\n'],
        "text-7": [" between"],
        "text-14": [" after"],
        "output": ["", {"content": "x"}],
    }
    assert [one.name for one in task.artifacts] == ["", "node", "node", "output"]


def test_states_have_the_time_at_which_they_began() -> None:
    wire = wire_of()
    wire.encode(Batch([START], 0, TIME))
    wire.encode(Batch([Token("a")], 1, LATER))
    assert wire.task()["status"] == {"state": "TASK_STATE_WORKING", "timestamp": TIME}


# Outputs


@pytest.mark.parametrize(
    ("output", "artifacts"),
    [
        ("x", {"output": ["x"]}),
        ({"content": "x"}, {"output": ["x"]}),
        ({"content": "x", "n": 1}, {"output": ["x", {"content": "x", "n": 1.0}]}),
        ({"n": 1}, {"output": ["", {"n": 1.0}]}),
        ([1, "a"], {"output": ["", [1.0, "a"]]}),
        ({"messages": [{"content": "hi"}]}, {"output": ["hi", {"messages": [{"content": "hi"}]}]}),
        ("", {}),
        (None, {}),
    ],
)
def test_an_output_is_what_it_says_and_what_it_is(output: Any, artifacts: dict[str, Any]) -> None:
    assert texts_of(end_of(Complete(output, 0.1, {}))) == artifacts


@pytest.mark.parametrize("output", ["said", {"content": "said"}])
def test_what_the_tokens_have_said_is_not_said_again(output: Any) -> None:
    task = end_of(Token("sa"), Token("id"), Complete(output, 0.1, {}))
    assert texts_of(task) == {"text-1": ["said"]}


def test_what_an_output_has_beside_its_text_is_data() -> None:
    output = {"content": "said", "cost": 2}
    task = end_of(Token("said"), Complete(output, 0.1, {}))
    assert texts_of(task) == {"text-1": ["said"], "output": ["", {"content": "said", "cost": 2.0}]}


def test_who_takes_text_alone_gets_no_data() -> None:
    task = end_of(Complete({"n": 1}, 0.1, {}), data=False)
    assert texts_of(task) == {"output": ['{"n":1}']}


def test_who_takes_data_alone_gets_no_text() -> None:
    task = end_of(Token("said"), Complete({"content": "said"}, 0.1, {}), text=False)
    assert texts_of(task) == {"output": ["", {"content": "said"}]}


def test_data_that_is_no_object_is_wrapped_as_clients_of_both_versions_do() -> None:
    body = wire_of(legacy=True).encode(Batch([START, Complete([1], 0.1, {})], 0, TIME))
    [update] = [one for one in read_legacy(body) if isinstance(one, TaskArtifactUpdateEvent)]
    part = update.artifact.parts[0].root
    assert isinstance(part, DataPart)
    assert (part.data, part.metadata) == ({"value": [1]}, {"data_part_compat": True})


# Ends and questions


@pytest.mark.parametrize(
    ("ending", "state", "says"),
    [
        (Failed("no", "AGENT_EXECUTION_ERROR"), "TASK_STATE_FAILED", "no"),
        (Failed("not that", "POLICY_VIOLATION"), "TASK_STATE_REJECTED", "not that"),
        (Cancelled("by a caller"), "TASK_STATE_CANCELED", "by a caller"),
    ],
)
def test_ends_say_why(ending: Event, state: str, says: str) -> None:
    wire = wire_of()
    wire.encode(Batch([START, Token("a"), ending], 0, TIME))
    status = wire.task()["status"]
    assert (status["state"], status["message"]["parts"]) == (state, [{"text": says}])


def test_a_failure_has_its_code() -> None:
    task = end_of(Failed("no", "TIMEOUT", {"seconds": 1}))
    metadata = MessageToDict(task.status.message.metadata)
    assert metadata == {"code": "TIMEOUT", "details": {"seconds": 1.0}}


def test_questions_are_the_message_of_the_status() -> None:
    wire = wire_of()
    asked = [Interrupt("Really?", "i1"), Interrupt({"pick": [1]}, "i2")]
    first = read(wire.encode(Batch([START, *asked], 0, TIME)))
    [update] = read(wire.paused())
    message = update.status_update.status.message
    assert len(first) == 2
    assert [part.text for part in message.parts] == ["Really?", '{"pick":[1]}']
    assert MessageToDict(message.metadata)["interrupts"] == [
        {"interrupt_id": "i1", "value": "Really?"},
        {"interrupt_id": "i2", "value": {"pick": [1.0]}},
    ]
    assert ParseDict(wire.task(), Task()).status == update.status_update.status


@pytest.mark.parametrize("cursors", [True, False])
def test_a_task_that_was_told_of_at_once_is_told_of_once(cursors: bool) -> None:
    late, early = wire_of(cursors=cursors), wire_of(cursors=cursors)
    opening = early.opening(TIME)
    first = early.encode(Batch([START], 0, LATER))
    assert len(read(opening)) == 1
    [result] = results(opening)
    assert result["task"]["status"] == {"state": "TASK_STATE_SUBMITTED", "timestamp": TIME}
    whole = late.encode(Batch([START], 0, LATER))
    assert whole.endswith(first)
    # Their ids are those of the same stream.
    assert [one.id for one in read_sse(opening + first)] == [one.id for one in read_sse(whole)]
    assert wire_of(known=Known(1)).opening(TIME) == b""


def test_a_task_that_was_answered_works_before_its_first_word() -> None:
    """Who comes back to a stream that follows an answer is told by the events alone, which is the same."""
    wire = wire_of(known=Known(2, waited=True))
    [task] = read(wire.encode(Batch([START, Interrupt("Really?", "i")], 0, TIME)))
    more = read(wire.encode(Batch([Token("yes"), DONE], 2, LATER)))
    assert MessageToDict(task.task.status)["state"] == "TASK_STATE_WORKING"
    assert [one.WhichOneof("payload") for one in more[:2]] == ["status_update", "artifact_update"]


def test_who_followed_before_the_answer_is_told_that_the_task_works_again() -> None:
    wire = wire_of(known=Known(2, (Interrupt("Really?", "i"),), waited=True))
    [task] = read(wire.encode(Batch([START, Interrupt("Really?", "i")], 0, TIME)))
    works, text, *_ = read(wire.encode(Batch([Token("yes"), DONE], 2, LATER)))
    assert MessageToDict(task.task.status)["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert MessageToDict(works.status_update.status)["state"] == "TASK_STATE_WORKING"
    assert text.artifact_update.artifact.parts[0].text == "yes"


def test_what_is_said_beside_a_question_is_no_answer_to_it() -> None:
    wire = wire_of()
    wire.encode(Batch([START, Interrupt("Really?", "i"), Token("meanwhile")], 0, TIME))
    [update] = read(wire.paused())
    assert MessageToDict(update.status_update.status)["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert update.status_update.status.message.parts[0].text == "Really?"


def test_the_record_knows_better_which_questions_are_open() -> None:
    wire = wire_of()
    first, second = Interrupt("One?", "i1"), Interrupt("Two?", "i2")
    wire.encode(Batch([START, first, second], 0, TIME))
    wire.waits_for((second,))
    assert wire.task()["status"]["message"]["parts"] == [{"text": "Two?"}]
    wire.waits_for(())
    assert wire.task()["status"] == {"state": "TASK_STATE_WORKING", "timestamp": TIME}


def test_a_broken_stream_says_nothing_of_its_task() -> None:
    [frame] = [event.json() for event in read_sse(wire_of().broken(GoneError("They are gone.")))]
    assert (frame["id"], frame["error"]["message"]) == ("q", "They are gone.")
    assert "result" not in frame


def test_a_text_over_the_limit_of_outputs_is_sent_and_not_kept() -> None:
    chat = chat_of(expose={"protocols": ["openai"], "limits": {"max_output_bytes": 4}})
    wire = A2aWire(chat, run_of(), Words(legacy=False, request_id="q"))
    updates = read(wire.encode(Batch([START, Token("abc"), Token("de"), Token("f")], 0, TIME)))
    assert texts_of(joined(updates)) == {"text-1": ["abcdef"]}
    assert wire.task()["artifacts"][0]["parts"] == [{"text": "abcd"}]


AGAIN = Started("a", "custom", 2)
OTHER = Token("c", None, "n", "m")


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ([Token("lo"), OTHER, Token("st"), AGAIN, Token("b"), Token("!")], ["b!"]),
        ([Token("lost"), AGAIN, OTHER, Token("b")], ["c", "b"]),
        ([Token("lost"), AGAIN], []),
        ([Token("a "), Interrupt("A?", "i"), Token("lost"), OTHER, AGAIN, Token("b")], ["a b"]),
        ([Token("a"), Interrupt("A?", "i"), AGAIN, OTHER], ["a", "c"]),
        ([Token("lost"), AGAIN, Token("lost, too"), Started("a", "custom", 3), OTHER], ["c"]),
    ],
)
def test_what_a_lost_worker_has_said_is_in_no_artifact(
    given: list[Event], texts: list[str]
) -> None:
    wire = wire_of()
    task = joined(read(wire.encode(Batch([START, *given, DONE], 0, TIME))))
    told = [text for text, *_ in texts_of(task).values() if text]
    # Without any, the output has its text.
    assert told == (texts or ["x"])
    kept = [
        texts_of_artifact(one) for one in wire.task()["artifacts"] if one["artifactId"] != "output"
    ]
    assert kept == texts


def texts_of_artifact(artifact: dict[str, Any]) -> str:
    return "".join(part["text"] for part in artifact["parts"])


def test_a_new_attempt_has_all_the_room_of_an_output() -> None:
    expose = {"protocols": ["a2a"], "limits": {"max_output_bytes": 5}}
    chat = chat_of(expose=expose)
    wire = A2aWire(chat, run_of(streams=False), Words(legacy=False, request_id="q"))
    wire.encode(Batch([START, Token("lost"), AGAIN, Token("whole"), DONE], 0, TIME))
    assert texts_of_artifact(wire.task()["artifacts"][0]) == "whole"
