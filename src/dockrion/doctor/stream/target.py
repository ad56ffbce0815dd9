"""The deployed agent that is probed: its address, and what a caller sends to it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import httpx2

from dockrion.doctor.base import Finding
from dockrion.errors import ValidationError
from dockrion.spec.fields import is_mapping

# What people copy out of a browser or a curl line, instead of where the agent is.
_ENDPOINTS: Final = (
    "/invoke/stream",
    "/invoke",
    "/health",
    "/ready",
    "/docs",
    "/redoc",
    "/info",
    "/schema",
    "/runs",
)
# The names of what is looked at; programs know them from `--json`.
StreamCheck = Literal[
    "server",
    "TLS",
    "redirect",
    "path",
    "auth",
    "post",
    "last-event-id",
    "cors",
    "body size",
    "http",
    "payload",
    "stream",
    "compression",
    "buffering",
    "idle",
    "headers",
    "agent",
]
Found = list[tuple[StreamCheck, Finding]]

USER_AGENT: Final = "dockrion-doctor"


@dataclass(frozen=True)
class Target:
    """`url` has no slash at its end; `credentials` are the headers that prove who calls."""

    url: httpx2.URL
    credentials: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def prefix(self) -> str:
        """The path below which a proxy serves the agent, or nothing."""
        return self.url.path.rstrip("/")

    @property
    def is_local(self) -> bool:
        return self.url.host in ("localhost", "127.0.0.1", "::1")

    def at(self, path: str) -> httpx2.URL:
        return self.url.copy_with(path=f"{self.prefix}{path}")

    def __str__(self) -> str:
        return str(self.url).rstrip("/")


def target_of(url: str) -> Target:
    """Raise `ValidationError` for what is no address of a server."""
    try:
        whole = httpx2.URL(url if "://" in url else f"http://{url}")
    except httpx2.InvalidURL as exc:
        raise _no_url(f"{url!r} is no URL: {exc}") from exc
    if whole.scheme not in ("http", "https") or not whole.host:
        raise _no_url(f"{url!r} is no URL of a server")
    path = whole.path.rstrip("/")
    path = next((path.removesuffix(end) for end in _ENDPOINTS if path.endswith(end)), path)
    return Target(whole.copy_with(path=path or "/", query=None, fragment=None))


def _no_url(message: str) -> ValidationError:
    error = ValidationError(message)
    error.add_note("give the address that callers use, such as https://agents.example.com/speller")
    return error


def unknown_event() -> str:
    """Return a `Last-Event-ID` that is sound and that no server has: a request with it never starts a run."""
    return f"doctor-{secrets.token_hex(8)}:0"


def json_of(response: httpx2.Response | None) -> Mapping[str, Any]:
    """Return the object of a JSON answer; an empty one for everything else."""
    if response is None:
        return {}
    try:
        data: Any = response.json()
    except ValueError:
        return {}
    return data if is_mapping(data) else {}


def code_of(response: httpx2.Response) -> str | None:
    """Return the code of an error that dockrion itself answers with; None where the answer is somebody else's."""
    code = _error_of(response).get("code")
    return code if isinstance(code, str) else None


def message_of(response: httpx2.Response) -> str:
    fields = _error_of(response)
    said = fields.get("message", fields.get("error"))
    return said if isinstance(said, str) else ""


def _error_of(response: httpx2.Response) -> Mapping[str, Any]:
    data = json_of(response)
    detail = data.get("detail")
    if is_mapping(detail):
        return detail
    return data if data.get("success") is False else {}


def described(response: httpx2.Response) -> str:
    """Say what an answer is that dockrion has not given."""
    kind = response.headers.get("content-type", "no content type").partition(";")[0]
    server = response.headers.get("server")
    return f"{response.status_code}, {kind}{f', from {server}' if server else ''}"
