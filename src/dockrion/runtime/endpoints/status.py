"""What can be asked of a server without running its agent: health, readiness, schema, info, the welcome page."""

from __future__ import annotations

import html
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from dockrion.runtime.host import AgentHost
from dockrion.runtime.sample import curl_line
from dockrion.spec import DockSpec
from dockrion.version import VERSION


def status_router(host: AgentHost) -> APIRouter:
    router = APIRouter()
    name = host.spec.agent.name

    async def health() -> JSONResponse:
        return JSONResponse(
            {
                "status": "ok",
                "service": f"runtime:{name}",
                "version": VERSION,
                "timestamp": host.timestamps.now(),
                "agent": name,
                "framework": host.spec.agent.framework,
            }
        )

    async def ready() -> JSONResponse:
        state = host.state
        if state == "ready":
            return JSONResponse({"success": True, "status": "ready", "agent": name})
        error = {
            "loading": "The agent is still loading.",
            "draining": "The server is shutting down.",
        }.get(state, host.agent_error)
        body = {"success": False, "status": state, "agent": name, "error": error}
        return JSONResponse(body, status_code=503)

    async def schema(request: Request) -> JSONResponse:
        await host.gate.guard("schema", request.scope)
        return JSONResponse(
            {
                "success": True,
                "agent": name,
                "input_schema": host.spec.io_schema.input,
                "output_schema": host.spec.io_schema.output,
            }
        )

    async def info(request: Request) -> JSONResponse:
        await host.gate.guard("info", request.scope)
        return JSONResponse(_info(host))

    async def welcome(request: Request) -> HTMLResponse:
        return HTMLResponse(_welcome(host.spec, str(request.base_url).rstrip("/")))

    for path, endpoint in (
        ("/health", health),
        ("/ready", ready),
        ("/schema", schema),
        ("/info", info),
    ):
        router.add_api_route(path, endpoint, methods=["GET", "HEAD"])
    router.add_api_route("/", welcome, methods=["GET", "HEAD"], include_in_schema=False)
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


def _welcome(spec: DockSpec, url: str) -> str:
    texts = {
        "name": spec.agent.name,
        "description": spec.agent.description or "An agent served by dockrion.",
        "reading": " and read its answer as it comes" if spec.expose.sse else "",
        "line": curl_line(spec, url),
        "url": url,
        "version": VERSION,
    }
    return _page().substitute({name: html.escape(text) for name, text in texts.items()})


@cache
def _page() -> Template:
    return Template(
        files("dockrion.runtime").joinpath("static/welcome.html").read_text(encoding="utf-8")
    )
