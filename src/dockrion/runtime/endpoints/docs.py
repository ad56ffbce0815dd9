"""`/openapi.json`, and the pages that show it: `/docs` (Swagger UI) and `/redoc`.

Nothing of them comes from elsewhere: scripts and styles are files of installed packages. All links are relative,
so the pages work below any prefix, whether the app knows of it or not.
"""

from __future__ import annotations

import html
from importlib.resources import files
from string import Template
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from dockrion.events.jsonable import encode
from dockrion.runtime.host import AgentHost
from dockrion.runtime.pages import NO_STORE, page_headers

# Each page, and the folder of `fastapi_standalone_docs` with its scripts. What starts them is ours.
_PAGES: Final = {"docs": "static/swagger", "redoc": "static/redoc"}

# Descriptions are Markdown, and may name pictures elsewhere; browsers that obey this do not fetch them.
_HEADERS: Final = page_headers(
    "; ".join(
        (
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "worker-src blob:",
        )
    )
)


def docs_router(host: AgentHost) -> APIRouter:
    router = APIRouter()

    async def openapi(request: Request) -> Response:
        await host.gate.guard("docs", request.scope)
        return _openapi(request)

    router.add_route("/openapi.json", openapi)
    for name, folder in _PAGES.items():
        _add_page(router, name, folder, host=host)
    return router


def _openapi(request: Request) -> Response:
    document = request.app.openapi()
    prefix = request.scope.get("root_path", "").rstrip("/")
    if prefix:
        document = {**document, "servers": [{"url": prefix}]}
    return Response(encode(document), media_type="application/json", headers=NO_STORE)


def _add_page(router: APIRouter, name: str, folder: str, *, host: AgentHost) -> None:
    template = files("dockrion.runtime").joinpath(f"static/{name}.html")
    title = host.spec.agent.name
    page = Template(template.read_text(encoding="utf-8")).substitute(name=html.escape(title))
    scripts = StaticFiles(
        packages=[("dockrion.runtime", f"static/{name}"), ("fastapi_standalone_docs", folder)]
    )

    async def show(request: Request) -> Response:
        await host.gate.guard("docs", request.scope)
        return HTMLResponse(page, headers=_HEADERS)

    # Files of a package that anybody can read; the document that they show is guarded.
    async def script(request: Request) -> Response:
        response = await scripts.get_response(request.path_params["file"], request.scope)
        # Browsers ask whether it has changed, as it may have with a new version of the package.
        response.headers["cache-control"] = "no-cache"
        return response

    router.add_route(f"/{name}", show)
    router.add_route(f"/{name}/{{file}}", script)
