"""`GET /metrics`."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from dockrion.runtime.metrics import CONTENT_TYPE, Metrics


def metrics_router(metrics: Metrics) -> APIRouter:
    router = APIRouter()

    # On the event loop: it has to answer, too, when agents block all threads.
    async def read() -> PlainTextResponse:
        return PlainTextResponse(metrics.text(), headers={"content-type": CONTENT_TYPE})

    router.add_api_route(
        "/metrics", read, methods=["GET"], response_class=PlainTextResponse, name="metrics"
    )
    return router
