"""A2A over JSON-RPC 2.0: requests as they come in, and errors as they go out. https://a2a-protocol.org"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final, NamedTuple, cast

from dockrion.errors import DockrionError, ValidationError, status_for
from dockrion.wires.chat import kind_of

# A program of one generation knows none of the other's methods.
_LEGACY_SEPARATOR: Final = "/"
# With a patch number or without. Who speaks a later one is told so, and may try again with one of ours.
_VERSIONS: Final = re.compile(r"1|(1\.0|0\.3)(\.\d+)?")
# An id is said again in each frame.
_MAX_ID_CHARS: Final = 256
_DOMAIN: Final = "a2a-protocol.org"
# Of what A2A has no reason for: those are our codes.
_OWN_DOMAIN: Final = "dockrion"
_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
_BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"
# What programs between a client and this server look at, and what both kinds of clients know without a body. All else is
# answered with 200: a widely used client looks at the body of no other status.
_HTTP_STATUSES: Final = frozenset({401, 403, 405, 413, 415, 429, 503})

RpcId = str | int | float | None


class Kind(Enum):
    """What can be wrong, as JSON-RPC and A2A number it and name it."""

    NOT_FOUND = (-32001, "TASK_NOT_FOUND")
    NOT_CANCELABLE = (-32002, "TASK_NOT_CANCELABLE")
    NO_PUSH = (-32003, "PUSH_NOTIFICATION_NOT_SUPPORTED")
    UNSUPPORTED = (-32004, "UNSUPPORTED_OPERATION")
    CONTENT_TYPE = (-32005, "CONTENT_TYPE_NOT_SUPPORTED")
    VERSION = (-32009, "VERSION_NOT_SUPPORTED")
    NOT_JSON = (-32700, "PARSE_ERROR")
    REQUEST = (-32600, "INVALID_REQUEST")
    METHOD = (-32601, "METHOD_NOT_FOUND")
    PARAMS = (-32602, "INVALID_PARAMS")
    INTERNAL = (-32603, "INTERNAL_ERROR")
    # Of the server, and none of A2A's: who calls, how often, whether it can now.
    SERVER = (-32000, "SERVER_ERROR")


_KINDS: Final = {
    "VALIDATION_ERROR": Kind.PARAMS,
    "POLICY_VIOLATION": Kind.PARAMS,
    "NOT_FOUND": Kind.NOT_FOUND,
    "GONE": Kind.NOT_FOUND,
    "CONFLICT": Kind.UNSUPPORTED,
    "PAYLOAD_TOO_LARGE": Kind.REQUEST,
    "UNSUPPORTED_MEDIA_TYPE": Kind.CONTENT_TYPE,
    "METHOD_NOT_ALLOWED": Kind.REQUEST,
    "INTERNAL_ERROR": Kind.INTERNAL,
}


class RefusedError(ValidationError):
    """A request that A2A has an error of its own for; `code` where ours says more than that it is wrong."""

    def __init__(self, kind: Kind, message: str, *, code: str = ValidationError.code) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.status = status_for(code)


class RpcRequest(NamedTuple):
    """One call. `legacy`: in the words of A2A 0.3."""

    id: RpcId
    method: str
    params: dict[str, Any]

    @property
    def legacy(self) -> bool:
        return _LEGACY_SEPARATOR in self.method


def id_of(body: Any) -> RpcId:
    """Return the id of what may be a request, for its answer; None where there is none that could be said again."""
    given: Any = cast("dict[str, Any]", body).get("id") if isinstance(body, dict) else None
    if isinstance(given, str):
        return given if len(given) <= _MAX_ID_CHARS else None
    return given if isinstance(given, int | float) and not isinstance(given, bool) else None


def read_rpc(body: Any) -> RpcRequest:
    """Check what JSON-RPC asks of a request; raise `RefusedError`."""
    if isinstance(body, list):
        raise RefusedError(Kind.REQUEST, "Batches are not supported; send one request at a time.")
    if not isinstance(body, dict):
        raise RefusedError(
            Kind.REQUEST, f"The body must be a JSON-RPC request, got {kind_of(body)}."
        )
    given = cast("dict[str, Any]", body)
    if given.get("jsonrpc") != "2.0":
        raise RefusedError(Kind.REQUEST, 'jsonrpc: must be "2.0"')
    if given.get("id") is not None and id_of(given) is None:
        says = f"id: must be a number, or a string of at most {_MAX_ID_CHARS} characters"
        raise RefusedError(Kind.REQUEST, says)
    method: Any = given.get("method")
    if not isinstance(method, str) or not method:
        raise RefusedError(Kind.REQUEST, f"method: must be a string, got {kind_of(method)}")
    params: Any = given.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise RefusedError(Kind.PARAMS, f"params: must be an object, got {kind_of(params)}")
    return RpcRequest(id_of(given), method, cast("dict[str, Any]", params))


def check_version(header: str | None) -> None:
    """Raise `RefusedError` for an `A2A-Version` that is not spoken here; without one, the method tells."""
    version = (header or "").strip()
    if version and not _VERSIONS.fullmatch(version):
        says = f"A2A-Version: this server speaks 1.0 and 0.3, not {version[:20]!r}"
        raise RefusedError(Kind.VERSION, says)


def kind_of_error(error: DockrionError) -> Kind:
    if isinstance(error, RefusedError):
        return error.kind
    if error.code == "VALIDATION_ERROR" and _is_no_json(error.details):
        return Kind.NOT_JSON
    return _KINDS.get(error.code, Kind.SERVER)


def http_status(error: DockrionError) -> int:
    """Return the status of an error's answer."""
    return error.status if error.status in _HTTP_STATUSES else 200


def error_answer(rpc_id: RpcId, error: DockrionError) -> dict[str, Any]:
    """Return the answer that an error is; its `data` has our code beside the reason of A2A."""
    kind = kind_of_error(error)
    number, reason = kind.value
    domain = _DOMAIN
    if kind is Kind.SERVER:
        reason, domain = error.code, _OWN_DOMAIN
    info: dict[str, Any] = {
        "@type": _INFO,
        "reason": reason,
        "domain": domain,
        "metadata": {"code": error.code},
    }
    data = [info]
    violations = list(_violations(error.details))
    if violations:
        data.append({"@type": _BAD_REQUEST, "fieldViolations": violations})
    body = {"code": number, "message": error.message, "data": data}
    return {"jsonrpc": "2.0", "id": rpc_id, "error": body}


def _is_no_json(details: Any) -> bool:
    match details:
        case [{"type": "invalid_json"}]:
            return True
        case _:
            return False


def _violations(details: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for one in cast("list[Any]", details) if isinstance(details, list) else []:
        match one:
            case {"pointer": str(pointer), "message": str(message)}:
                found.append({"field": pointer, "description": message})
            case _:
                pass
    return found
