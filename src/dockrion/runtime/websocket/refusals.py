"""What becomes of messages that are not done: each is refused with an answer of its own, and counted or logged."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from dockrion.runtime.asgi import REQUEST_ID_KEY, Scope
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import Request, new_request_id
from dockrion.runtime.traffic import SOCKET_PATH
from dockrion.runtime.unforeseen import told
from dockrion.runtime.websocket import messages
from dockrion.runtime.websocket.line import Line
from dockrion.runtime.websocket.messages import (
    AnswerMessage,
    Asked,
    CancelMessage,
    FollowMessage,
    RunMessage,
    UnfollowMessage,
)


class Counts(Enum):
    """Where a refusal shows beside its answer. What would be no invocation as a request is none here."""

    AS_CALL = auto()
    IN_LOG = auto()
    ALREADY = auto()


class CallRequest(Request):
    """What one message is as a request: the head is that of the handshake, the id its own."""

    __slots__ = ()

    def __init__(self, scope: Scope) -> None:
        super().__init__({**scope, "method": "GET", REQUEST_ID_KEY: new_request_id()})


class Refusals:
    """Those of one connection."""

    def __init__(self, host: AgentHost, line: Line) -> None:
        self._traffic: Final = host.traffic
        self._line: Final = line

    async def of_message(self, exc: Exception, asked: Asked, request: Request) -> None:
        """Refuse a message with what its work has raised; what runs the agent has been counted by its own call."""
        is_call = isinstance(asked, RunMessage | AnswerMessage)
        counts = Counts.ALREADY if is_call else _counts_of(asked)
        run_id = None if isinstance(asked, RunMessage) else getattr(asked, "run_id", None)
        await self.refuse(exc, request, counts, asked_id=asked.id, run_id=run_id)

    async def before_work(self, exc: Exception, asked: Asked, request: Request) -> None:
        await self.refuse(exc, request, _counts_of(asked), asked_id=asked.id)

    async def refuse(
        self,
        exc: Exception,
        request: Request,
        counts: Counts,
        *,
        asked_id: str | None = None,
        run_id: str | None = None,
    ) -> None:
        """Say what an answer with that error would have said. Raises what the line does."""
        if self._line.is_dropped:
            # The caller has gone, which may be all that is wrong.
            return
        error = told(exc, request.scope, run_id=run_id)
        if counts is Counts.AS_CALL:
            with self._traffic.begin(SOCKET_PATH, request) as call:
                call.refused(error)
        elif counts is Counts.IN_LOG:
            self._traffic.refused(SOCKET_PATH, request, error)
        await self._line.say(
            messages.refused(asked_id, error, request_id=request.request_id, run_id=run_id)
        )


def _counts_of(asked: Asked) -> Counts:
    looks = isinstance(asked, FollowMessage | UnfollowMessage | CancelMessage)
    return Counts.IN_LOG if looks else Counts.AS_CALL
