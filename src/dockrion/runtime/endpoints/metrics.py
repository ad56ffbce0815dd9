"""`GET /metrics`."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from dockrion.runtime.gate import Gate
from dockrion.runtime.metrics import CONTENT_TYPE, Metrics
from dockrion.runtime.pages import NO_STORE


def metrics_router(metrics: Metrics, gate: Gate) -> APIRouter:
    router = APIRouter()

    # On the event loop: it has to answer, too, when agents block all threads.
    async def read(request: Request) -> PlainTextResponse:
        await gate.guard("metrics", request.scope)
        text = await metrics.text()
        return PlainTextResponse(text, headers={**NO_STORE, "content-type": CONTENT_TYPE})

    router.add_api_route(
        "/metrics", read, methods=["GET"], response_class=PlainTextResponse, name="metrics"
    )
    return router
