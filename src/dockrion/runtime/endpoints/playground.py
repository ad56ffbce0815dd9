"""The page at `/`, where a person tries the agent: the server's part of it.

The page itself is built from `web/playground` into `static/playground`. It holds nothing that needs credentials: what the
agent takes it asks for with those of its reader. All links are relative, so it works below any prefix, whether the app
knows of it or not.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import re
from importlib.resources import files
from string import Template
from typing import Any, Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from dockrion.events.jsonable import encode
from dockrion.runtime.front_ends import front_ends
from dockrion.runtime.host import AgentHost
from dockrion.runtime.pages import page_headers
from dockrion.runtime.sample import curl_line
from dockrion.spec import DockSpec
from dockrion.version import VERSION

# Answers of agents are shown as Markdown, and may name pictures elsewhere: they are links there.
_HEADERS: Final = page_headers(
    "script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
)
_PARTS: Final = {"playground.css": "text/css", "playground.js": "text/javascript"}


def playground_router(host: AgentHost) -> APIRouter:
    router = APIRouter()
    static = files("dockrion.runtime").joinpath("static")
    template = Template(static.joinpath("playground.html").read_text(encoding="utf-8"))
    parts = {
        name: _Part(static.joinpath("playground", name).read_bytes(), media_type)
        for name, media_type in _PARTS.items()
    }

    async def page(request: Request) -> HTMLResponse:
        text = _filled(template, host, str(request.base_url).rstrip("/"))
        return HTMLResponse(text, headers=_HEADERS)

    async def part(request: Request) -> Response:
        found = parts.get(request.path_params["file"])
        if found is None:
            raise HTTPException(404)
        return found.answer(request)

    router.add_api_route("/", page, methods=["GET", "HEAD"], include_in_schema=False)
    router.add_route("/playground/{file}", part)
    return router


class _Part:
    """One file of the page, held in memory as it is and compressed."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self._media_type = media_type
        self._tag = hashlib.sha256(content).hexdigest()[:32]
        # Without a time in it, so that all processes send the same.
        self._bodies = {"": content, "gzip": gzip.compress(content, mtime=0)}

    def answer(self, request: Request) -> Response:
        accepted = request.headers.get("accept-encoding", "")
        encoding = (
            "gzip" if re.search(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", accepted) else ""
        )
        tag = f'"{self._tag}{encoding}"'
        # Browsers ask whether it has changed, as it may have with a new version of the package.
        headers = {"cache-control": "no-cache", "etag": tag, "vary": "accept-encoding"}
        known = request.headers.get("if-none-match", "")
        if tag in (one.strip().removeprefix("W/") for one in known.split(",")):
            return Response(status_code=304, headers=headers)
        if encoding:
            headers["content-encoding"] = encoding
        return Response(self._bodies[encoding], media_type=self._media_type, headers=headers)


def _filled(template: Template, host: AgentHost, url: str) -> str:
    spec = host.spec
    texts = {
        "name": spec.agent.name,
        "description": spec.agent.description or "An agent served by dockrion.",
        **_first_call(spec, url),
        "url": url,
        "version": VERSION,
    }
    safe = {name: html.escape(host.secrets.hide(text)) for name, text in texts.items()}
    facts = encode(host.secrets.hide_in(_facts(spec))).decode()
    return template.substitute(safe, facts=html.escape(facts))


def _first_call(spec: DockSpec, url: str) -> dict[str, str]:
    """Return what is read where no script runs."""
    expose = spec.expose
    if expose.rest or expose.sse or spec.streaming.async_runs:
        reading = " and read its answer as it comes" if expose.sse else ""
        line = curl_line(spec, url, for_strangers=True)
        return {"how": f"Send the agent its input as JSON{reading}:", "line": line}
    addresses = [f"{title}: {url}{path}" for title, path in front_ends(spec)]
    return {
        "how": "The agent is served to clients of these protocols:",
        "line": "\n".join(addresses),
    }


def _facts(spec: DockSpec) -> dict[str, Any]:
    """Return what the page needs to know before its reader has said who they are."""
    expose, auth = spec.expose, spec.auth
    return {
        "agent": spec.agent.name,
        "version": VERSION,
        "invoke": expose.rest,
        "stream": expose.sse,
        "runs": spec.streaming.async_runs,
        "speaks": [{"name": title, "path": path} for title, path in front_ends(spec)],
        "chat": None if expose.chat is None else expose.chat.model_dump(),
        "auth": None
        if auth is None or auth.is_open
        else {"mode": auth.mode, "header": auth.headers[0], "protects": auth.protect},
    }
