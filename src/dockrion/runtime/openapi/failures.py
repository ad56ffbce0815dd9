"""The errors of an operation: their two shapes, and which code comes with which status."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from dockrion.errors import AuthError, DockrionError, RateLimitError
from dockrion.runtime.openapi.agent import reference

ERROR_SCHEMAS: Final[dict[str, Any]] = {
    "Error": {
        "type": "object",
        "properties": {
            "success": {"const": False},
            "error": {"type": "string", "description": "What was wrong, as a sentence."},
            "code": {"type": "string", "description": "For programs; never changes."},
            "details": {"description": "More about it, or null."},
        },
        "required": ["success", "error", "code", "details"],
    },
    "AuthError": {
        "type": "object",
        "properties": {
            "detail": {
                "type": "object",
                "properties": {"message": {"type": "string"}, "code": {"type": "string"}},
                "required": ["message", "code"],
            }
        },
        "required": ["detail"],
    },
    "Problem": {
        "type": "object",
        "description": "One thing that is wrong with a payload.",
        "properties": {
            "pointer": {"type": "string", "description": "JSON Pointer to the value."},
            "message": {"type": "string"},
            "type": {"type": "string", "description": "The rule that it breaks; `invalid_json`."},
        },
        "required": ["pointer", "message", "type"],
    },
}

_PROBLEMS_OR_NULL: Final = {"type": ["array", "null"], "items": reference("Problem")}
_RATE_LIMIT: Final = {
    f"RateLimit-{name}": {"$ref": f"#/components/headers/RateLimit{name}"}
    for name in ("Limit", "Remaining", "Reset")
}
_RETRY_AFTER: Final = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}


def failures(errors: Iterable[type[DockrionError]], *, schema: str | None = None) -> dict[str, Any]:
    """Return the responses for these errors, one for each status; all in the shape of `schema`, where it is given."""
    by_status: dict[int, list[type[DockrionError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    return {
        str(status): _response(status, by_status[status], schema) for status in sorted(by_status)
    }


def _response(status: int, errors: list[type[DockrionError]], named: str | None) -> dict[str, Any]:
    codes = sorted({error.code for error in errors})
    if named is not None:
        schema = reference(named)
    elif issubclass(errors[0], AuthError | RateLimitError):
        shape = {"properties": {"detail": {"properties": {"code": {"enum": codes}}}}}
        schema = {"allOf": [reference("AuthError"), shape]}
    else:
        fields: dict[str, Any] = {"code": {"enum": codes}}
        if "VALIDATION_ERROR" in codes:
            fields["details"] = _PROBLEMS_OR_NULL
        schema = {"allOf": [reference("Error"), {"properties": fields}]}
    response: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}",
        "content": {"application/json": {"schema": schema}},
    }
    if status in (429, 503):
        response["headers"] = dict(_RETRY_AFTER)
    if RateLimitError in errors:
        response["headers"] |= _RATE_LIMIT
    return response
