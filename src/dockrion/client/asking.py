"""What a client asks: one `Ask` for each request of the contract, and where it goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx2
import msgspec

from dockrion.errors import ValidationError
from dockrion.events.ids import RUN_ID, SEQUENCE
from dockrion.events.jsonable import encode

# What may stand behind the URL of an agent, where somebody gives that of a request.
_ENDINGS: Final = ("/invoke/stream", "/invoke", "/runs")
_RUN_ID: Final = re.compile(RUN_ID)
_EVENT_ID: Final = re.compile(f"({RUN_ID}):({SEQUENCE})")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `is_safe`: sending it twice does no more than once. `is_slow`: no answer comes before a run is over."""

    method: str
    path: str
    params: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes | None = None
    is_safe: bool = False
    is_slow: bool = False


def agent_url(url: str) -> httpx2.URL:
    """Return the URL that all paths are below. Raises `ValidationError`."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError, ValueError) as exc:
        raise ValidationError(f"url: it cannot be read: {exc}") from exc
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValidationError(
            f"url: must begin with http:// or https:// and a host, got {without_user(parsed)!r}"
        )
    if parsed.query or parsed.fragment:
        raise ValidationError(f"url: must end with its path, got {without_user(parsed)!r}")
    path = parsed.path.rstrip("/")
    for ending in _ENDINGS:
        path = path.removesuffix(ending)
    return parsed.copy_with(path=path)


def without_user(url: httpx2.URL) -> str:
    """Return it for messages."""
    return str(url.copy_with(username=None, password=None)) if url.userinfo else str(url)


def redirected(method: str, url: httpx2.URL, status: int, location: str) -> httpx2.URL | None:
    """Return where to ask the same again, with the same headers; None where that would give them to somebody else.

    301 and 302 make a GET of a POST, by custom.
    """
    if status not in (307, 308) and not (status in (301, 302) and method in ("GET", "HEAD")):
        return None
    try:
        target = url.join(location)
    except httpx2.InvalidURL:
        return None
    is_same = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
    is_upgrade = (
        (url.scheme, target.scheme) == ("http", "https")
        and target.host == url.host
        and url.port is None
        and target.port is None
    )
    return target if is_same or is_upgrade else None


def credentials(
    *,
    api_key: str | None,
    api_key_header: str,
    token: str | None,
    headers: Mapping[str, str] | None,
) -> list[tuple[bytes, bytes]]:
    """Return the headers that each request carries; no message shows a value."""
    if not _HEADER_NAME.fullmatch(api_key_header):
        raise ValidationError(f"api_key_header: must be a header's name, got {api_key_header!r}")
    given = dict(headers or {})
    if api_key is not None:
        given[api_key_header] = _secret("api_key", api_key)
    if token is not None:
        given["Authorization"] = f"Bearer {_secret('token', token)}"
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValidationError(f"headers: must have names of HTTP headers, got {name!r}")
        if _CONTROL.search(value):
            raise ValidationError(f"headers: the value of {name} has control characters")
    return [(name.encode(), value.encode()) for name, value in given.items()]


def event_place(event_id: str) -> tuple[str, int]:
    """Return run id and sequence of an event's id."""
    found = _EVENT_ID.fullmatch(event_id)
    if found is None:
        raise ValidationError(f"last_event_id: must be <run_id>:<sequence>, got {event_id!r}")
    return found[1], int(found[2])


def run_path(run_id: str, part: str = "") -> str:
    if not _RUN_ID.fullmatch(run_id):
        raise ValidationError(
            f"run_id: must be 1 to 128 letters, digits, `-` or `_`, a letter or digit first, got {run_id!r}"
        )
    return f"/runs/{quote(run_id)}{part}"


def payload_ask(
    path: str,
    payload: Any,
    *,
    run_id: str | None = None,
    thread_id: str | None = None,
    idempotency_key: str | None = None,
) -> Ask:
    """Ask for a run; one with an `idempotency_key` may be asked for twice."""
    params: dict[str, str] = {}
    if run_id is not None:
        params["run_id"] = run_id
    if thread_id is not None:
        params["thread_id"] = thread_id
    headers = {"Content-Type": "application/json"}
    if idempotency_key is not None:
        if not idempotency_key or _CONTROL.search(idempotency_key):
            raise ValidationError("idempotency_key: must be 1 to 255 printable characters")
        headers["Idempotency-Key"] = idempotency_key
    return Ask(
        method="POST",
        path=path,
        params=params,
        headers=headers,
        body=encode(payload),
        is_safe=idempotency_key is not None,
        is_slow=path == "/invoke",
    )


def resume_ask(run_id: str, answer: Any, *, interrupt_id: str | None = None) -> Ask:
    body = answer if interrupt_id is None else {interrupt_id: answer}
    return Ask(
        method="POST",
        path=run_path(run_id, "/resume"),
        headers={"Content-Type": "application/json"},
        body=encode(body),
    )


def list_ask(*, status: str | None, limit: int | None, cursor: str | None) -> Ask:
    given = {"status": status, "limit": limit, "cursor": cursor}
    params = {name: str(value) for name, value in given.items() if value is not None}
    return Ask(method="GET", path="/runs", params=params, is_safe=True)


def get_ask(run_id: str) -> Ask:
    return Ask(method="GET", path=run_path(run_id), is_safe=True)


def cancel_ask(run_id: str, *, reason: str | None) -> Ask:
    params = {} if reason is None else {"reason": reason}
    return Ask(method="DELETE", path=run_path(run_id), params=params, is_safe=True)


def _secret(name: str, value: str) -> str:
    if not value or _CONTROL.search(value):
        raise ValidationError(f"{name}: must be printable characters, at least one")
    return value
