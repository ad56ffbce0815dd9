"""What MCP stands on: JSON-RPC messages, the revisions of the protocol, and what a request's head says beside its body."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias, cast

from dockrion.errors import DockrionError
from dockrion.wires.chat import kind_of

# Those that begin with `initialize`, and those whose every request says all that there is to know.
HANDSHAKE: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN: Final = ("2026-07-28",)
REVISIONS: Final = (*reversed(MODERN), *reversed(HANDSHAKE))
# Of callers who do not say theirs; the one revision that has batches.
ASSUMED: Final = "2025-03-26"

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022

_OF_PROTOCOL: Final = "io.modelcontextprotocol/"
VERSION_KEY: Final = f"{_OF_PROTOCOL}protocolVersion"
CAPABILITIES_KEY: Final = f"{_OF_PROTOCOL}clientCapabilities"
SERVER_KEY: Final = f"{_OF_PROTOCOL}serverInfo"
SUBSCRIPTION_KEY: Final = f"{_OF_PROTOCOL}subscriptionId"

# Whatever names a request is in each of its frames.
MAX_ID_CHARS: Final = 128
# The messages of a batch are answered before anybody else is served, and an answer may be fifty times as long.
MAX_BATCH: Final = 100

RequestId: TypeAlias = str | int


class RpcError(Exception):
    """A request that gets a JSON-RPC error; `status` is that of the answer where the revision has one for it."""

    def __init__(self, code: int, message: str, *, data: Any = None, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.status = status

    def body(self, request_id: RequestId | None) -> dict[str, Any]:
        error = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return {"jsonrpc": "2.0", "id": request_id, "error": error}


class Head(NamedTuple):
    """The headers of a request that MCP knows; `twice` names one that came more than once. `arguments` are those of
    arguments that stand in the head too, without the `Mcp-Param-` before them, in lower case.
    """

    version: str | None = None
    session: str | None = None
    method: str | None = None
    name: str | None = None
    twice: str | None = None
    arguments: Mapping[str, str] = {}


class Request(NamedTuple):
    id: RequestId
    method: str
    params: dict[str, Any]

    @property
    def meta(self) -> dict[str, Any]:
        return _mapping(self.params.get("_meta"))


class Notification(NamedTuple):
    method: str
    params: dict[str, Any]


class Response(NamedTuple):
    """What a client answers to a request of ours; no `result` where it could not."""

    id: RequestId | None
    result: dict[str, Any] | None


Message: TypeAlias = Request | Notification | Response


def message_of(body: Any) -> Message:
    """Read one message; raise `RpcError`."""
    if not isinstance(body, dict):
        raise RpcError(
            INVALID_REQUEST, f"The body must be a JSON-RPC message, not {kind_of(body)}."
        )
    message = cast("dict[str, Any]", body)
    if message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'A message has `"jsonrpc": "2.0"`.')
    request_id = message.get("id")
    if "method" not in message:
        if "result" in message or "error" in message:
            known = request_id if isinstance(request_id, str | int) else None
            return Response(known, _mapping(message.get("result")) or None)
        raise RpcError(INVALID_REQUEST, "A message has a `method`, or it is a response.")
    method, params = message["method"], message.get("params")
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, f"method: must be a string, got {kind_of(method)}")
    if not isinstance(params, dict | None):
        raise RpcError(INVALID_PARAMS, f"params: must be an object, got {kind_of(params)}")
    given = _mapping(params)
    if "id" not in message:
        return Notification(method, given)
    return Request(checked_id(request_id, "id"), method, given)


def checked_id(value: Any, field: str) -> RequestId:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RpcError(
            INVALID_REQUEST, f"{field}: must be a string or an integer, got {kind_of(value)}"
        )
    if len(str(value)) > MAX_ID_CHARS:
        raise RpcError(INVALID_REQUEST, f"{field}: has more than {MAX_ID_CHARS} characters")
    return value


def is_modern(request: Request, head: Head) -> bool:
    """Return whether the request is of a revision without a handshake, which it must be in full then."""
    if request.method == "initialize":
        return False
    return head.version in MODERN or VERSION_KEY in request.meta


def check_modern(request: Request, head: Head) -> None:
    """Raise `RpcError` for a request that does not say what it must, or not the same in head and body."""
    if head.twice is not None:
        raise RpcError(HEADER_MISMATCH, f"{head.twice}: comes more than once")
    meta = request.meta
    for key in (VERSION_KEY, CAPABILITIES_KEY):
        if key not in meta:
            raise RpcError(INVALID_PARAMS, f"params._meta: must have {key}")
    if head.version != meta[VERSION_KEY]:
        raise RpcError(HEADER_MISMATCH, f"MCP-Protocol-Version: must be what {VERSION_KEY} says")
    if head.method != request.method:
        raise RpcError(HEADER_MISMATCH, "Mcp-Method: must be the method of the body")
    if request.method == "tools/call" and plain_header(head.name) != request.params.get("name"):
        raise RpcError(HEADER_MISMATCH, "Mcp-Name: must be the name of the body's tool")
    check_version(head.version)


def check_version(version: str | None) -> None:
    if version is not None and version not in REVISIONS:
        data = {"supported": list(REVISIONS), "requested": version[:80]}
        raise RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)


def asks_in_forms(capabilities: Any) -> bool:
    """Return whether a client can put a question to its user; forms are what it has unless it says otherwise."""
    known = _mapping(capabilities)
    if not isinstance(known.get("elicitation"), dict):
        return False
    kinds = _mapping(known["elicitation"])
    return not kinds or "form" in kinds


def refused(error: DockrionError) -> RpcError:
    """Return a refusal as JSON-RPC has it; what has no code there has that of HTTP, far from those with a meaning."""
    data = {"code": error.code, "details": error.details}
    match error.status:
        case 400:
            details = error.details
            is_no_json = is_json_problem(details)
            code = PARSE_ERROR if is_no_json else INVALID_REQUEST
        case 500:
            code = INTERNAL_ERROR
        case status:
            code = status
    return RpcError(code, error.message, data=data, status=error.status)


def is_json_problem(details: Any) -> bool:
    match details:
        case [{"type": "invalid_json"}]:
            return True
        case _:
            return False


def plain_header(value: str | None) -> str | None:
    """Return the value of a header that may be written in Base64, since headers are ASCII; None for a bad one."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, dict) else {}
