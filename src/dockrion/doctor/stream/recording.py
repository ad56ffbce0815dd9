"""One run of the agent, streamed, with the time at which each piece of it arrives."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final

import httpx2

from dockrion.doctor.base import Finding, error
from dockrion.doctor.reason import reason_of
from dockrion.doctor.stream.arrivals import TERMINAL, UNBUFFERED, Arrival, End, Recording
from dockrion.doctor.stream.target import StreamCheck, Target, code_of, described, message_of
from dockrion.doctor.stream.unpaid import STREAM_PATH
from dockrion.events.sse_parser import EventParser, EventTooLargeError, Frame
from dockrion.spec.fields import is_mapping

# What browsers take; a proxy that compresses shows itself.
_CODINGS: Final = "gzip, deflate, br, zstd"
_HEARTBEAT: Final = b"hb"
_ALIVE_SECONDS: Final = 5.0


async def record(
    client: httpx2.AsyncClient, target: Target, payload: bytes, *, seconds: float
) -> Recording | tuple[StreamCheck, Finding]:
    """Run the agent once, for so long at most; return a finding where there is no stream."""
    tape = _Tape()
    headers = {
        **target.credentials,
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        "Accept-Encoding": _CODINGS,
    }
    request = client.build_request(
        "POST",
        target.at(STREAM_PATH),
        content=payload,
        headers=headers,
        timeout=httpx2.Timeout(None, connect=_ALIVE_SECONDS),
    )
    response: httpx2.Response | None = None
    end: End = "ended"
    try:
        async with asyncio.timeout(seconds):
            response = await client.send(request, stream=True)
            tape.begin()
            if response.status_code != 200:
                await response.aread()
                return _no_stream(response, tape.now)
            tape.decode(response.headers.get("content-encoding", "identity"))
            async for piece in response.aiter_raw():
                tape.take(piece)
                if tape.is_whole:
                    break
    except TimeoutError:
        end = "left"
    except (httpx2.HTTPError, OSError) as exc:
        if response is None:
            return "post", error(
                f"the stream does not begin: {reason_of(exc)}",
                "something cuts the connection before the head comes; see the proxy's log",
            )
        end = "cut"
    finally:
        ended_at = tape.now
        if response is not None:
            await response.aclose()
    if response is None:
        return "buffering", error(
            f"the stream is buffered: in {seconds:g} s not even its head came, which the server sends at once",
            UNBUFFERED,
        )
    return tape.recording(
        response,
        end=end,
        ended_at=ended_at,
        server_lives=tape.is_whole or end == "left" or await _lives(client, target),
    )


def _no_stream(response: httpx2.Response, at: float) -> tuple[StreamCheck, Finding]:
    code, status = code_of(response), response.status_code
    if code in ("VALIDATION_ERROR", "POLICY_VIOLATION"):
        return "payload", error(
            f"the server refuses the payload: {message_of(response)}",
            "-p with a payload that fits: GET /schema has its schema",
        )
    if code is not None:
        return "post", error(
            f"the server refuses the call: {code}: {message_of(response)}", "see the server's log"
        )
    if status == 504:
        return "buffering", error(
            f"something in between gave up after {at:.0f} s (504): it waits for more than the head, which the server"
            " sends at once",
            UNBUFFERED,
        )
    return "post", error(
        f"something before the server answers in its place: {described(response)}",
        "let POST with Content-Type: application/json pass to the server",
    )


async def _lives(client: httpx2.AsyncClient, target: Target) -> bool:
    try:
        return (await client.get(target.at("/health"))).status_code == 200
    except (httpx2.HTTPError, OSError):
        return False


class _Parser(EventParser):
    heartbeats = 0

    def comment(self, text: bytes) -> None:
        self.heartbeats += text == _HEARTBEAT


@dataclass
class _Tape:
    """Takes pieces as they come, and the events that they make."""

    began: float = field(default_factory=monotonic)
    head_at: float = 0.0
    pieces: list[float] = field(default_factory=list[float])
    events: list[Arrival] = field(default_factory=list[Arrival])
    heartbeats: int = 0
    is_readable: bool = True
    failure: str | None = None
    _parser: _Parser = field(default_factory=_Parser)
    _inflate: Any = None

    @property
    def now(self) -> float:
        return monotonic() - self.began

    @property
    def is_whole(self) -> bool:
        return bool(self.events) and self.events[-1].event in TERMINAL

    def begin(self) -> None:
        self.head_at = self.now

    def decode(self, coding: str) -> None:
        match coding:
            case "identity":
                return
            case "gzip" | "deflate":
                # Both formats, told from their first bytes.
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
            case _:
                self.is_readable = False

    def take(self, piece: bytes) -> None:
        at = self.now
        self.pieces.append(at)
        if not self.is_readable:
            return
        if self._inflate is not None:
            try:
                piece = self._inflate.decompress(piece)
            except zlib.error:
                self.is_readable = False
                return
        try:
            frames = self._parser.feed(piece)
        except EventTooLargeError:
            self.is_readable = False
            return
        for frame in frames:
            self._take_event(frame, at)

    def _take_event(self, frame: Frame, at: float) -> None:
        event = frame.event.decode(errors="replace")
        try:
            data: Any = json.loads(frame.data)
        except ValueError:
            data = None
        fields: Mapping[str, Any] = data if is_mapping(data) else {}
        if event == "heartbeat":
            self.heartbeats += 1
        if event == "error":
            self.failure = f"{fields.get('code')}: {fields.get('error')}"
        self.events.append(Arrival(event, at, _seconds(fields.get("timestamp"))))

    def recording(
        self, response: httpx2.Response, *, end: End, ended_at: float, server_lives: bool
    ) -> Recording:
        return Recording(
            headers=dict(response.headers),
            head_at=self.head_at,
            pieces=self.pieces,
            events=self.events,
            end=end,
            ended_at=ended_at,
            heartbeats=self.heartbeats + self._parser.heartbeats,
            is_readable=self.is_readable,
            failure=self.failure,
            server_lives=server_lives,
        )


def _seconds(timestamp: object) -> float | None:
    if not isinstance(timestamp, str):
        return None
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None
