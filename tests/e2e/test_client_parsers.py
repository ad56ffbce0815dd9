"""The same events out of every client, however the bytes are cut: recorded streams, and the live server's."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import httpx_sse
import pytest
import sseclient
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.testing import SSEReader

from .agents import showcase
from .rawhttp import Connection, request
from .readers import (
    Job,
    Reader,
    read_with_eventsource_parser,
    read_with_fetch_event_source,
    read_with_httpx_sse,
    read_with_sse_reader,
    read_with_sseclient,
)
from .recorded import EVENTS, STREAM, Seen, pieces, playback, resumable
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer

Parser = Callable[[list[bytes]], Iterator[Seen]]

EXPECTED = resumable(EVENTS)
SEED = 20250101
RANDOM_CUTS = 100

IN_PYTHON: dict[str, Reader] = {
    "httpx-sse": read_with_httpx_sse,
    "sseclient-py": read_with_sseclient,
    "dockrion.testing": read_with_sse_reader,
}
IN_NODE: dict[str, Reader] = {
    "eventsource-parser": read_with_eventsource_parser,
    "fetch-event-source": read_with_fetch_event_source,
}
over_http = pytest.mark.parametrize(
    "read",
    [
        *(pytest.param(read, id=name) for name, read in IN_PYTHON.items()),
        *(pytest.param(read, id=name, marks=pytest.mark.node) for name, read in IN_NODE.items()),
    ],
)


def parse_with_httpx_sse(parts: list[bytes]) -> Iterator[Seen]:
    response = httpx.Response(
        200, headers={"content-type": "text/event-stream"}, content=iter(parts)
    )
    for event in httpx_sse.EventSource(response).iter_sse():
        yield Seen(event.event, event.data, event.id)


def parse_with_sseclient(parts: list[bytes]) -> Iterator[Seen]:
    for event in sseclient.SSEClient(iter(parts)).events():
        yield Seen(event.event, event.data, event.id)


def parse_with_sse_reader(parts: list[bytes]) -> Iterator[Seen]:
    reader = SSEReader()
    for part in parts:
        for event in reader.feed(part):
            yield Seen(event.event, event.data, event.id)


in_process = pytest.mark.parametrize(
    "parse",
    [
        pytest.param(parse_with_httpx_sse, id="httpx-sse"),
        pytest.param(parse_with_sseclient, id="sseclient-py"),
        pytest.param(parse_with_sse_reader, id="dockrion.testing"),
    ],
)


@in_process
def test_a_cut_at_any_one_byte_changes_nothing(
    parse: Parser,
) -> None:
    for cut in range(len(STREAM) + 1):
        assert resumable(parse(pieces([cut]))) == EXPECTED, f"cut at {cut}"


@in_process
@settings(max_examples=100, deadline=None)
@given(cuts=st.sets(st.integers(0, len(STREAM))))
def test_no_set_of_cuts_changes_anything(parse: Parser, cuts: set[int]) -> None:
    assert resumable(parse(pieces(cuts))) == EXPECTED


@over_http
def test_every_client_gives_the_same_events_of_a_recorded_stream_cut_anywhere(read: Reader) -> None:
    chance = random.Random(SEED)
    every_byte = range(len(STREAM))
    cuts = [
        [],
        list(every_byte),
        *(chance.sample(every_byte, chance.choice([1, 2, 10, 100])) for _ in range(RANDOM_CUTS)),
    ]
    with playback() as url:
        results = read([Job(url, {"cuts": one}) for one in cuts])
    assert len(results) == len(cuts)
    for one, events in zip(cuts, results, strict=True):
        assert resumable(events) == EXPECTED, f"cuts at {one}"


# What the agent `showcase` emits: kind, some of the fields, and the sequence that a client would resume after.
LIVE: list[tuple[str, dict[str, Any], int]] = [
    ("started", {"agent": "e2e", "framework": "custom"}, 0),
    *(("token", {"content": text}, n) for n, text in enumerate(showcase.TOKENS, 1)),
    ("progress", {"step": "reading", "progress": 0.5, "message": "data: half"}, 9),
    (
        "step",
        {"node_name": "look up", "duration_ms": 3, "input_keys": ["a"], "output_keys": []},
        10,
    ),
    ("checkpoint", {"name": "draft", "data": {"nested": ["\n\n", {"id": 1}]}}, 11),
    ("custom:thing", {"data": {"event": "x"}}, 12),
    ("complete", {"output": showcase.OUTPUT}, 13),
]


@over_http
def test_every_client_gives_the_same_events_of_the_live_server(
    server: StartServer, read: Reader
) -> None:
    url = server(agent_source("showcase")).url + "/invoke/stream"
    events = resumable(read([Job(url, {})])[0])
    assert [event.event for event in events] == [kind for kind, _, _ in LIVE]
    run_id = json.loads(events[0].data)["run_id"]
    for event, (_, fields, sequence) in zip(events, LIVE, strict=True):
        data = json.loads(event.data)
        assert {key: data.get(key) for key in fields} == fields
        assert event.id == f"{run_id}:{sequence}"


@pytest.mark.node
def test_no_client_takes_the_heartbeats_of_the_live_server_for_messages(
    server: StartServer,
) -> None:
    silent = server(
        agent_source("silent"),
        streaming={"events": {"allowed": "chat", "heartbeat_interval": 1}},
    )
    payload = {"silent_seconds": 2.5}
    with ThreadPoolExecutor() as pool:
        raw = pool.submit(_body, silent.port, payload)
        results = [
            pool.submit(read, [Job(silent.url + "/invoke/stream", payload)])
            for read in [*IN_PYTHON.values(), *IN_NODE.values()]
        ]
    assert raw.result().count(b":hb\n") >= 1, "else this test would show nothing"
    for result in results:
        [events] = result.result()
        assert [event.event for event in events] == ["started", "token", "token", "complete"]


def _body(port: int, payload: Any) -> bytes:
    with Connection(port) as connection:
        connection.send(request("POST", "/invoke/stream", payload))
        return connection.body(connection.head())
