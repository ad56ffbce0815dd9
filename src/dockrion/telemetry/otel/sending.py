"""Sending spans to where they go, in a thread of its own: nothing that goes wrong there reaches a run."""

from __future__ import annotations

import asyncio
import gzip
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Generic, TypeVar

import httpx2
import msgspec
from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage]
    attach,
    set_value,
)

from dockrion.errors import ValidationError
from dockrion.telemetry.destinations import Destination

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_SECONDS: Final = 1.0
_LAST_PAUSE_SECONDS: Final = 30.0
# How often spans are tried again before they are let go of.
_TRIES: Final = 5
# The protocol says of these that it is worth to try again.
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})


class Batching(msgspec.Struct, frozen=True, kw_only=True):
    """When spans are sent: `batch` of them at once, or what there is after `seconds`. Past `most` they are dropped."""

    most: int = 8192
    batch: int = 512
    seconds: float = 5.0


class Sender(Generic[T]):
    """One for a destination. `pack` makes the body of a request out of spans; `lost` is told how many are."""

    def __init__(
        self,
        destination: Destination,
        batching: Batching,
        *,
        pack: Callable[[Sequence[T]], bytes],
        lost: Callable[[int], None],
    ) -> None:
        self._to = destination
        self._batching = batching
        self._pack = pack
        self._lost = lost
        self._queue: deque[T] = deque()
        self._awake = threading.Event()
        self._closing = threading.Event()
        # Since the thread has been started: set when it is over.
        self._over: asyncio.Event | None = None
        self._client = _client_for(destination)
        self._on_its_way = 0
        # Whether the last try has failed, and how much was lost since that began.
        self._fails = False
        self._lost_since = 0

    def put(self, span: T) -> None:
        """Take a span to be sent, or drop it. From any thread."""
        if len(self._queue) >= self._batching.most or self._closing.is_set():
            self._lose(1)
            return
        self._queue.append(span)
        if len(self._queue) >= self._batching.batch and not self._awake.is_set():
            self._awake.set()

    def start(self) -> None:
        """Begin, on the event loop."""
        self._over = asyncio.Event()
        told = partial(asyncio.get_running_loop().call_soon_threadsafe, self._over.set)
        name = f"dockrion-traces-{self._to.name}"
        threading.Thread(target=self._work, args=(told,), name=name, daemon=True).start()

    async def close(self, seconds: float) -> None:
        """Send what is left, for so long at most; what is not delivered by then is lost."""
        self._closing.set()
        self._awake.set()
        if self._over is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._over.wait()
        left = len(self._queue) + self._on_its_way
        self._queue.clear()
        if left:
            self._lose(left)
        if self._lost_since:
            extra = {"to": self._to.name, "spans": self._lost_since}
            logger.warning("traces were lost", extra=extra)

    # In the thread

    def _work(self, over: Callable[[], object]) -> None:
        # Instruments of HTTP clients leave alone what is sent from here.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, value=True))
        with self._client:
            while not self._closing.is_set():
                self._awake.wait(self._batching.seconds)
                self._awake.clear()
                self._send_all()
            self._send_all()
        # The loop may not wait for it any more.
        with suppress(RuntimeError):
            over()

    def _send_all(self) -> None:
        while self._queue:
            count = self._on_its_way = min(self._batching.batch, len(self._queue))
            self._deliver([self._queue.popleft() for _ in range(count)])
            self._on_its_way = 0

    def _deliver(self, spans: Sequence[T]) -> None:
        body = self._pack(spans)
        if self._to.compresses:
            body = gzip.compress(body, 5)
        pause = _FIRST_PAUSE_SECONDS
        for tried in range(1, _TRIES + 1):
            problem, is_final = self._post(body)
            if problem is None:
                self._works()
                return
            self._warn(problem)
            if is_final or tried == _TRIES or self._closing.wait(pause):
                break
            pause = min(2 * pause, _LAST_PAUSE_SECONDS)
        self._lose(len(spans))

    def _post(self, body: bytes) -> tuple[str | None, bool]:
        """Send it once; return what was wrong, and whether it is of no use to try again."""
        headers = {"Content-Type": "application/x-protobuf"}
        if self._to.compresses:
            headers["Content-Encoding"] = "gzip"
        try:
            status = self._client.post(self._to.url, content=body, headers=headers).status_code
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as exc:
            return type(exc).__name__, False
        if 200 <= status < 300:
            return None, True
        return f"HTTP {status}", status not in _TRY_AGAIN

    def _works(self) -> None:
        if self._fails:
            logger.info(
                "traces are delivered again",
                extra={"to": self._to.name, "spans_lost": self._lost_since},
            )
            self._fails, self._lost_since = False, 0

    def _warn(self, problem: str) -> None:
        # Once, not for each batch: it is the same trouble.
        if not self._fails:
            self._fails = True
            logger.warning(
                "traces cannot be delivered; runs go on, and it is tried again",
                extra={"to": self._to.name, "url": self._to.shown_url, "problem": problem},
            )

    def _lose(self, spans: int) -> None:
        self._lost_since += spans
        self._lost(spans)


def _client_for(destination: Destination) -> httpx2.Client:
    try:
        return httpx2.Client(
            headers=destination.headers,
            timeout=destination.timeout_seconds,
            verify=destination.tls_context(),
        )
    except OSError as exc:
        raise ValidationError(
            f"OTEL_EXPORTER_OTLP_CERTIFICATE: cannot be used: {exc.strerror or exc}"
        ) from exc
    except ValueError as exc:
        # Without what was found: it is a credential.
        raise ValidationError(
            f"observability.{destination.name}: a header has characters that no header may have"
        ) from exc
