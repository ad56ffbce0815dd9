"""An app in memory behind the client: as a stream, not as a whole, and with a disconnect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from dockrion import AsyncClient, NotFoundError
from dockrion.client import Token
from dockrion.testing import AppTransport, app_for, running


async def test_events_come_as_the_agent_emits_them_and_leaving_stops_it() -> None:
    go_on, left = asyncio.Event(), asyncio.Event()

    async def agent(payload: Any) -> AsyncIterator[str]:
        try:
            yield "one"
            await go_on.wait()
            yield "two"
            await asyncio.Event().wait()
        finally:
            left.set()

    with anyio.fail_after(10):
        async with running(app_for(agent)) as app:
            async with AsyncClient("http://app", transport=AppTransport(app)) as client:
                async with client.stream({}) as events:
                    assert (await anext(events)).type == "started"
                    assert (await anext(events)).data == Token("one")
                    go_on.set()
                    assert (await anext(events)).data == Token("two")
                await left.wait()


async def test_every_path_of_the_app_is_there() -> None:
    async def agent(payload: Any) -> dict[str, Any]:
        return {"got": payload}

    async with running(app_for(agent)) as app:
        async with AsyncClient("http://app", transport=AppTransport(app)) as client:
            assert (await client.invoke({"é": 1})).output == {"got": {"é": 1}}
            run = await client.runs.create([1], thread_id="t")
            async with client.runs.events(run.run_id) as events:
                assert await events.result() == {"got": [1]}
            with pytest.raises(NotFoundError):
                await client.runs.get("another")


async def test_what_an_app_raises_is_raised() -> None:
    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise LookupError("of the app")

    async with AsyncClient("http://app", transport=AppTransport(broken)) as client:
        with pytest.raises(LookupError, match="of the app"):
            await client.invoke({})
