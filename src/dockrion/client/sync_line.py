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
from dockrion.client.cutting import Cutter, cutter_of, opened_socket
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

    def __init__(self, settings: Settings, http: httpx2.Client, timeout: float | None) -> None:
        self._settings = settings
        self._http = http
        self._timeout = settings.timeout if timeout is None else timeout
        self._deadline = settings.deadline(timeout)
        self._response: httpx2.Response | None = None
        self._pieces: Iterator[bytes] | None = None
        self._cutter: Cutter | None = None

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
            return self._carry_out(step, left), None
        except httpx2.RequestError as exc:
            # A connection that was cut in time looks like any other that breaks.
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
                extensions=None if self._deadline is None else {"trace": self._watch},
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
        if (left := self._left()) is not None:
            # The time-outs of httpx2 are for each read.
            self._cut_in(left)
        self._pieces = self._response.iter_bytes()
        return head_of(self._response)

    def _watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Watch over a new connection from its beginning: a head may come byte by byte. Which one is used again, nobody
        tells before its answer.
        """
        sock = opened_socket(event, info)
        if sock is not None and self._deadline is not None:
            self._let_be()
            self._cutter = Cutter(sock, max(0.0, self._deadline - monotonic()))

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
        if self._response is not None and self._cut_in(defaults.FINISH_SECONDS):
            with suppress(httpx2.RequestError):
                while self._receive():
                    pass
        self.close()

    def _cut_in(self, seconds: float) -> bool:
        """Let the answer break off after so many seconds, if it is not closed by then; false where that cannot be."""
        self._let_be()
        assert self._response is not None
        self._cutter = cutter_of(self._response, seconds)
        return self._cutter is not None

    def _let_be(self) -> None:
        cutter, self._cutter = self._cutter, None
        if cutter is not None:
            cutter.let_be()

    def close(self) -> None:
        self._let_be()
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
