"""Whoever follows a run on a connection: another one's, one that is cut, and one that is unfollowed."""

from __future__ import annotations

from typing import Any

import anyio

from dockrion.testing import post

from .agents import Gated, ask, count
from .kit import HELD, ServerKind, served, talk, types_of


async def test_a_run_is_answered_and_followed_on_another_connection(kind: ServerKind) -> None:
    async with served(ask, kind=kind) as port:
        async with talk(port) as one:
            run_id = await one.start()
            for _ in range(3):
                await one.next()
        async with talk(port) as other:
            accepted = await other.ask("follow", id="f", run_id=run_id, after=1)
            assert (accepted["id"], accepted["status"]) == ("f", "INTERRUPTED")
            assert (await other.next())["type"] == "interrupt"
            await other.say("answer", run_id=run_id, answer="maybe")
            events = await other.rest()
    assert events[-1]["output"] == {"content": "Well. You said maybe."}


async def test_a_cut_connection_loses_nothing(kind: ServerKind) -> None:
    gated = Gated()
    async with served(gated, kind=kind, streaming=HELD) as port:
        async with talk(port) as one:
            run_id = await one.start()
            seen = [await one.next(), await one.next()]
            one.connection.transport.abort()
        async with talk(port) as other:
            await other.ask("follow", run_id=run_id, after=seen[-1]["sequence"])
            gated.open.set()
            seen += await other.rest()
            last = seen[-1]["sequence"]
            nothing = await other.ask("follow", run_id=run_id, after=last)
            too_far = await other.ask("follow", run_id=run_id, after=last + 1)
            unknown = await other.ask("follow", run_id="nobody")
            pong = await other.ask("ping", id="p")
    assert [event["sequence"] for event in seen] == [0, 1, 2, 3]
    assert (nothing["type"], nothing["status"]) == ("accepted", "COMPLETED")
    assert (too_far["status"], too_far["code"], too_far["run_id"]) == (410, "GONE", run_id)
    assert (unknown["status"], unknown["code"]) == (404, "NOT_FOUND")
    assert pong == {"type": "pong", "id": "p"}, "nothing came after what was known already"


async def test_a_run_of_somewhere_else_is_followed_to_its_end(kind: ServerKind) -> None:
    gated = Gated()
    apps: list[Any] = []
    async with served(gated, kind=kind, app_is=apps.append) as port, talk(port) as ws:
        async with post(apps[0], "/runs", {}) as exchange:
            run_id = (await exchange.json())["run_id"]
        await ws.ask("follow", run_id=run_id)
        assert types_of([await ws.next(), await ws.next()]) == ["started", "token"]
        twice = await ws.ask("follow", run_id=run_id)
        assert (twice["status"], twice["code"]) == (409, "CONFLICT")
        gated.open.set()
        assert types_of(await ws.rest()) == ["token", "complete"]


async def test_a_run_is_followed_once_however_quickly_it_is_asked_for(kind: ServerKind) -> None:
    gated = Gated()
    async with served(gated, kind=kind, streaming=HELD) as port:
        async with talk(port) as one:
            run_id = await one.start()
            async with talk(port) as other:
                for number in range(5):
                    await other.say("follow", id=str(number), run_id=run_id)
                seen = [await other.next() for _ in range(7)]
                gated.open.set()
                seen += await other.rest()
    assert types_of(seen).count("refused") == 4
    assert [event["sequence"] for event in seen if "sequence" in event] == [0, 1, 2, 3]


async def test_a_run_has_as_many_followers_as_it_may(kind: ServerKind) -> None:
    gated = Gated()
    streaming = {"connection": {"on_disconnect": "continue", "max_subscribers_per_run": 1}}
    async with served(gated, kind=kind, streaming=streaming) as port:
        async with talk(port) as one, talk(port) as other:
            run_id = await one.start()
            await one.next()
            refused = await other.ask("follow", run_id=run_id)
            gated.open.set()
            await one.rest()
    assert (refused["status"], refused["code"]) == (429, "TOO_MANY_SUBSCRIBERS")
    assert refused["retry_after"] == 5


async def test_what_is_kept_no_more_is_a_gap(kind: ServerKind) -> None:
    streaming = {"connection": {"on_disconnect": "continue"}, "memory": {"max_events_per_run": 10}}
    async with served(count, kind=kind, streaming=streaming) as port, talk(port) as ws:
        run_id = await ws.start({"tokens": 1000})
        await ws.rest()
        await ws.ask("follow", run_id=run_id)
        gap, *events = await ws.rest()
    assert (gap["type"], gap["from"]) == ("gap", 0)
    assert [event["sequence"] for event in events] == list(range(gap["to"] + 1, 1002))


async def test_any_cut_of_a_run_and_what_is_followed_after_it_are_the_run(kind: ServerKind) -> None:
    async with served(count, kind=kind, streaming=HELD) as port, talk(port) as ws:
        run_id = await ws.start({"tokens": 30})
        whole = await ws.rest()
        for cut in range(len(whole)):
            accepted = await ws.ask("follow", run_id=run_id, after=cut - 1)
            assert accepted["type"] == "accepted"
            assert whole[:cut] + await ws.rest() == whole


async def test_whoever_unfollows_a_run_hears_no_more_of_it(kind: ServerKind) -> None:
    gated = Gated()
    async with served(gated, kind=kind, streaming=HELD) as port, talk(port) as ws:
        run_id = await ws.start()
        assert types_of([await ws.next(), await ws.next()]) == ["started", "token"]
        left = await ws.ask("unfollow", id="u", run_id=run_id)
        assert left == {"type": "unfollowed", "id": "u", "run_id": run_id}
        twice = await ws.ask("unfollow", run_id=run_id)
        assert (twice["type"], twice["status"], twice["run_id"]) == ("refused", 404, run_id)
        gated.open.set()
        with anyio.fail_after(5):
            assert await gated.left.get() == "returned"
        assert (await ws.ask("ping"))["type"] == "pong"
        accepted = await ws.ask("follow", run_id=run_id, after=1)
        assert accepted["type"] == "accepted"
        rest = await ws.rest()
    assert types_of(rest) == ["token", "complete"]


async def test_a_run_that_goes_on_for_nobody_ends_when_it_is_unfollowed(kind: ServerKind) -> None:
    one, other = Gated(), Gated()

    async def agent(payload: Any) -> Any:
        return (other if payload.get("other") else one)(payload)

    async with served(agent, kind=kind) as port, talk(port) as ws:
        run_id = await ws.start()
        assert types_of([await ws.next(), await ws.next()]) == ["started", "token"]
        other_id = await ws.start({"other": True})
        assert types_of([await ws.next(), await ws.next()]) == ["started", "token"]
        assert (await ws.ask("unfollow", run_id=run_id))["type"] == "unfollowed"
        with anyio.fail_after(1):
            assert await one.left.get() == "stopped"
        other.open.set()
        assert types_of(await ws.rest()) == ["token", "complete"]
        assert (await ws.ask("unfollow", run_id=other_id))["status"] == 404


async def test_a_question_stays_where_its_run_is_unfollowed(kind: ServerKind) -> None:
    async with served(ask, kind=kind) as port, talk(port) as ws:
        run_id = await ws.start()
        while (await ws.next())["type"] != "interrupt":
            pass
        assert (await ws.ask("unfollow", run_id=run_id))["type"] == "unfollowed"
        assert (await ws.ask("answer", run_id=run_id, answer="Yes"))["type"] == "accepted"
        assert (await ws.ask("ping"))["type"] == "pong"
        accepted = await ws.ask("follow", run_id=run_id)
        assert accepted["type"] == "accepted"
        events = await ws.rest()
    # What came before the question was for its first caller alone.
    assert types_of(events) == ["gap", "interrupt", "token", "complete"]
