"""What can be asked of a server without running its agent: health, readiness, schema, info."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from dockrion.errors import DockrionError
from dockrion.runtime.host import AgentHost
from dockrion.runtime.pages import NO_STORE
from dockrion.version import VERSION


class _Answer(JSONResponse):
    def __init__(self, body: dict[str, Any], status_code: int = 200) -> None:
        super().__init__(body, status_code, headers=NO_STORE)


# Of a probe, which must not wait for long.
_CHECK_SECONDS: Final = 2.0


async def _why_backend_is_away(host: AgentHost) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await host.backend.check()
    except TimeoutError:
        return "The backend does not answer."
    except DockrionError as exc:
        return exc.message
    return None


def status_router(host: AgentHost) -> APIRouter:
    router = APIRouter()
    name = host.spec.agent.name

    async def health() -> _Answer:
        return _Answer(
            {
                "status": "ok",
                "service": f"runtime:{name}",
                "version": VERSION,
                "timestamp": host.timestamps.now(),
                "agent": name,
                "framework": host.spec.agent.framework,
            }
        )

    async def ready() -> _Answer:
        state = host.state
        away = await _why_backend_is_away(host) if state == "ready" else None
        if away is not None:
            state = "failed"
        elif state == "ready":
            return _Answer({"success": True, "status": "ready", "agent": name})
        error = {
            "loading": "The agent is still loading.",
            "draining": "The server is shutting down.",
        }.get(state, away or host.agent_error)
        body = {"success": False, "status": state, "agent": name, "error": error}
        return _Answer(body, status_code=503)

    async def schema(request: Request) -> _Answer:
        await host.gate.guard("schema", request.scope)
        return _Answer(
            {
                "success": True,
                "agent": name,
                "input_schema": host.secrets.hide_in(host.spec.io_schema.input),
                "output_schema": host.secrets.hide_in(host.spec.io_schema.output),
            }
        )

    async def info(request: Request) -> _Answer:
        await host.gate.guard("info", request.scope)
        return _Answer(host.secrets.hide_in(_info(host)))

    for path, endpoint in (
        ("/health", health),
        ("/ready", ready),
        ("/schema", schema),
        ("/info", info),
    ):
        router.add_api_route(path, endpoint, methods=["GET", "HEAD"])
    return router


def _info(host: AgentHost) -> dict[str, Any]:
    spec = host.spec
    return {
        "success": True,
        "agent": {
            "name": spec.agent.name,
            "framework": spec.agent.framework,
            "description": spec.agent.description,
        },
        "auth_enabled": not host.gate.is_open,
        "version": VERSION,
        "metadata": spec.metadata.model_dump(mode="json", exclude_none=True),
        "adapter": host.description,
        "events": host.spec.streaming.events.allowed,
        "protocols": list(spec.expose.protocols),
    }
