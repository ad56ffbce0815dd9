"""Where a caller has reached the app, for documents that name their own server."""

from __future__ import annotations

import re
from typing import Final

from dockrion.runtime.requests import Request

_SCHEME: Final = re.compile(r"https?")
_HOST: Final = re.compile(
    r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?"
)


def base_url(request: Request) -> str:
    """Return where the caller has reached the app, with the prefix that a proxy may have taken off.

    Whoever writes `X-Forwarded-*` themselves is told what they wrote, and nobody else is.
    """
    scope = request.scope
    scheme = _forwarded(request, b"x-forwarded-proto", _SCHEME) or scope.get("scheme", "http")
    host = _forwarded(request, b"x-forwarded-host", _HOST) or _forwarded(request, b"host", _HOST)
    if host is None:
        name, port = scope.get("server") or ("localhost", None)
        host = name if port is None else f"{name}:{port}"
    root: str = scope.get("root_path", "")
    return f"{scheme}://{host}{root.rstrip('/')}"


def _forwarded(request: Request, name: bytes, pattern: re.Pattern[str]) -> str | None:
    """Return what the first proxy has said, which is the one that the caller has reached."""
    value = request.headers.get(name, b"").decode("latin-1").partition(",")[0].strip()
    return value if pattern.fullmatch(value) else None
