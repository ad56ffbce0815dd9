"""One URL of an identity provider that answers in JSON: within bounds, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx2
import msgspec

from dockrion.errors import ValidationError

# A caller who waits for it is to have an answer within five seconds.
TIMEOUT_SECONDS: Final = 4.0
MAX_ANSWER_BYTES: Final = 1 << 20
MAX_CONNECTIONS: Final = 100
KEEP_CONNECTION_SECONDS: Final = 2.0


class NoAnswerError(Exception):
    """There is no answer that counts; the text says why, without anything that was sent or came back."""


class Endpoint:
    """Follows no redirect, so nobody but the host in the Dockfile is ever asked or believed.

    What is to be closed is made by `start`; one that is made only to see whether it can be holds nothing.
    """

    def __init__(self, url: str, *, field: str, timeout: float = TIMEOUT_SECONDS) -> None:
        try:
            whole = httpx2.URL(url)
        except httpx2.InvalidURL as exc:
            raise ValidationError(f"{field}: is not a URL: {exc}") from exc
        # The client logs the address of each request.
        self._url = whole.copy_with(username=None, password=None)
        self._login = httpx2.BasicAuth(whole.username, whole.password) if whole.userinfo else None
        self._timeout = timeout
        self._client: httpx2.AsyncClient | None = None

    def start(self) -> None:
        if self._client is None:
            self._client = self._new_client()

    def _new_client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            # Uncompressed, so that the size of what comes is the size of what is read.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=self._timeout,
            limits=httpx2.Limits(
                max_connections=MAX_CONNECTIONS,
                # Shorter than servers keep them: one that is just being closed answers nothing.
                keepalive_expiry=KEEP_CONNECTION_SECONDS,
            ),
        )

    async def get(self) -> Any:
        return await self._ask("GET", auth=self._login)

    async def post(self, form: Mapping[str, str], *, headers: Mapping[str, str]) -> Any:
        auth = None if "Authorization" in headers else self._login
        return await self._ask("POST", data=dict(form), headers=dict(headers), auth=auth)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, method: str, **sent: Any) -> Any:
        try:
            # The client's own limit is for each step of a request, and a slow host has many.
            async with asyncio.timeout(self._timeout):
                body = await self._body(method, **sent)
        except TimeoutError:
            raise NoAnswerError(f"no answer within {self._timeout:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
            raise NoAnswerError(_reason(exc)) from None
        try:
            return msgspec.json.decode(body)
        except (msgspec.MsgspecError, RecursionError):
            raise NoAnswerError("the answer is not JSON") from None

    async def _body(self, method: str, **sent: Any) -> bytes:
        assert self._client is not None, "start comes before the first question"
        body = bytearray()
        async with self._client.stream(method, self._url, **sent) as response:
            if response.status_code != 200:
                raise NoAnswerError(f"the answer has status {response.status_code}")
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise NoAnswerError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        return bytes(body)


def _reason(exc: Exception) -> str:
    # Only errors of the network have texts that cannot quote what was sent.
    if isinstance(exc, httpx2.NetworkError | OSError):
        return f"{type(exc).__name__}: {exc}"
    return type(exc).__name__
