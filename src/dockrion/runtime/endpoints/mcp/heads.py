"""The head of a request of MCP: who sends it, in which revision, and after which event of a stream."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from dockrion.errors import ValidationError
from dockrion.events.ids import EVENT_ID, RUN_ID
from dockrion.runtime.asgi import RPC_ID_KEY, Scope
from dockrion.runtime.requests import Request, shown, text_of
from dockrion.spec import DockSpec
from dockrion.wires.mcp.events import Told
from dockrion.wires.mcp.requests import McpCall
from dockrion.wires.mcp.rpc import Head, RequestId

# An event's id, and how the call is told: who comes back with it sends no body.
# In front of the first event it is that of none.
_CURSOR: Final = re.compile(rf"({EVENT_ID}|{RUN_ID}:-1):([A-Za-z0-9_-]{{1,1024}})")
_LAST_EVENT: Final = b"last-event-id"
_VERSION: Final = b"mcp-protocol-version"
_SESSION: Final = b"mcp-session-id"
_METHOD: Final = b"mcp-method"
_NAME: Final = b"mcp-name"
_ARGUMENT: Final = b"mcp-param-"
# What stands between client and server may route by one of two, and we by the other.
_ONCE: Final = frozenset({_VERSION, _METHOD, _NAME})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Cursor(NamedTuple):
    run_id: str
    sequence: int
    told: Told


class McpRequest(Request):
    """`message_id` is that of its message, `call` what it calls, once that is known; `run_name` is what its run is known
    by to a client that cancels it. `others` are the answers of the batch that it is in.
    """

    __slots__ = ("call", "others", "run_name")

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.call: McpCall | None = None
        self.run_name: str | None = None
        self.others: list[Any] | None = None

    @property
    def message_id(self) -> RequestId | None:
        return self.scope.get(RPC_ID_KEY)

    @message_id.setter
    def message_id(self, message_id: RequestId | None) -> None:
        self.scope[RPC_ID_KEY] = message_id

    def head(self) -> Head:
        seen: set[bytes] = set()
        arguments: dict[str, str] = {}
        twice: str | None = None
        for name, value in self.scope["headers"]:
            is_argument = name.startswith(_ARGUMENT)
            if name in seen and (is_argument or name in _ONCE):
                twice = name.decode("latin-1")
            if is_argument:
                arguments[name[len(_ARGUMENT) :].decode("latin-1")] = text_of(value)
            seen.add(name)
        return Head(
            version=self._text(_VERSION),
            session=self._text(_SESSION),
            method=self._text(_METHOD),
            name=self._text(_NAME),
            twice=twice,
            arguments=arguments,
        )

    def _text(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else text_of(value)

    @property
    def takes_stream(self) -> bool:
        return b"text/event-stream" in self.headers.get(b"accept", b"").lower()

    @property
    def comes_back(self) -> bool:
        return _LAST_EVENT in self.headers

    def cursor(self) -> Cursor:
        """Return where a client comes back to; raise `ValidationError`."""
        text = text_of(self.headers[_LAST_EVENT])
        found = _CURSOR.fullmatch(text)
        told = None if found is None else Told.read(found[2])
        if found is None or told is None:
            raise ValidationError(
                f"Last-Event-ID: must be the id of an event of this path, got {shown(text)}"
            )
        run_id, _, sequence = found[1].partition(":")
        return Cursor(run_id, int(sequence), told)


def origin_check(spec: DockSpec) -> Callable[[Request], bool]:
    """Return whether a page of that origin may call, as `expose.cors` says.

    Where it says nothing and nobody needs a key, only pages of this machine may: on others, a name that an attacker lets
    lead to this server would open it to any page.
    """
    origins = spec.expose.cors.origins
    is_said = "origins" in spec.expose.cors.model_fields_set
    takes_all = "*" in origins and (is_said or not spec.is_open)

    def may(request: Request) -> bool:
        origin = request.headers.get(b"origin")
        if origin is None or takes_all:
            return True
        text = text_of(origin)
        if "*" not in origins:
            return text in origins
        try:
            return urlsplit(text).hostname in _LOOPBACK
        except ValueError:
            return False

    return may
