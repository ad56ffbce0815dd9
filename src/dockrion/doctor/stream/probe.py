"""`dockrion doctor --stream`: all that is asked of a deployed agent, in order of what it costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from dockrion.doctor.base import Result, error, skipped
from dockrion.doctor.stream.arrivals import Recording, diagnose
from dockrion.doctor.stream.reach import Contact, reach
from dockrion.doctor.stream.recording import record
from dockrion.doctor.stream.target import USER_AGENT, Found, target_of
from dockrion.doctor.stream.unpaid import (
    look_at_body_size,
    look_at_cors,
    look_at_http_version,
    look_at_reconnecting,
)
from dockrion.runs.schema import Schema
from dockrion.runtime.sample import sample_payload
from dockrion.spec import Hider

_ANSWER: Final = httpx2.Timeout(10.0, connect=5.0)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Without a `payload` one is made of the agent's input schema. `on_run` is called before the agent is run."""

    url: str
    on_run: Callable[[bytes], None]
    payload: bytes | None = None
    key: str | None = None
    origin: str | None = None
    seconds: float = 60.0
    runs_agent: bool = True


async def probe(asked: Probe) -> list[Result]:
    """Raise `ValidationError` for a URL that is none; all else is a finding."""
    target = target_of(asked.url)
    async with httpx2.AsyncClient(timeout=_ANSWER, headers={"User-Agent": USER_AGENT}) as client:
        found, contact = await reach(client, target, asked.key)
        if contact is None:
            return _results(found, asked.key)
        (arriving, may_run), cors, size, http = await asyncio.gather(
            look_at_reconnecting(client, contact, has_key=asked.key is not None),
            look_at_cors(client, contact, origin=asked.origin),
            look_at_body_size(contact),
            look_at_http_version(contact),
        )
        found += [*arriving, *cors, *size, *http]
        if not asked.runs_agent:
            found.append(
                ("stream", skipped("the agent is not run, so its stream is not looked at"))
            )
        elif may_run:
            found += await _look_at_stream(client, contact, asked)
    return _results(found, asked.key)


def _results(found: Found, key: str | None) -> list[Result]:
    # Whoever answers may repeat what was sent.
    secrets = Hider([] if key is None else [key])
    return [Result(check, finding).without(secrets) for check, finding in found]


async def _look_at_stream(client: httpx2.AsyncClient, contact: Contact, asked: Probe) -> Found:
    payload = asked.payload if asked.payload is not None else _sample(contact)
    if payload is None:
        no_payload = error(
            "no payload can be made of the agent's input schema, so its stream is not looked at",
            "-p '{...}', a payload that it takes",
        )
        return [("payload", no_payload)]
    asked.on_run(payload)
    recording = await record(client, contact.target, payload, seconds=asked.seconds)
    return diagnose(recording) if isinstance(recording, Recording) else [recording]


def _sample(contact: Contact) -> bytes | None:
    if not contact.knows_schema:
        return None
    schema: Any = contact.input_schema
    payload = sample_payload(schema)
    try:
        fits = schema is None or Schema(schema).fits(payload)
    except ValueError:
        fits = False
    return json.dumps(payload, ensure_ascii=False).encode() if fits else None
