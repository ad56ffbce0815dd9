"""How `Client` carries out the steps of `flow.py` and `following.py`, where they are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from time import monotonic, sleep
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
from dockrion.client.timed import Deadlines


class Line:
    """Carries out steps, one answer at a time, until its deadline."""

    def __init__(
        self,
        settings: Settings,
        http: httpx2.Client,
        deadlines: Deadlines,
        timeout: float | None,
    ) -> None:
        self._settings = settings
        self._http = http
        self._deadlines = deadlines
        self._timeout = settings.timeout if timeout is None else timeout
        self._deadline = settings.deadline(timeout)
        # Whether a server may have heard of it.
        self.has_spoken = False
        self._response: httpx2.Response | None = None
        self._pieces: Iterator[bytes] | None = None

    def finish(self, steps: Flow) -> Any:
        """Carry out a flow that has nothing for its caller on the way, and return its result."""
        result: Any = None
        error: Exception | None = None
        try:
            while True:
                step = steps.send(result) if error is None else steps.throw(error)
                result, error = self._do(step)
        except StopIteration as exc:
            return exc.value
        finally:
            steps.close()
            self.close()

    def advance(self, steps: Flow) -> Opened | Arrived | None:
        """Carry out steps up to the next one that is for the caller; None at the end."""
        result: Any = None
        error: Exception | None = None
        try:
            while True:
                step = steps.send(result) if error is None else steps.throw(error)
                if isinstance(step, Opened | Arrived):
                    return step
                result, error = self._do(step)
        except StopIteration:
            return None
        except BaseException:
            steps.close()
            self.close()
            raise

    def _do(self, step: Step) -> tuple[Any, Exception | None]:
        left = None if isinstance(step, Close | Finish) else self._left()
        try:
            with self._deadlines.until(self._deadline):
                return self._carry_out(step, left), None
        except httpx2.RequestError as exc:
            # The time may be over for one read, or for all.
            self._left()
            return None, exc

    def _carry_out(self, step: Step, left: float | None) -> Any:
        match step:
            case Receive():
                return self._receive()
            case Send(ask=ask):
                return self._send(ask)
            case ReceiveAll():
                return self._receive_all()
            case Pause(seconds=seconds):
                sleep(seconds if left is None else min(seconds, left))
            case Close():
                self.close()
            case Finish():
                self._finish()
            case _:
                raise AssertionError(f"{step} is for the caller")
        return None

    def _send(self, ask: Ask) -> Answer:
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
                extensions={"trace": self._trace},
            )
            self._response = self._http.send(request, stream=True)
            location = self._response.headers.get("location")
            target = location and redirected(
                ask.method, request.url, self._response.status_code, location
            )
            if not target or hop == defaults.MAX_REDIRECTS:
                break
            self.close()
            url, params = target, None
        assert self._response is not None
        self._pieces = self._response.iter_bytes()
        return head_of(self._response)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.has_spoken = True
        self._deadlines.trace(event, info)

    def _receive(self) -> bytes:
        assert self._pieces is not None
        for piece in self._pieces:
            if piece:
                return piece
        return b""

    def _receive_all(self) -> Answer:
        assert self._response is not None
        body = bytearray()
        while piece := self._receive():
            body += piece
            if len(body) > defaults.MAX_ANSWER_BYTES:
                raise too_much(head_of(self._response))
        answer = head_of(self._response)
        return Answer(answer.status, answer.headers, answer.place, bytes(body))

    def _finish(self) -> None:
        if self._response is not None and self._deadlines.holds_for(self._response):
            soon = monotonic() + defaults.FINISH_SECONDS
            with self._deadlines.until(soon), suppress(httpx2.RequestError):
                while self._receive():
                    pass
        self.close()

    def close(self) -> None:
        response, self._response, self._pieces = self._response, None, None
        if response is not None:
            response.close()

    def _left(self) -> float | None:
        """Return the seconds until the deadline; raise when it has passed."""
        if self._deadline is None:
            return None
        left = self._deadline - monotonic()
        if left <= 0:
            raise too_late(self._timeout)
        return left
