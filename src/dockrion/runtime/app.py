"""Putting the parts together: from a Dockfile to an ASGI app."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dockrion.adapters.base import Agent
from dockrion.errors import (
    DockrionError,
    MethodNotAllowedError,
    NotFoundError,
)
from dockrion.runtime.access import AccessLog
from dockrion.runtime.asgi import ASGIApp, Message, Receive, Scope, Send, path_of
from dockrion.runtime.backends import backend_of
from dockrion.runtime.cors import with_cors
from dockrion.runtime.endpoints.docs import docs_router
from dockrion.runtime.endpoints.invoke import InvokeEndpoint, invoke_agent_stream
from dockrion.runtime.endpoints.metrics import metrics_router
from dockrion.runtime.endpoints.playground import playground_router
from dockrion.runtime.endpoints.protocols import protocols_of
from dockrion.runtime.endpoints.run_events import follow_run
from dockrion.runtime.endpoints.runs import PATHS, RunsPaths
from dockrion.runtime.endpoints.status import status_router
from dockrion.runtime.endpoints.tickets import TicketEndpoint
from dockrion.runtime.front_ends import why_nothing_is_at
from dockrion.runtime.gate import build_gate
from dockrion.runtime.host import AgentHost
from dockrion.runtime.metrics import Metrics
from dockrion.runtime.openapi import document, joined, security_of
from dockrion.runtime.requests import Request
from dockrion.runtime.responses import error_body, error_headers, send_redirect
from dockrion.runtime.shutdown import DrainOnSignal
from dockrion.runtime.traffic import SOCKET_PATH
from dockrion.runtime.unforeseen import Words, guarded, native_words, unforeseen
from dockrion.runtime.websocket.endpoint import SocketEndpoint
from dockrion.spec import DockSpec, load_dockspec
from dockrion.version import VERSION

logger = logging.getLogger(__name__)


def create_app(spec_or_path: DockSpec | Mapping[str, Any] | str | Path) -> FastAPI:
    """Return the app that serves the agent of a Dockfile.

    The agent is loaded in the app's lifespan, or at the first request when the app is mounted in another one.
    An agent that fails to load does not raise here: `/ready` and calls say so. Raises `ValidationError` for a
    bad Dockfile, or a key that is not set.
    """
    if isinstance(spec_or_path, DockSpec):
        spec = spec_or_path
    elif isinstance(spec_or_path, Mapping):
        spec = DockSpec.model_validate(spec_or_path)
    else:
        spec = load_dockspec(spec_or_path)
    if spec.auth is not None and not spec.auth.api_keys.enabled and spec.is_open:
        logger.warning("auth.api_keys.enabled is false: everybody may call")
    return build_app(spec)


def build_app(
    spec: DockSpec,
    agent: Agent | None = None,
    *,
    supervised: bool = False,
    one_of_many: bool = False,
) -> FastAPI:
    """`create_app`, with an agent that is in memory already, or in a process that a supervisor stops.

    `one_of_many` says that other processes serve the same port.
    """
    signals = partial(DrainOnSignal, supervised=supervised)
    backend = backend_of(spec)
    # The next process would not know those that are in the memory of this one.
    knows_all = backend.is_shared or not one_of_many
    gate = build_gate(spec, make_tickets=backend.tickets if knows_all else None)
    return DockrionApp(AgentHost(spec, agent, signals=signals, gate=gate, backend=backend))


class DockrionApp(FastAPI):
    """FastAPI, with the paths that answer by themselves in front of its own layers and behind the user's middleware."""

    def __init__(self, host: AgentHost) -> None:
        super().__init__(
            title=host.spec.agent.name,
            version=VERSION,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            lifespan=partial(_lifespan, host),
        )
        self.state.dockrion = host
        self._host = host
        self._root_path = host.spec.expose.root_path
        self._socket = SocketEndpoint(host) if host.spec.expose.websocket else None
        self._direct = _direct(host)
        if self._socket is not None:
            self._direct[SOCKET_PATH] = self._socket.answer_request
        self._runs = RunsPaths(host, follow_run) if host.spec.streaming.async_runs else None
        self._protocols = protocols_of(host)
        routers = (
            status_router(host),
            metrics_router(Metrics(host), host.gate),
            playground_router(host),
            docs_router(host),
        )
        for router in routers:
            self.include_router(router, include_in_schema=False)
        ours = [route for router in routers for route in router.routes]
        self._paths = [
            *self._direct,
            *(PATHS if self._runs is not None else ()),
            *(path for protocol in self._protocols for path in protocol.paths),
            *(r.path for r in ours if isinstance(r, Route)),
        ]
        host.traffic.sinks.append(AccessLog(host.spec.agent.name).write)
        self.add_exception_handler(HTTPException, partial(_answer_http_exception, host.spec))
        self.add_exception_handler(DockrionError, _answer_dockrion_error)
        self.add_exception_handler(Exception, _answer_unforeseen)

    def has_socket(self, path: str) -> bool:
        """Whether there is a WebSocket at a path, be it with the prefix of `expose.root_path` or without it."""
        below = path_of({"path": path, "root_path": self._root_path or ""})
        return self._socket is not None and below == SOCKET_PATH

    def openapi(self) -> dict[str, Any]:
        """Return the document of what is served here; routes that the user has added come from FastAPI."""
        return joined(self._document, super().openapi())

    @cached_property
    def _document(self) -> dict[str, Any]:
        spec = self._host.spec
        return self._host.secrets.hide_in(document(spec, self._paths, security_of(spec)))

    def build_middleware_stack(self) -> ASGIApp:
        users, self.user_middleware = self.user_middleware, []
        try:
            rest = super().build_middleware_stack()
        finally:
            self.user_middleware = users
        served = self._dispatch_to(_WithRequestId(rest))
        auth, expose = self._host.spec.auth, self._host.spec.expose
        credentials = () if auth is None else auth.headers
        mcp = "mcp" in expose.protocols
        app: Any = with_cors(served, expose.cors, credentials=credentials, mcp=mcp)
        for cls, args, kwargs in reversed(users):
            app = cls(app, *args, **kwargs)
        return partial(self._around_users, app) if users else app

    def _around_users(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Answer where the user's middleware raises."""
        if scope["type"] != "http":
            return app(scope, receive, send)
        path = path_of(scope)
        found = (one.refusal for one in self._protocols if one.find(path) is not None)
        return guarded(app, next(found, native_words), scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stack = self.middleware_stack
        if stack is None:
            stack = self.middleware_stack = self.build_middleware_stack()
        scope["app"] = self
        if self._root_path is not None:
            _put_below(scope, self._root_path)
        await stack(scope, receive, send)

    def _dispatch_to(self, rest: ASGIApp) -> ASGIApp:
        direct = self._direct
        socket = self._socket
        runs = self._runs
        protocols = self._protocols
        host = self._host
        ours = frozenset(self._paths)

        def of_protocols(path: str) -> tuple[ASGIApp, Words] | None:
            named = ((one.find(path), one.refusal) for one in protocols)
            return next(((found, words) for found, words in named if found), None)

        def is_ours(path: str) -> bool:
            if path in ours or (runs is not None and runs.find(path) is not None):
                return True
            return of_protocols(path) is not None

        # Not a coroutine itself: an idle stream pays for each frame between the server and its endpoint.
        def dispatch(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == "http":
                path = path_of(scope)
                endpoint = direct.get(path)
                if endpoint is not None:
                    return guarded(endpoint, native_words, scope, receive, send)
                if protocols and (found := of_protocols(path)) is not None:
                    return guarded(*found, scope, receive, send)
                if path.endswith("/") and is_ours(path.rstrip("/")):
                    return send_redirect(send, scope)
                # Mounted in another app there is no lifespan of ours; elsewhere this does nothing.
                host.start()
                if runs is not None and path.startswith("/runs"):
                    endpoint = runs.find(path)
                    if endpoint is not None:
                        return guarded(endpoint, native_words, scope, receive, send)
            elif socket is not None and _is_socket(scope):
                return socket(scope, receive, send)
            return rest(scope, receive, send)

        return dispatch


def _is_socket(scope: Scope) -> bool:
    return scope["type"] == "websocket" and path_of(scope) == SOCKET_PATH


def _put_below(scope: Scope, root_path: str) -> None:
    """Say that the app stands below `expose.root_path`, whether or not the proxy has cut it off the path."""
    if scope["type"] == "lifespan" or scope.get("root_path"):
        return
    scope["root_path"] = root_path
    if not f"{scope['path']}/".startswith(f"{root_path}/"):
        scope["path"] = root_path + scope["path"]


@asynccontextmanager
async def _lifespan(host: AgentHost, _app: FastAPI) -> AsyncGenerator[None]:
    host.start(mounted=False)
    try:
        await host.gate.start()
        if not host.is_watched:
            await host.backend_opened()
        yield
    finally:
        await host.close()
        await host.gate.close()


def _direct(host: AgentHost) -> dict[str, ASGIApp]:
    spec = host.spec
    paths: dict[str, ASGIApp] = {}
    if spec.expose.rest:
        paths["/invoke"] = InvokeEndpoint(host)
    if "sse" in spec.expose.streaming:
        paths["/invoke/stream"] = partial(invoke_agent_stream, host)
    if host.gate.tickets is not None:
        paths["/auth/ticket"] = TicketEndpoint(host, host.gate.tickets)
    return paths


class _WithRequestId:
    """Gives every answer of the other paths its `X-Request-ID` and its true type."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = Request(scope).request_id
        is_whole = False

        async def send_with_id(message: Message) -> None:
            nonlocal is_whole
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id),
                    (b"x-content-type-options", b"nosniff"),
                ]
            else:
                is_whole = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            # Starlette raises on what it has answered (`_answer_unforeseen`), and logged it is.
            if not is_whole:
                raise


def _answer_http_exception(
    spec: DockSpec, request: StarletteRequest, exc: Exception
) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    path = request.url.path
    error: DockrionError
    match exc.status_code:
        case 404:
            why = why_nothing_is_at(spec, path_of(request.scope))
            reason = "" if why is None else f": {why}"
            error = NotFoundError(f"There is nothing at {_shortened(path)}{reason}.")
        case 405:
            error = MethodNotAllowedError(f"{_shortened(path)} does not take {request.method}.")
        case _:
            error = DockrionError(str(exc.detail))
    headers = dict(exc.headers or {})
    return JSONResponse(error_body(error), status_code=exc.status_code, headers=headers)


def _shortened(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:197]}..."


def _answer_unforeseen(request: StarletteRequest, exc: Exception) -> Response:
    error = unforeseen(exc, request.scope)
    headers = {"cache-control": "no-store"}
    return JSONResponse(error_body(error), status_code=error.status, headers=headers)


def _answer_dockrion_error(_request: StarletteRequest, exc: Exception) -> JSONResponse:
    assert isinstance(exc, DockrionError)
    headers = {name.decode(): value.decode() for name, value in error_headers(exc)}
    return JSONResponse(error_body(exc), status_code=exc.status, headers=headers)
