"""A run followed by Chromium's own `EventSource`, which cannot send headers and comes back by itself."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .browser import TIMEOUT_SECONDS, in_chromium
from .cutting import cutting
from .server import agent_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import StartServer
    from .server import Server

KEY = {"X-API-Key": "key-of-ann"}
AUTH = {"api_keys": {"keys": [{"name": "ann", "env_var": "ANN_KEY"}]}}
TOKENS = 150
TYPES = ["started", "token", "timeout", "complete", "gap", "cancelled"]


def follow(origin: str, path: str) -> tuple[list[Any], int]:
    seen = json.loads(in_chromium("eventsource.mjs", origin=origin, path=path, types=TYPES))
    return seen["events"], seen["opens"]


@pytest.mark.chromium
def test_an_event_source_with_a_ticket_comes_back_until_it_has_seen_all(
    server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANN_KEY", KEY["X-API-Key"])
    one = server(agent_source("pacing"), auth=AUTH)
    with httpx.Client(base_url=one.url, headers=KEY, trust_env=False) as client:
        payload = {"tokens": TOKENS, "seconds": 0.05}
        run_id = client.post("/runs", json=payload).json()["run_id"]
        path = f"/runs/{run_id}/events"
        ticket = client.post("/auth/ticket", json={"path": path}).json()["ticket"]
    # The first connection of the browser gets its page.
    with cutting(one.port, [100_000, 3000, 5000, 100]) as origin:
        events, opens = follow(origin, f"{path}?ticket={ticket}&timeout=1")
    numbered = [event for event in events if event[0] != "timeout"]
    assert [event[0] for event in numbered] == ["started", *["token"] * TOKENS, "complete"]
    assert [event[1] for event in numbered] == [f"{run_id}:{n}" for n in range(TOKENS + 2)]
    # How often it is cut depends on how much comes at once.
    assert opens >= 2


@pytest.mark.chromium
def test_an_event_source_comes_back_through_a_restart_of_the_server(
    own_server: StartServer,
) -> None:
    one = own_server(
        agent_source("gated"),
        streaming={"backend": "sqlite"},
        runs={"max_attempts": 2, "lease_seconds": 2},
        expose={"shutdown_grace": 1},
    )
    run_id = httpx.post(f"{one.url}/runs", json={}, trust_env=False).json()["run_id"]
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(follow, one.url, f"/runs/{run_id}/events")
        wait_until(lambda: has_subscriber(one))
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
        (one.folder / "go").touch()
        one.start_again()
        events, opens = reading.result(TIMEOUT_SECONDS)
    # Handed back, the run begins anew.
    attempt = ["started", *["token"] * 20]
    assert [event[0] for event in events] == [*attempt, *attempt, "complete"]
    assert [event[1] for event in events] == [f"{run_id}:{n}" for n in range(43)]
    assert opens >= 2


def has_subscriber(server: Server) -> bool:
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    return "dockrion_active_streams 1.0" in text


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
