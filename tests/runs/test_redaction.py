"""Redaction on the one path of every run: output, errors, halting, and what both ways to run agree on."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from dockrion.errors import PolicyViolationError
from dockrion.events.context import StreamContext
from dockrion.events.model import Complete, Event, Failed
from dockrion.events.sse import event_fields
from dockrion.policy.outgoing import Outgoing
from tests.runs.counting import Counting
from tests.runs.kit import read_to_end, runner_for, tokens

EMAIL = r"[\w.]+@[\w.]+"
SECRET = "b@c.d"


async def events_of(handler: Any, *, streams: bool = True, **options: Any) -> list[Event]:
    with anyio.fail_after(5):
        runner = runner_for(handler, outgoing=Outgoing([EMAIL], **options))
        return await read_to_end(runner.start({}, streams=streams))


async def speaks(payload: Any) -> Any:
    for piece in ("mail b", "@", "c.", "d", " now"):
        yield piece


@pytest.mark.parametrize("streams", [True, False])
async def test_joined_tokens_are_the_output(streams: bool) -> None:
    events = await events_of(speaks, streams=streams)
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"content": "mail [REDACTED] now"}
    if streams:
        assert "".join(tokens(events)) == "mail [REDACTED] now"


async def test_an_output_of_its_own() -> None:
    async def handle(payload: Any) -> Any:
        return {"to": SECRET, SECRET: [SECRET]}

    events = await events_of(handle)
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"to": "[REDACTED]", "[REDACTED]": ["[REDACTED]"]}


async def fails(payload: Any) -> Any:
    raise ValueError(f"no mailbox {SECRET}")


async def test_the_sentence_of_an_error() -> None:
    assert (await events_of(fails))[-1] == Failed(
        "ValueError: no mailbox [REDACTED]", "AGENT_EXECUTION_ERROR"
    )


@pytest.mark.parametrize("before", [980, 985, 990, 995, 19_990])
async def test_no_cut_of_a_long_sentence_leaves_a_part_of_a_match(before: int) -> None:
    async def handle(payload: Any) -> Any:
        raise ValueError(f"{'x ' * (before // 2)}someone@example.org")

    last = (await events_of(handle))[-1]
    assert isinstance(last, Failed)
    assert "some" not in last.error
    assert "example" not in last.error


async def test_the_details_of_a_violation_of_the_agents_own() -> None:
    async def handle(payload: Any) -> Any:
        raise PolicyViolationError(f"not to {SECRET}", details={"to": SECRET})

    assert (await events_of(handle))[-1] == Failed(
        "not to [REDACTED]", "POLICY_VIOLATION", {"to": "[REDACTED]"}
    )


async def test_secrets_are_not_in_the_details_of_a_violation() -> None:
    async def handle(payload: Any) -> Any:
        raise PolicyViolationError("no s3cr3t-value", details={"key": ["s3cr3t-value"]})

    with anyio.fail_after(5):
        runner = runner_for(handle, secrets=["s3cr3t-value"])
        last = (await read_to_end(runner.start({}, streams=True)))[-1]
    assert last == Failed("no ***", "POLICY_VIOLATION", {"key": ["***"]})


async def test_the_rule_that_an_agent_names_is_counted_redacted() -> None:
    async def handle(payload: Any) -> Any:
        raise PolicyViolationError("no", rule=f"mail to {SECRET}")

    observer = Counting()
    runner = runner_for(handler=handle, outgoing=Outgoing([EMAIL]), observer=observer)
    await read_to_end(runner.start({}, streams=True))
    assert observer.rules == ["mail to [REDACTED]"]


async def returns(payload: Any) -> Any:
    return {"to": SECRET}


async def checkpoints(payload: Any, context: StreamContext) -> Any:
    await context.emit_token("well. ")
    await context.checkpoint("mail", {"to": SECRET})
    await anyio.sleep_forever()


async def speaks_and_waits(payload: Any, context: StreamContext) -> Any:
    for piece in ("mail b", "@", "c.d ", "now "):
        await context.emit_token(piece)
    await anyio.sleep_forever()


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("handler", [returns, fails, speaks])
async def test_a_match_halts_the_run(handler: Any, streams: bool) -> None:
    events = await events_of(handler, streams=streams, halt=True)
    last = events[-1]
    assert isinstance(last, Failed)
    assert last.code == "POLICY_VIOLATION"
    assert "@" not in str([event_fields(event) for event in events])


@pytest.mark.parametrize("handler", [checkpoints, speaks_and_waits])
async def test_a_match_halts_a_run_that_goes_on(handler: Any) -> None:
    events = await events_of(handler, halt=True)
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "POLICY_VIOLATION"
    assert "@" not in str([event_fields(event) for event in events])


async def test_halting_counts_one_violation() -> None:
    observer = Counting()
    with anyio.fail_after(5):
        runner = runner_for(checkpoints, outgoing=Outgoing([EMAIL], halt=True), observer=observer)
        await read_to_end(runner.start({}, streams=True))
    assert observer.rules == ["redaction"]


async def test_capped_tokens_are_the_output_too() -> None:
    events = await events_of(speaks, max_chars=6)
    assert "".join(tokens(events)) == "mail ["
    last = events[-1]
    assert isinstance(last, Complete)
    assert last.output == {"content": "mail ["}
    assert last.metadata["truncated"] is True


async def test_a_large_output_of_an_async_agent_is_redacted_off_the_loop() -> None:
    threads: list[int] = []

    class Watching(Outgoing):
        def output(self, output: Any) -> tuple[Any, bool]:
            threads.append(threading.get_ident())
            return super().output(output)

    async def small(payload: Any) -> Any:
        return {"to": SECRET}

    async def large(payload: Any) -> Any:
        return {"to": [SECRET, "word " * 10_000]}

    outgoing = Watching([EMAIL])
    with anyio.fail_after(10):
        for handler in (small, large):
            run = runner_for(handler, outgoing=outgoing).start({}, streams=True)
            last = (await read_to_end(run))[-1]
    assert isinstance(last, Complete)
    assert last.output["to"][0] == "[REDACTED]"
    loop = threading.get_ident()
    assert [thread == loop for thread in threads] == [True, False]
