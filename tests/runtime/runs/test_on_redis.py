"""Apps that share a Redis: one starts a run, another executes it, and both know of it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import app_for, request, running
from tests.redis_fixtures import StartRedis, StartRelay
from tests.runtime.runs.kit import ask, becomes, events_of, sequences, started, until

pytestmark = pytest.mark.redis

NO_GRACE = {"shutdown_grace": 0.05}


def app_on(url: str, handler: Any, *, works: bool = True, **sections: Any) -> Any:
    streaming = {"backend": "redis", "redis": {"url": url}, "async_runs": True, "worker": works}
    return app_for(handler, streaming=streaming, **sections)


async def counts(payload: Any, context: StreamContext) -> Any:
    for number in range(20):
        await context.emit("number", {"is": number})
    return {"got": payload}


async def test_a_run_of_one_app_is_executed_by_another_and_read_at_both(redis_url: str) -> None:
    async with (
        running(app_on(redis_url, counts, works=False)) as serving,
        running(app_on(redis_url, counts)) as working,
    ):
        run_id = await started(serving, {"a": 1})
        run = await becomes(serving, run_id, "COMPLETED")
        assert run["output"] == {"got": {"a": 1}}
        here, there = await events_of(serving, run_id), await events_of(working, run_id)
    assert sequences(here) == [*range(len(here))]
    assert [event.json() for event in here] == [event.json() for event in there]


async def test_a_run_that_is_handed_back_begins_elsewhere_at_once(redis_url: str) -> None:
    """And not only when the reaper has found it, a lease later."""
    begun: list[str] = []
    last = asyncio.Event()

    def worker_named(name: str) -> Any:
        async def work(payload: Any) -> Any:
            begun.append(name)
            await last.wait()
            return {"by": name}

        runs = {"max_attempts": 2, "lease_seconds": 15}
        return app_on(redis_url, work, runs=runs, expose=NO_GRACE)

    async with (
        running(app_on(redis_url, counts, works=False)) as serving,
        AsyncExitStack() as stack,
    ):
        async with running(worker_named("first")):
            run_id = await started(serving)
            await until(lambda: begun == ["first"])
            await stack.enter_async_context(running(worker_named("second")))
        await until(lambda: begun == ["first", "second"])
        last.set()
        run = await becomes(serving, run_id, "COMPLETED")
    assert run["output"] == {"by": "second"}


@pytest.mark.parametrize("works", [True, False])
async def test_400_idle_subscribers_share_few_connections(
    own_redis: StartRedis, works: bool
) -> None:
    server = own_redis()
    goes_on = asyncio.Event()

    async def waits(payload: Any) -> Any:
        await goes_on.wait()

    app = app_on(server.url(), waits, works=works, expose=NO_GRACE, runs={"lease_seconds": 5})
    async with running(app), AsyncExitStack() as stack:
        run_ids = [await started(app) for _ in range(8)]
        if works:
            for run_id in run_ids:
                await becomes(app, run_id, "RUNNING")
        for number in range(400):
            path = f"/runs/{run_ids[number % 8]}/events"
            exchange = await stack.enter_async_context(request(app, "GET", path))
            await exchange.head()
            assert exchange.status == 200
        # Heartbeats of leases have a connection of their own.
        await anyio.sleep(2.0 if works else 0.0)
        assert server.connections <= 4
        goes_on.set()


async def is_ready(app: Any) -> None:
    with anyio.fail_after(5):
        while (await ask(app, "GET", "/ready")).status != 200:
            await anyio.sleep(0.01)


async def test_ready_says_when_redis_is_away_and_all_goes_on_when_it_is_back(
    own_redis: StartRedis,
) -> None:
    server = own_redis()
    async with running(app_on(server.url(), counts)) as app:
        await is_ready(app)
        server.kill()
        assert (await ask(app, "GET", "/ready")).status == 503
        answer = await ask(app, "POST", "/runs", {})
        assert answer.status == 503
        assert str(server.socket) not in str(answer.body)
        server.start()
        run_id = await started(app)
        await becomes(app, run_id, "COMPLETED")
        await is_ready(app)


async def test_runs_survive_a_redis_that_is_killed_under_them(own_redis: StartRedis) -> None:
    server = own_redis()
    goes_on = asyncio.Event()

    async def speaks(payload: Any, context: StreamContext) -> Any:
        await context.emit("number", {"is": 0})
        await goes_on.wait()
        for number in range(1, 50):
            await context.emit("number", {"is": number})
            await asyncio.sleep(0)
        return {"done": True}

    async with running(app_on(server.url(), speaks)) as app:
        run_id = await started(app)
        await becomes(app, run_id, "RUNNING")
        async with request(app, "GET", f"/runs/{run_id}/events") as exchange:
            await exchange.head()
            server.kill()
            goes_on.set()
            await asyncio.sleep(0.2)
            server.start()
            with anyio.fail_after(10):
                seen = [event async for event in exchange.events()]
        assert sequences(seen) == [*range(len(seen))]
        run = await becomes(app, run_id, "COMPLETED")
    assert run["output"] == {"done": True}
    assert seen[-1].json()["type"] == "complete"


@pytest.mark.parametrize("kind", ["password", "user", "tls", "database", "relay"])
async def test_each_form_of_url_works_and_no_password_is_told(
    own_redis: StartRedis, relay: StartRelay, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s3cret/of:mine"
    server = own_redis(f"user ann on >{secret} ~* &* +@all", password=secret, tls=kind == "tls")
    urls = {
        "password": server.url,
        "user": lambda: server.url(user="ann"),
        "tls": lambda: server.tls_url(user="ann"),
        "database": lambda: server.url(database=7),
        "relay": lambda: server.relay_url(relay(server), database=3),
    }
    caplog.set_level("DEBUG")
    async with running(app_on(urls[kind](), counts)) as app:
        await becomes(app, await started(app), "COMPLETED")
        server.kill()
        answer = await ask(app, "POST", "/runs", {})
        assert answer.status == 503
        server.start()
    told = caplog.text + str(answer.body)
    assert secret not in told
    assert "s3cret" not in told
