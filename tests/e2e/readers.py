"""Server-Sent Events clients, each as one function from requests to the events that it gives out: others', and ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx
import httpx_sse
import requests
import sseclient

from dockrion.testing import SSEReader

from .recorded import Seen

CLIENTS = Path(__file__).parents[1] / "clients"
TIMEOUT_SECONDS = 60.0


class Job(NamedTuple):
    """One POST: the URL, and what goes as JSON into its body."""

    url: str
    body: Any


Reader = Callable[[list[Job]], list[list[Seen]]]


def read_with_httpx_sse(jobs: list[Job]) -> list[list[Seen]]:
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        return [_httpx_sse_events(client, job) for job in jobs]


def _httpx_sse_events(client: httpx.Client, job: Job) -> list[Seen]:
    with httpx_sse.connect_sse(client, "POST", job.url, json=job.body) as source:
        return [Seen(event.event, event.data, event.id) for event in source.iter_sse()]


def read_with_sseclient(jobs: list[Job]) -> list[list[Seen]]:
    with requests.Session() as session:
        session.trust_env = False
        return [_sseclient_events(session, job) for job in jobs]


def _sseclient_events(session: requests.Session, job: Job) -> list[Seen]:
    with session.post(job.url, json=job.body, stream=True, timeout=TIMEOUT_SECONDS) as response:
        # As its own documentation does, though its annotation asks for an iterator.
        events = sseclient.SSEClient(cast("Iterator[bytes]", response)).events()
        return [Seen(event.event, event.data, event.id) for event in events]


def read_with_sse_reader(jobs: list[Job]) -> list[list[Seen]]:
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        return [_sse_reader_events(client, job) for job in jobs]


def _sse_reader_events(client: httpx.Client, job: Job) -> list[Seen]:
    reader = SSEReader()
    with client.stream("POST", job.url, json=job.body) as response:
        return [
            Seen(event.event, event.data, event.id)
            for piece in response.iter_raw()
            for event in reader.feed(piece)
        ]


def read_with_eventsource_parser(jobs: list[Job]) -> list[list[Seen]]:
    return _read_with_node("eventsource-parser.mjs", jobs)


def read_with_fetch_event_source(jobs: list[Job]) -> list[list[Seen]]:
    return _read_with_node("fetch-event-source.mjs", jobs)


def read_resuming_with_fetch_event_source(jobs: list[Job]) -> list[list[Seen]]:
    """The same client, which sends its POST again when a stream is cut."""
    return _read_with_node("resuming.mjs", jobs)


def _read_with_node(script: str, jobs: list[Job]) -> list[list[Seen]]:
    """Do all jobs in one Node process: starting it costs more than a hundred streams."""
    node = subprocess.run(
        ["node", script],
        cwd=CLIENTS,
        input=json.dumps([job._asdict() for job in jobs]),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_SECONDS,
    )
    assert node.returncode == 0, node.stderr
    results: list[list[Seen]] = [[] for _ in jobs]
    # Not `splitlines`, which also breaks at U+2028 inside a line.
    for line in filter(None, node.stdout.split("\n")):
        seen = json.loads(line)
        results[seen["job"]].append(Seen(seen["event"], seen["data"], seen["id"]))
    return results
