"""MCP over Streamable HTTP: what `POST /mcp` takes, and what can be answered without a run.

https://modelcontextprotocol.io/specification/2026-07-28, and the revisions before it that begin with a handshake.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, NamedTuple, cast

import msgspec

from dockrion.errors import DockrionError
from dockrion.spec.fields import is_mapping
from dockrion.wires.base import WireRun
from dockrion.wires.mcp.events import McpWire, Told, responded
from dockrion.wires.mcp.rpc import (
    ASSUMED,
    CAPABILITIES_KEY,
    HANDSHAKE,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    REVISIONS,
    SERVER_KEY,
    SUBSCRIPTION_KEY,
    Head,
    Message,
    Notification,
    Request,
    RequestId,
    Response,
    RpcError,
    asks_in_forms,
    check_modern,
    check_version,
    checked_id,
    is_modern,
    refused,
)
from dockrion.wires.mcp.tool import THREAD_KEY, TOKENS_KEY, Tool

# The first character of a session's id says whether its client can ask its user.
_ASKS: Final = "f"
_ASKS_NOT: Final = "n"
# The first revision whose clients know an event without data.
_PRIMES_SINCE: Final = "2025-11-25"
_TRACE: Final = ("traceparent", "tracestate")
_CAPABILITIES: Final[dict[str, Any]] = {"tools": {}}


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says of itself. `can_be_answered`: runs that wait for answers are kept for them."""

    name: str
    version: str
    can_be_answered: bool

    @property
    def stamp(self) -> dict[str, Any]:
        return {SERVER_KEY: {"name": self.name, "version": self.version}}


class Given(NamedTuple):
    """What a client's user says to questions, by their ids: what is in the form, or None where they would not."""

    run_id: str
    responses: dict[str, Any]


class McpCall(msgspec.Struct, frozen=True, kw_only=True):
    """One `tools/call`: for a new run, or with answers for the one that has asked.

    `session` tells its client from others, where it has had one. `trace`: its place in a trace, as headers have it.
    """

    server: Server
    tool: Tool
    told: Told
    streams: bool
    payload: Any = None
    thread_id: str | None = None
    given: Given | None = None
    session: str | None = None
    trace: dict[str, str] = {}

    @property
    def is_input(self) -> bool:
        return self.given is None

    def response(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the response with a result that needs no run."""
        return responded(self.told, result, self.server.stamp)

    def wire(self, run: WireRun) -> McpWire:
        server = self.server
        return McpWire(
            self.tool,
            run,
            self.told,
            can_be_answered=server.can_be_answered,
            stamp=server.stamp,
            opens=self.is_input,
        )


class Answered(NamedTuple):
    """The body of a request that needs no run; `opens_session` where the client gets one with it."""

    body: dict[str, Any]
    opens_session: str | None = None


class Listened(NamedTuple):
    """The messages of a stream that has nothing to tell."""

    messages: list[dict[str, Any]]


class Cancellation(NamedTuple):
    session: str
    request_id: RequestId


class Ignored(NamedTuple):
    """A message that is taken, and no more."""


class UserAnswer(NamedTuple):
    """What a client answers to a question that came on its stream; `content` None: its user would not."""

    run_id: str
    interrupt_id: str
    content: dict[str, Any] | None


Read = McpCall | Answered | Listened | Cancellation | Ignored | UserAnswer


class Mcp:
    """Reads the messages."""

    path: str = "/mcp"

    def __init__(self, tool: Tool, server: Server) -> None:
        self.tool: Final = tool
        self.server: Final = server

    def read(self, message: Message, head: Head, *, streams: bool) -> Read:
        """Return what a message asks for; raise `RpcError`."""
        match message:
            case Request():
                return self._request(message, head, streams=streams)
            case Notification(method="notifications/cancelled", params=params):
                return _cancellation(params, head)
            case Notification():
                check_version(head.version)
                return Ignored()
            case Response():
                check_version(head.version)
                return _user_answer(message)

    def read_again(self, told: Told, *, streams: bool = True) -> McpCall:
        """Return the call whose stream somebody comes back to."""
        return McpCall(server=self.server, tool=self.tool, told=told, streams=streams)

    def refusal(self, error: DockrionError) -> dict[str, Any]:
        return refused(error).body(None)

    def _request(self, request: Request, head: Head, *, streams: bool) -> Read:
        modern = is_modern(request, head)
        if modern:
            check_modern(request, head)
        if request.method != "initialize":
            check_version(head.version)
        match request.method:
            case "tools/call":
                return self._call(request, head, modern=modern, streams=streams)
            case "tools/list":
                if request.params.get("cursor") is not None:
                    raise RpcError(INVALID_PARAMS, "cursor: there is one page alone")
                result = {"tools": [self.tool.listing], **(_FRESH if modern else {})}
            case "initialize" if not modern:
                return self._initialize(request)
            case "ping" if not modern:
                result = {}
            case "server/discover" if modern:
                result = {
                    "supportedVersions": list(REVISIONS),
                    "capabilities": _CAPABILITIES,
                    **_FRESH,
                }
            case "subscriptions/listen" if modern:
                return self._listen(request)
            case method:
                known = f"There is no method {method[:80]!r} here."
                raise RpcError(METHOD_NOT_FOUND, known, status=404)
        return Answered(self._response(request.id, result, modern=modern))

    def _call(self, request: Request, head: Head, *, modern: bool, streams: bool) -> McpCall:
        params, meta = request.params, request.meta
        if modern:
            self.tool.check_head(params, head)
        token = meta.get("progressToken")
        asks = (
            asks_in_forms(meta[CAPABILITIES_KEY])
            if modern
            else head.session is not None and head.session.startswith(_ASKS)
        )
        told = Told(
            request_id=request.id,
            progress_token=None if token is None else checked_id(token, "progressToken"),
            tokens=meta.get(TOKENS_KEY) is True,
            asks=asks,
            modern=modern,
            primes=(head.version or ASSUMED) >= _PRIMES_SINCE,
        )
        payload = self.tool.payload(params)
        given = _given(params) if modern else None
        thread_id = meta.get(THREAD_KEY)
        if thread_id is not None and not isinstance(thread_id, str):
            raise RpcError(INVALID_PARAMS, f"_meta.{THREAD_KEY}: must be a string")
        return McpCall(
            server=self.server,
            tool=self.tool,
            told=told,
            streams=streams,
            payload=payload if given is None else given.responses,
            thread_id=thread_id,
            given=given,
            session=None if modern else head.session,
            trace=_trace_in(meta),
        )

    def _initialize(self, request: Request) -> Answered:
        wanted = request.params.get("protocolVersion")
        result = {
            "protocolVersion": wanted if wanted in HANDSHAKE else HANDSHAKE[-1],
            "capabilities": _CAPABILITIES,
            "serverInfo": self.server.stamp[SERVER_KEY],
        }
        asks = asks_in_forms(request.params.get("capabilities"))
        body = self._response(request.id, result, modern=False)
        return Answered(body, opens_session=_ASKS if asks else _ASKS_NOT)

    def _listen(self, request: Request) -> Listened:
        """Nothing here changes while the server runs, so the stream says so and ends."""
        meta = {SUBSCRIPTION_KEY: request.id}
        acknowledged = {
            "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged",
            "params": {"_meta": meta, "notifications": {}},
        }
        ended = self._response(request.id, {"_meta": meta}, modern=True)
        return Listened([acknowledged, ended])

    def _response(
        self, request_id: RequestId, result: dict[str, Any], *, modern: bool
    ) -> dict[str, Any]:
        return responded(Told(request_id, modern=modern), result, self.server.stamp)


def run_name(owner: str, session: str, request_id: RequestId) -> str:
    """Return the id of the run of a request, which its client knows by session and id alone: a client counts from one,
    and many have one key. Whoever has the same three finds the run, in any process.
    """
    named = msgspec.json.encode([owner, session, request_id])
    return f"mcp-{sha256(named).hexdigest()[:32]}"


def _cancellation(params: dict[str, Any], head: Head) -> Cancellation | Ignored:
    """Without a session an id may be that of anybody's request."""
    request_id = params.get("requestId")
    if head.session is None or isinstance(request_id, bool):
        return Ignored()
    if not isinstance(request_id, str | int):
        return Ignored()
    return Cancellation(head.session, request_id)


def _user_answer(response: Response) -> UserAnswer | Ignored:
    run_id, colon, interrupt_id = str(response.id).partition(":")
    if not (isinstance(response.id, str) and colon and run_id and interrupt_id):
        return Ignored()
    return UserAnswer(run_id, interrupt_id, _content(response.result))


def _trace_in(meta: dict[str, Any]) -> dict[str, str]:
    given = {name: meta.get(name) for name in _TRACE}
    return {
        name: value
        for name, value in given.items()
        if isinstance(value, str) and value.isascii() and value.isprintable()
    }


def _given(params: dict[str, Any]) -> Given | None:
    state, responses = params.get("requestState"), params.get("inputResponses")
    if state is None and responses is None:
        return None
    if not isinstance(state, str):
        raise RpcError(INVALID_PARAMS, "requestState: must be what the server has sent")
    given: Any = {} if responses is None else responses
    if not isinstance(given, dict):
        raise RpcError(INVALID_PARAMS, "inputResponses: must be an object")
    answers = cast("dict[str, Any]", given)
    return Given(state, {interrupt_id: _content(one) for interrupt_id, one in answers.items()})


def _content(response: Any) -> dict[str, Any] | None:
    match response:
        case {"action": "accept"}:
            content: Any = cast("dict[str, Any]", response).get("content")
            return content if is_mapping(content) else {}
        case _:
            return None


# How long what is listed holds: it is that of the Dockfile, which the next start may have changed.
_FRESH: Final[dict[str, Any]] = {"ttlMs": 0, "cacheScope": "private"}
