"""How the document says that callers must prove who they are."""

from __future__ import annotations

from typing import Any, Final

from dockrion.errors import (
    AuthError,
    DockrionError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
)
from dockrion.runtime.openapi.document import OPEN, Security
from dockrion.spec import DockSpec
from dockrion.spec.auth import AuthSpec

# Of what `auth.protect` may close, the pages are not in the document.
_PARTS: Final = {"metrics": "/metrics", "info": "/info", "schema": "/schema"}
_ERRORS: Final[tuple[type[DockrionError], ...]] = (
    AuthError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
)


def security_of(spec: DockSpec) -> Security:
    auth = spec.auth
    if auth is None or auth.is_open:
        return OPEN
    also = frozenset(_PARTS[part] for part in auth.protect if part in _PARTS)
    return Security(_schemes(auth), _ERRORS, also)


def _schemes(auth: AuthSpec) -> dict[str, Any]:
    schemes: dict[str, Any] = {}
    if auth.mode == "api_key":
        schemes["APIKeyHeader"] = {"type": "apiKey", "in": "header", "name": auth.api_keys.header}
    if auth.bearer:
        schemes["BearerAuth"] = {"type": "http", "scheme": "bearer"}
        if auth.mode == "jwt":
            schemes["BearerAuth"]["bearerFormat"] = "JWT"
    return schemes
