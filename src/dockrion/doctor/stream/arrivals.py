"""How a stream came through, and what that says of the way: a recording in, findings out, without I/O.

Each event has the time at which the server sent it. What lies between that and its arrival differs from event to event
only where somebody holds events back, however fast the agent is and whatever the two clocks say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from dockrion.doctor.base import Finding, error, info, ok, skipped, warning
from dockrion.doctor.stream.target import Found

# Later than that by the fastest event's way, an event has been held back.
HELD_SECONDS: Final = 0.5
# A stream that is over sooner shows nothing.
TELLING_SECONDS: Final = 1.0
# What arrives so close together arrived together.
TOGETHER_SECONDS: Final = 0.05
IDLE_SECONDS: Final = 1.0
TERMINAL: Final = ("complete", "error", "cancelled", "interrupt")
HEARTBEAT_SECONDS: Final = 15

End = Literal["ended", "cut", "left"]


@dataclass(frozen=True)
class Arrival:
    """One event: when it came, in seconds since the request, and when the server sent it, by the server's clock."""

    event: str
    at: float
    sent: float | None = None


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One answer of `POST /invoke/stream`.

    `pieces` are the times at which bytes came, heartbeats included. `end` is `ended` where the body was whole, `cut`
    where it was not, `left` where it took longer than we waited.
    """

    headers: Mapping[str, str]
    head_at: float
    pieces: Sequence[float]
    events: Sequence[Arrival]
    end: End
    ended_at: float
    heartbeats: int = 0
    is_readable: bool = True
    failure: str | None = None
    server_lives: bool = True

    @property
    def is_whole(self) -> bool:
        return any(event.event in TERMINAL for event in self.events)

    @property
    def last_at(self) -> float:
        # The server sends something at once, so where nothing came it is silence from the start.
        return self.pieces[-1] if self.pieces else 0.0

    @property
    def held_seconds(self) -> float:
        """How much longer the slowest event was on its way than the fastest."""
        ways = [event.at - event.sent for event in self.events if event.sent is not None]
        return max(ways) - min(ways) if ways else 0.0

    @property
    def lasted_seconds(self) -> float:
        """How long the server took from its first event to its last."""
        sent = [event.sent for event in self.events if event.sent is not None]
        return max(sent) - min(sent) if sent else 0.0

    @property
    def longest_silence(self) -> float:
        times = [self.head_at, *self.pieces]
        return max((b - a for a, b in pairwise(times)), default=0.0)

    @property
    def is_held_back(self) -> bool:
        if not self.is_readable:
            return False
        # The server sends `started` together with the head.
        return self.held_seconds > HELD_SECONDS or (
            not self.events and self.ended_at > IDLE_SECONDS
        )

    @property
    def is_telling(self) -> bool:
        """Whether there was time to hold events back, while the agent was at work or silent."""
        return max(self.lasted_seconds, self.ended_at - self.last_at) >= TELLING_SECONDS


def diagnose(recording: Recording) -> Found:
    return [
        ("compression", _compression(recording)),
        ("buffering", _buffering(recording)),
        ("idle", _idle(recording)),
        ("headers", _headers(recording)),
        *_agent(recording),
    ]


def _compression(recording: Recording) -> Finding:
    coding = recording.headers.get("content-encoding", "identity")
    if coding == "identity":
        return ok("the stream is not compressed")
    say = error if recording.is_held_back or not recording.is_readable else warning
    return say(
        f"the stream is compressed on the way ({coding}): compressors hold events back, and some clients cannot read it",
        "never compress text/event-stream: nginx: take it out of gzip_types, or gzip off; Apache: SetEnv no-gzip 1;"
        " CDN: no compression for this path",
    )


UNBUFFERED: Final = (
    "nginx: proxy_buffering off, and no proxy_ignore_headers X-Accel-Buffering; ingress-nginx: annotation"
    ' nginx.ingress.kubernetes.io/proxy-buffering: "off"; Apache: flushpackets=on; gateway and CDN: response streaming on'
)


def _buffering(recording: Recording) -> Finding:
    if not recording.is_readable:
        return skipped("a stream that is compressed cannot be looked into")
    if not recording.events:
        if recording.is_held_back:
            waited = recording.ended_at
            return error(
                f"the stream is buffered: in {waited:.0f} s nothing came, though the server sends `started` at once",
                UNBUFFERED,
            )
        return skipped("no event came")
    held, count = recording.held_seconds, len(recording.events)
    if held > HELD_SECONDS:
        times = [event.at for event in recording.events]
        if times[-1] - times[0] <= TOGETHER_SECONDS:
            how = f"all {count} events came together, at the end"
        else:
            blocks = 1 + sum(b - a > TOGETHER_SECONDS for a, b in pairwise(times))
            how = f"{count} events came in {blocks} blocks"
        return error(f"the stream is buffered: {how}, up to {held:.1f} s late", UNBUFFERED)
    if "content-length" in recording.headers:
        return error(
            "the stream is buffered: it comes with a Content-Length, so somebody has waited for its end",
            UNBUFFERED,
        )
    if not recording.is_telling:
        return info(
            f"whether events are held back is not known: the agent was done after {recording.lasted_seconds:.1f} s",
            "-p with a payload that keeps it busy for some seconds",
        )
    return ok(f"each of {count} events came as it was sent, {held * 1000:.0f} ms late at most")


def _idle(recording: Recording) -> Finding:
    is_over = recording.end == "cut" or (recording.end == "ended" and recording.is_readable)
    if is_over and not recording.is_whole:
        return _cut(recording)
    if recording.is_held_back:
        return skipped("what is buffered is silent anyway")
    silence = max(
        recording.longest_silence,
        recording.ended_at - recording.last_at if recording.end == "left" else 0.0,
    )
    if recording.heartbeats or silence > HEARTBEAT_SECONDS:
        with_hearts = f", with {recording.heartbeats} heartbeats" if recording.heartbeats else ""
        return ok(f"it was silent for {silence:.1f} s at a time and not cut{with_hearts}")
    how_long = (
        f"it was silent for {silence:.1f} s and not cut; whether it may be for longer is not known"
        if silence >= IDLE_SECONDS
        else "how long a stream may be silent is not known: this one never was"
    )
    return info(
        how_long,
        "it must be longer than streaming.events.heartbeat_interval"
        f" ({HEARTBEAT_SECONDS} s, if the Dockfile says nothing else): nginx: proxy_read_timeout;"
        " -p with a payload that makes the agent think tries it out",
    )


def _cut(recording: Recording) -> Finding:
    silent = recording.ended_at - recording.last_at
    total = recording.ended_at - recording.head_at
    if not recording.server_lives:
        return error(
            f"the stream broke off after {total:.1f} s, and the server does not answer any more",
            "see its log: has it crashed, was memory short, was it restarted?",
        )
    if silent < IDLE_SECONDS:
        return error(
            f"the stream was cut after {total:.1f} s, in the middle of its events",
            "something limits how long an answer may take: raise it for these paths (load balancer, gateway:"
            " request timeout; gunicorn: timeout), or let clients come back (streaming.connection.resume_window)",
        )
    beat = max(1, int(silent / 2))
    return error(
        f"the stream was cut after {silent:.0f} s without a byte",
        f"streaming.events.heartbeat_interval: {beat} in the Dockfile; or let streams be silent for longer: nginx:"
        " proxy_read_timeout 75s; ingress-nginx: annotation nginx.ingress.kubernetes.io/proxy-read-timeout:"
        ' "75"; load balancer: idle timeout',
    )


def _headers(recording: Recording) -> Finding:
    headers = recording.headers
    kind = headers.get("content-type", "")
    if not kind.startswith("text/event-stream"):
        return error(
            f"the stream comes as {kind or 'nothing'} and not as text/event-stream, so no EventSource reads it",
            "let Content-Type pass as it is",
        )
    caching = headers.get("cache-control", "")
    if "no-cache" not in caching and "no-store" not in caching:
        return warning(
            f"Cache-Control is {caching or 'taken off'!r}, where the server says no-cache: caches may keep a stream",
            "let Cache-Control pass as it is (nginx: no expires and no add_header Cache-Control for these paths)",
        )
    lost = [name for name in ("X-Run-ID", "X-Request-ID") if name.lower() not in headers]
    if lost:
        return warning(
            f"{' and '.join(lost)} is taken off", "let it pass: clients find the run by it"
        )
    return ok("its headers are as the server sends them")


def _agent(recording: Recording) -> Found:
    if recording.failure is None:
        return []
    failed = warning(
        f"the agent itself failed: {recording.failure}",
        "see the server's log; -p gives it another payload",
    )
    return [("agent", failed)]
