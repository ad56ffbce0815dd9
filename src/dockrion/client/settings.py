"""What both clients are made of: where the agent is, who calls, how long they wait, how often they try."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

import httpx2
import msgspec

from dockrion.client.answers import Answer
from dockrion.client.asking import (
    Ask,
    agent_url,
    credentials,
    event_place,
    payload_ask,
    run_path,
    without_user,
)
from dockrion.client.following import Following
from dockrion.errors import RunTimeoutError, UnexpectedAnswerError, ValidationError
from dockrion.version import VERSION

DEFAULT_KEY_HEADER: Final = "X-API-Key"
CONNECT_SECONDS: Final = 10.0
# Four heartbeats of a server that has the default of 15 seconds.
IDLE_SECONDS: Final = 60.0
RETRIES: Final = 2
RECONNECT_SECONDS: Final = 60.0
# `POST /invoke` is silent until its run is over, which is after an hour at most, where nothing else is configured.
INVOKE_SECONDS: Final = 3660.0
# For so long the end of an answer is waited for whose last event has come.
FINISH_SECONDS: Final = 0.5
# How long the cancel of a run takes at most whose stream was left.
CANCEL_SECONDS: Final = 5.0
MAX_ANSWER_BYTES: Final = 64 << 20
MAX_REDIRECTS: Final = 5


class Settings(msgspec.Struct, frozen=True):
    url: httpx2.URL
    headers: list[tuple[bytes, bytes]]
    timeout: float | None
    connect_timeout: float
    idle_timeout: float
    retries: int
    reconnect_seconds: float

    def target(self, ask: Ask) -> httpx2.URL:
        """Return the URL of a request, without its query."""
        return self.url.copy_with(path=f"{self.url.path.rstrip('/')}{ask.path}")

    def head(self, ask: Ask) -> list[tuple[bytes, bytes]]:
        """Return the headers of a request; what it says itself comes before what all of them say."""
        own = [(name.encode(), value.encode()) for name, value in ask.headers.items()]
        said = {name.lower() for name, _ in own}
        return [*own, *(one for one in self.headers if one[0].lower() not in said)]

    def waits(self, ask: Ask, left: float | None) -> httpx2.Timeout:
        """Return how long each step of a request may take, `left` seconds before the whole must be over."""
        silence = INVOKE_SECONDS if ask.is_slow else self.idle_timeout
        connect, write = self.connect_timeout, self.idle_timeout
        if left is not None:
            silence = left if ask.is_slow else min(silence, left)
            connect, write = min(connect, left), min(write, left)
        return httpx2.Timeout(connect=connect, read=silence, write=write, pool=connect)

    def deadline(self, timeout: float | None) -> float | None:
        """Return when a call must be over, on the clock of `monotonic`."""
        seconds = self.timeout if timeout is None else timeout
        if seconds is None:
            return None
        return monotonic() + positive("timeout", seconds)

    def direct(
        self,
        payload: Any,
        *,
        run_id: str | None,
        thread_id: str | None,
        last_event_id: str | None,
    ) -> Following:
        """Follow an invocation from its start, or one that is held from behind an event."""
        position = -1
        if last_event_id is None:
            ask = payload_ask("/invoke/stream", payload, run_id=run_id, thread_id=thread_id)
        else:
            run_id, position = event_place(last_event_id)
            headers = {"Last-Event-ID": last_event_id}
            ask = Ask(method="POST", path="/invoke/stream", headers=headers)
        return self._following(ask, run_id, position, direct=True)

    def subscription(
        self, run_id: str, *, last_event_id: str | None, from_sequence: int
    ) -> Following:
        path = run_path(run_id, "/events")
        params: dict[str, str] = {}
        headers: dict[str, str] = {}
        if last_event_id is not None:
            named, position = event_place(last_event_id)
            if named != run_id:
                raise ValidationError(
                    f"last_event_id: must be of the run {run_id!r}, got {last_event_id!r}"
                )
            headers["Last-Event-ID"] = last_event_id
        else:
            if from_sequence < 0:
                raise ValidationError(f"from_sequence: must be 0 or more, got {from_sequence!r}")
            position = from_sequence - 1
            if from_sequence:
                params["from_sequence"] = str(from_sequence)
        ask = Ask(method="GET", path=path, params=params, headers=headers, is_safe=True)
        return self._following(ask, run_id, position, direct=False)

    def _following(self, ask: Ask, run_id: str | None, position: int, *, direct: bool) -> Following:
        return Following(
            ask,
            run_id=run_id,
            position=position,
            direct=direct,
            retries=self.retries,
            reconnect_seconds=self.reconnect_seconds,
            now=monotonic,
        )


def make_settings(
    url: str,
    *,
    api_key: str | None,
    api_key_header: str,
    token: str | None,
    headers: Mapping[str, str] | None,
    timeout: float | None,
    connect_timeout: float,
    idle_timeout: float,
    retries: int,
    reconnect_seconds: float,
) -> Settings:
    if retries < 0:
        raise ValidationError(f"retries: must be 0 or more, got {retries!r}")
    if not reconnect_seconds >= 0:
        raise ValidationError(f"reconnect_seconds: must be 0 or more, got {reconnect_seconds!r}")
    return Settings(
        url=agent_url(url),
        headers=_headers(
            credentials(
                api_key=api_key, api_key_header=api_key_header, token=token, headers=headers
            )
        ),
        timeout=None if timeout is None else positive("timeout", timeout),
        connect_timeout=positive("connect_timeout", connect_timeout),
        idle_timeout=positive("idle_timeout", idle_timeout),
        retries=retries,
        reconnect_seconds=reconnect_seconds,
    )


def _headers(given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return what is given, and what we say where it is silent."""
    ours = [
        (b"User-Agent", f"dockrion/{VERSION}".encode()),
        # Compressed events would come late.
        (b"Accept-Encoding", b"identity"),
    ]
    said = {name.lower() for name, _ in given}
    return [*given, *(one for one in ours if one[0].lower() not in said)]


def positive(name: str, seconds: float) -> float:
    if not seconds > 0:
        raise ValidationError(f"{name}: must be more than 0 seconds, got {seconds!r}")
    return seconds


def head_of(response: httpx2.Response) -> Answer:
    request = response.request
    place = f"{request.method} {without_user(request.url.copy_with(query=None))}"
    return Answer(response.status_code, dict(response.headers), place)


def too_late(seconds: float | None) -> RunTimeoutError:
    return RunTimeoutError(f"timeout: it was not over within {seconds or 0:g} s")


def too_much(answer: Answer) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(f"{answer.place} answered more than {MAX_ANSWER_BYTES} bytes")
