"""`AsyncClient`, for asyncio."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import anyio
import httpx2

from dockrion.client import settings as defaults
from dockrion.client.aio_line import Line
from dockrion.client.answers import Answer, Run, RunPage, read, read_invoked
from dockrion.client.asking import (
    Ask,
    cancel_ask,
    get_ask,
    list_ask,
    payload_ask,
    resume_ask,
    without_user,
)
from dockrion.client.events import StreamEvent
from dockrion.client.flow import (
    Arrived,
    Flow,
    Opened,
    call,
    cancel,
)
from dockrion.client.following import Following
from dockrion.client.place import Place
from dockrion.client.settings import Settings, make_settings
from dockrion.errors import DockrionError


class AsyncClient:
    """Calls one agent, from as many tasks as you like; `async with` it, or `aclose` it at the end.

    `transport` is one of httpx2's, in place of the network. Every method raises `DockrionError`s: what the server
    answered, `ServiceUnavailableError` where there is none, `RunTimeoutError` when `timeout` has passed.

    Times are in seconds: `timeout` for a call, or for a stream from its beginning to its end, where the call gives none of its
    own (None: as long as it takes); `idle_timeout` for the silence of a server; `reconnect_seconds` for a stream that was
    cut to come back. `retries` is how often what did no harm is sent again.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        api_key_header: str = defaults.DEFAULT_KEY_HEADER,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        connect_timeout: float = defaults.CONNECT_SECONDS,
        idle_timeout: float = defaults.IDLE_SECONDS,
        retries: int = defaults.RETRIES,
        reconnect_seconds: float = defaults.RECONNECT_SECONDS,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = make_settings(
            url,
            api_key=api_key,
            api_key_header=api_key_header,
            token=token,
            headers=headers,
            timeout=timeout,
            connect_timeout=connect_timeout,
            idle_timeout=idle_timeout,
            retries=retries,
            reconnect_seconds=reconnect_seconds,
        )
        # Streams are long: a limit of connections would let the next ones wait.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        self._http = httpx2.AsyncClient(transport=transport, limits=limits)
        self.runs = AsyncRuns(self._settings, self._http)

    @property
    def url(self) -> str:
        """The agent's URL, without the password that it may have been given with."""
        return without_user(self._settings.url)

    def __repr__(self) -> str:
        return f"<AsyncClient {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def invoke(
        self,
        payload: Any,
        *,
        run_id: str | None = None,
        thread_id: str | None = None,
        timeout: float | None = None,
    ) -> Run:
        """Run the agent and wait for its output; the run comes back with it, or with its questions."""
        ask = payload_ask("/invoke", payload, run_id=run_id, thread_id=thread_id)
        return read_invoked(await self.runs.answer(ask, timeout=timeout))

    def stream(
        self,
        payload: Any = None,
        *,
        run_id: str | None = None,
        thread_id: str | None = None,
        last_event_id: str | None = None,
        timeout: float | None = None,
        cancel_on_leave: bool = False,
    ) -> AsyncEventStream:
        """Run the agent and follow it; with `last_event_id`, go on with a stream that was cut, whatever the payload."""
        following = self._settings.direct(
            payload, run_id=run_id, thread_id=thread_id, last_event_id=last_event_id
        )
        return AsyncEventStream(
            following,
            Line(self._settings, self._http, timeout),
            self.runs if cancel_on_leave else None,
        )


class AsyncRuns:
    """Async runs, under `AsyncClient.runs`."""

    def __init__(self, settings: Settings, http: httpx2.AsyncClient) -> None:
        self._settings = settings
        self._http = http

    async def create(
        self,
        payload: Any,
        *,
        run_id: str | None = None,
        thread_id: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Run:
        """Start a run. The same `idempotency_key` starts it once; without one each call has its own, for its retries."""
        ask = payload_ask(
            "/runs",
            payload,
            run_id=run_id,
            thread_id=thread_id,
            idempotency_key=uuid4().hex if idempotency_key is None else idempotency_key,
        )
        return read(await self.answer(ask, timeout=timeout), Run)

    async def get(self, run_id: str, *, timeout: float | None = None) -> Run:
        return read(await self.answer(get_ask(run_id), timeout=timeout), Run)

    async def list(
        self,
        *,
        status: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
    ) -> RunPage:
        """Give the caller's runs, the newest first: `limit` of them (1 to 100; 20), from a page's `next_cursor` on; `status` as
        in `RunStatus`.
        """
        ask = list_ask(status=status, limit=limit, cursor=cursor)
        return read(await self.answer(ask, timeout=timeout), RunPage)

    def events(
        self,
        run_id: str,
        *,
        last_event_id: str | None = None,
        from_sequence: int = 0,
        timeout: float | None = None,
        cancel_on_leave: bool = False,
    ) -> AsyncEventStream:
        """Follow a run to its end, over its questions; leaving does not end it, unless `cancel_on_leave`."""
        following = self._settings.subscription(
            run_id, last_event_id=last_event_id, from_sequence=from_sequence
        )
        return AsyncEventStream(
            following,
            Line(self._settings, self._http, timeout),
            self if cancel_on_leave else None,
        )

    async def cancel(
        self, run_id: str, *, reason: str | None = None, timeout: float | None = None
    ) -> Run:
        """End a run; `ConflictError` when it has ended otherwise."""
        ask = cancel_ask(run_id, reason=reason)
        return await self._line(timeout).finish(cancel(ask, run_id, retries=self._settings.retries))

    async def resume(
        self,
        run_id: str,
        answer: Any,
        *,
        interrupt_id: str | None = None,
        timeout: float | None = None,
    ) -> Run:
        """Answer what a run waits for: the question `interrupt_id`, the only one, or several as a mapping of their ids."""
        ask = resume_ask(run_id, answer, interrupt_id=interrupt_id)
        return read(await self.answer(ask, timeout=timeout), Run)

    async def answer(self, ask: Ask, *, timeout: float | None) -> Answer:
        return await self._line(timeout).finish(call(ask, retries=self._settings.retries))

    def _line(self, timeout: float | None) -> Line:
        return Line(self._settings, self._http, timeout)


class AsyncEventStream:
    """The events of one run, each once and in order, over cut connections: `async with` it, `async for` over it.

    How the run ended is its last event, and nothing is raised for it; `result` raises. Leaving the block closes the
    connection. `run_id` and `last_event_id` say where the stream is.
    """

    def __init__(self, following: Following, line: Line, cancels: AsyncRuns | None) -> None:
        self._following = following
        self._line = line
        self._cancels = cancels
        self._steps: Flow = following.steps()
        self._ready: deque[StreamEvent] = deque()
        self._place = Place(following)
        self._is_open = False

    @property
    def run_id(self) -> str | None:
        return self._following.run_id

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event that was given out; with it another stream goes on after it."""
        return self._place.last_event_id

    @property
    def run(self) -> Run:
        """The run, as far as its events have told: `RUNNING` until the last one, with its output or error then."""
        return self._place.run

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._line.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self

    async def __anext__(self) -> StreamEvent:
        ready = self._ready
        while not ready:
            step = await self._line.advance(self._steps)
            if step is None:
                raise StopAsyncIteration
            if isinstance(step, Arrived):
                ready.extend(step.events)
        event = ready.popleft()
        self._place.pass_by(event)
        return event

    async def result(self) -> Any:
        """Read on to the end and return the output; raise what the run failed with."""
        async for _ in self:
            pass
        return self._place.result()

    async def aclose(self) -> None:
        self._steps.close()
        self._ready.clear()
        await self._line.close()
        run_id = self._following.run_id
        if self._cancels is not None and run_id is not None and not self._following.ended:
            runs, self._cancels = self._cancels, None
            # Also where a cancel scope is what makes its task leave, which would cancel this too.
            with anyio.CancelScope(shield=True), suppress(DockrionError):
                await runs.cancel(run_id, timeout=defaults.CANCEL_SECONDS)

    async def _open(self) -> None:
        while not self._is_open:
            step = await self._line.advance(self._steps)
            self._is_open = step is None or isinstance(step, Opened)
