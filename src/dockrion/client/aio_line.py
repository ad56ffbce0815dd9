"""How `AsyncClient` carries out the steps of `flow.py` and `following.py`, on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic
from typing import Any

import httpx2

from dockrion.client import settings as defaults
from dockrion.client.answers import Answer
from dockrion.client.asking import Ask, redirected
from dockrion.client.flow import (
    Arrived,
    Close,
    Finish,
    Flow,
    Opened,
    Pause,
    Receive,
    ReceiveAll,
    Send,
    Step,
)
from dockrion.client.settings import Settings, head_of, too_late, too_much


class Line:
    """Carries out steps, one answer at a time, until its deadline."""

    def __init__(self, settings: Settings, http: httpx2.AsyncClient, timeout: float | None) -> None:
        self._settings = settings
        self._http = http
        self._timeout = settings.timeout if timeout is None else timeout
        self._deadline = settings.deadline(timeout)
        self._response: httpx2.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        # What has come of a step that was cancelled.
        self._broken: httpx2.RequestError | None = None

    async def finish(self, steps: Flow) -> Any:
        """Carry out a flow that has nothing for its caller on the way, and return its result."""
        result: Any = None
        error: Exception | None = None
        try:
            while True:
                step = steps.send(result) if error is None else steps.throw(error)
                result, error = await self._do(step)
        except StopIteration as exc:
            return exc.value
        finally:
            steps.close()
            await self.close()

    async def advance(self, steps: Flow) -> Opened | Arrived | None:
        """Carry out steps up to the next one that is for the caller; None at the end.

        Cancelled, it may be called again: the connection is gone then, as if it had been cut.
        """
        result: Any = None
        error: Exception | None = self._broken
        self._broken = None
        try:
            while True:
                step = steps.send(result) if error is None else steps.throw(error)
                if isinstance(step, Opened | Arrived):
                    return step
                result, error = await self._do(step)
        except StopIteration:
            return None
        except asyncio.CancelledError:
            await self.close()
            raise
        except BaseException:
            steps.close()
            await self.close()
            raise

    async def _do(self, step: Step) -> tuple[Any, Exception | None]:
        scope = asyncio.timeout(None if isinstance(step, Close | Finish) else self._left())
        try:
            async with scope:
                return await self._carry_out(step), None
        except httpx2.RequestError as exc:
            self._left()
            return None, exc
        except asyncio.CancelledError:
            if isinstance(step, Send | Receive | ReceiveAll):
                self._broken = httpx2.ReadError("its reader was cancelled")
            raise
        except TimeoutError:
            if not scope.expired():
                raise
            raise too_late(self._timeout) from None

    async def _carry_out(self, step: Step) -> Any:
        match step:
            case Receive():
                return await self._receive()
            case Send(ask=ask):
                return await self._send(ask)
            case ReceiveAll():
                return await self._receive_all()
            case Pause(seconds=seconds):
                await asyncio.sleep(seconds)
            case Close():
                await self.close()
            case Finish():
                await self._finish()
            case _:
                raise AssertionError(f"{step} is for the caller")
        return None

    async def _send(self, ask: Ask) -> Answer:
        settings = self._settings
        url, params = settings.target(ask), ask.params or None
        for hop in range(defaults.MAX_REDIRECTS + 1):
            request = self._http.build_request(
                ask.method,
                url,
                params=params,
                headers=settings.head(ask),
                content=ask.body,
                timeout=settings.waits(ask, self._left()),
            )
            self._response = await self._http.send(request, stream=True)
            location = self._response.headers.get("location")
            target = location and redirected(
                ask.method, request.url, self._response.status_code, location
            )
            if not target or hop == defaults.MAX_REDIRECTS:
                break
            await self.close()
            url, params = target, None
        assert self._response is not None
        self._pieces = self._response.aiter_bytes()
        return head_of(self._response)

    async def _receive(self) -> bytes:
        assert self._pieces is not None
        async for piece in self._pieces:
            if piece:
                return piece
        return b""

    async def _receive_all(self) -> Answer:
        assert self._response is not None
        body = bytearray()
        while piece := await self._receive():
            body += piece
            if len(body) > defaults.MAX_ANSWER_BYTES:
                raise too_much(head_of(self._response))
        answer = head_of(self._response)
        return Answer(answer.status, answer.headers, answer.place, bytes(body))

    async def _finish(self) -> None:
        with suppress(TimeoutError, httpx2.RequestError):
            async with asyncio.timeout(defaults.FINISH_SECONDS):
                while await self._receive():
                    pass
        await self.close()

    async def close(self) -> None:
        response, self._response, self._pieces = self._response, None, None
        if response is not None:
            await response.aclose()

    def _left(self) -> float | None:
        """Return the seconds until the deadline; raise when it has passed."""
        if self._deadline is None:
            return None
        left = self._deadline - monotonic()
        if left <= 0:
            raise too_late(self._timeout)
        return left
