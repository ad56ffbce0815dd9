"""An app in memory as the network of an `AsyncClient`: streams come as they are sent, and leaving one is a disconnect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2

from dockrion.testing.exchange import Exchange, request


class AppTransport(httpx2.AsyncBaseTransport):
    """For a client of the same event loop; the app's lifespan is the test's (`running`).

    httpx2's own `ASGITransport` gives out an answer when it is over.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        stack = AsyncExitStack()
        exchange = await stack.enter_async_context(_exchange(self._app, request))
        await exchange.head()
        if exchange.status == 0:
            # Raises what the app did.
            await stack.aclose()
            raise httpx2.ReadError("the app answered nothing", request=request)
        body = _Body(exchange, stack)
        return httpx2.Response(exchange.status, headers=exchange.raw_headers, stream=body)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, exchange: Exchange, stack: AsyncExitStack) -> None:
        self._exchange = exchange
        self._stack = stack

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._exchange.receive():
            yield chunk

    async def aclose(self) -> None:
        await self._stack.aclose()


def _exchange(app: Any, sent: httpx2.Request) -> Any:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent.headers.raw}
    path = sent.url.raw_path.decode("ascii")
    return request(app, sent.method, path, body=sent.content, headers=headers)
