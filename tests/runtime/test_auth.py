"""The gate: who gets in where, what a refusal looks like, and what agents and other callers see of an identity."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from dockrion.auth.base import Headers
from dockrion.auth.roles import Roles
from dockrion.errors import MissingExtraError, ServiceUnavailableError, ValidationError
from dockrion.events.context import StreamContext
from dockrion.events.identity import USUAL_PERMISSIONS, Identity
from dockrion.events.jsonable import encode
from dockrion.runtime.app import build_app, create_app
from dockrion.runtime.gate import Gate
from dockrion.spec import DockSpec
from dockrion.testing import app_for, post, request, running

LISTED = [
    {"name": "ann", "env_var": "ANN_KEY"},
    {"name": "bob", "env_var": "BOB_KEY", "role": "caller"},
    {"name": "eve", "env_var": "EVE_KEY", "role": "reader"},
    {"name": "boss", "env_var": "BOSS_KEY", "role": "boss"},
]
ROLES = [
    {"name": "caller", "permissions": ["invoke"]},
    {"name": "reader", "permissions": ["view_metrics", "read_docs"]},
    {"name": "boss", "permissions": ["invoke", "key_manage"]},
]
AUTH = {"api_keys": {"keys": LISTED}, "roles": ROLES}
PROTECT = {**AUTH, "protect": ["metrics", "docs", "info", "schema"]}
NOBODY = {"detail": {"message": "API key required", "code": "AUTH_ERROR"}}
CALLS = ["/invoke", "/invoke/stream"]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ann", "bob", "eve", "boss"):
        monkeypatch.setenv(f"{name.upper()}_KEY", f"key-of-{name}")


def key_of(name: str) -> dict[str, str]:
    return {"X-API-Key": f"key-of-{name}"}


async def who(payload: Any, context: StreamContext) -> Any:
    identity = context.identity
    return {"id": identity.id, "roles": identity.roles, "permissions": identity.permissions}


@pytest.mark.parametrize("path", CALLS)
async def test_who_calls_reaches_the_agent_with_permissions(path: str) -> None:
    async with running(app_for(who, auth=AUTH)) as app:
        async with post(app, "/invoke", {}, headers=key_of("bob")) as exchange:
            answer = await exchange.json()
        async with post(app, "/invoke", {}, headers=key_of("ann")) as other:
            usual = await other.json()
    assert answer["output"] == {"id": "bob", "roles": ["caller"], "permissions": ["invoke"]}
    assert usual["output"]["permissions"] == list(USUAL_PERMISSIONS)


@pytest.mark.parametrize("path", [*CALLS, "/auth/ticket"])
@pytest.mark.parametrize("body", [b"{", b"{}"])
async def test_a_caller_without_a_key_is_refused_before_anything_of_the_body_is_read(
    path: str, body: bytes
) -> None:
    app = app_for(who, auth=AUTH, expose={"limits": {"max_body_bytes": 1}})
    headers = {"Content-Type": "text/plain", "Last-Event-ID": "?", "X-Request-ID": "mine"}
    async with running(app):
        async with post(app, path, body, headers=headers) as exchange:
            answer = await exchange.json()
            assert exchange._body == body
    assert (exchange.status, answer) == (401, NOBODY)
    assert exchange.headers["www-authenticate"] == 'ApiKey realm="test", Bearer realm="test"'
    assert exchange.headers["x-request-id"] == "mine"
    assert exchange.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", CALLS)
async def test_where_there_are_roles_running_the_agent_needs_invoke(path: str) -> None:
    async with running(app_for(who, auth=AUTH)) as app:
        async with post(app, path, {}, headers=key_of("eve")) as exchange:
            answer = await exchange.json()
    assert exchange.status == 403
    assert answer == {
        "detail": {"message": "This needs the permission invoke.", "code": "PERMISSION_DENIED"}
    }
    assert "www-authenticate" not in exchange.headers


async def test_without_roles_every_known_caller_may_run_the_agent() -> None:
    async with running(app_for(who, auth={"api_keys": {"keys": LISTED}})) as app:
        async with post(app, "/invoke", {}, headers=key_of("eve")) as exchange:
            assert (await exchange.json())["output"]["permissions"] == []


PARTS = ["/metrics", "/docs", "/redoc", "/openapi.json", "/info", "/schema"]


@pytest.mark.parametrize(
    ("method", "path"), [*(("GET", path) for path in PARTS), ("HEAD", "/docs"), ("HEAD", "/info")]
)
async def test_a_protected_part_needs_a_key_and_its_permission(method: str, path: str) -> None:
    anybody_known = path in ("/info", "/schema")
    expected = {
        "nobody": 401,
        "mallory": 401,
        "ann": 200,
        "bob": 200 if anybody_known else 403,
        "eve": 200,
    }
    async with running(app_for(who, auth=PROTECT, expose={"root_path": "/api"})) as app:
        found: dict[str, int] = {}
        for name in expected:
            headers = {} if name == "nobody" else key_of(name)
            async with request(app, method, path, headers=headers) as exchange:
                answer = await exchange.read()
            found[name] = exchange.status
            if name == "nobody":
                assert answer == encode(NOBODY)
                assert exchange.headers["www-authenticate"].startswith("ApiKey realm=")
                names = [name for name, _ in exchange.raw_headers]
                assert names.count(b"x-request-id") == 1
    assert found == expected


@pytest.mark.parametrize("path", ["/health", "/ready", "/", *PARTS])
async def test_what_is_not_protected_is_open(path: str) -> None:
    async with running(app_for(who, auth=AUTH)) as app:
        async with request(app, "GET", path) as exchange:
            await exchange.read()
    assert exchange.status == 200


async def test_health_and_readiness_cannot_be_closed() -> None:
    async with running(app_for(who, auth=PROTECT)) as app:
        for path in ("/health", "/ready", "/", "/docs/swagger-ui.css"):
            async with request(app, "GET", path) as exchange:
                await exchange.read()
            assert exchange.status == 200, path


@pytest.mark.parametrize("auth", [None, {"mode": "none"}, {"api_keys": {"enabled": False}}])
async def test_an_open_server_looks_at_no_key_and_has_no_tickets(auth: Any) -> None:
    sections = {} if auth is None else {"auth": {**auth, "roles": ROLES, "protect": ["info"]}}
    async with running(app_for(who, **sections)) as app:
        async with post(app, "/invoke", {}, headers={"X-API-Key": "wrong"}) as exchange:
            answer = await exchange.json()
        async with post(app, "/auth/ticket", {"path": "/invoke"}) as ticket:
            await ticket.read()
        async with request(app, "GET", "/info") as info:
            assert (await info.json())["auth_enabled"] is False
        async with request(app, "GET", "/openapi.json") as page:
            document = await page.json()
    assert answer["output"] == {
        "id": "anonymous",
        "roles": [],
        "permissions": list(USUAL_PERMISSIONS),
    }
    assert ticket.status == 404
    assert "/auth/ticket" not in document["paths"]
    assert "securitySchemes" not in document["components"]


async def test_the_document_says_how_callers_prove_who_they_are() -> None:
    async with running(app_for(who, auth={**AUTH, "protect": ["metrics"]})) as app:
        async with request(app, "GET", "/openapi.json") as page:
            document = await page.json()
        async with request(app, "GET", "/info") as info:
            assert (await info.json())["auth_enabled"] is True
    assert document["components"]["securitySchemes"] == {
        "APIKeyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "BearerAuth": {"type": "http", "scheme": "bearer"},
    }
    OpenAPIV31SpecValidator(document).validate()
    secured = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if operation.get("security") == [{"APIKeyHeader": []}, {"BearerAuth": []}]
        and {"401", "403", "429", "503"} <= operation["responses"].keys()
    }
    runs = {"/runs", "/runs/{run_id}", "/runs/{run_id}/events", "/runs/{run_id}/resume"}
    assert secured == {"/invoke", "/invoke/stream", "/auth/ticket", "/metrics", *runs}


async def test_without_bearer_the_document_has_the_header_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "k")
    auth = {"api_keys": {"allow_bearer": False, "header": "X-Mine"}}
    async with running(app_for(who, auth=auth)) as app:
        async with request(app, "GET", "/openapi.json") as page:
            schemes = (await page.json())["components"]["securitySchemes"]
        async with post(app, "/invoke", {}) as exchange:
            await exchange.read()
    assert schemes == {"APIKeyHeader": {"type": "apiKey", "in": "header", "name": "X-Mine"}}
    assert exchange.headers["www-authenticate"] == 'ApiKey realm="test"'


async def test_pages_elsewhere_may_send_the_keys_headers_and_preflights_need_none() -> None:
    preflight = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-mine,authorization",
    }
    auth = {"api_keys": {"keys": LISTED, "header": "X-Mine"}}
    cors = {"origins": ["https://page.example"], "headers": ["X-Other"]}
    async with running(app_for(who, auth=auth, expose={"cors": cors})) as app:
        async with request(app, "OPTIONS", "/invoke", headers=preflight) as exchange:
            await exchange.read()
        async with post(app, "/invoke", {}, headers={"Origin": preflight["Origin"]}) as refused:
            await refused.read()
    assert exchange.status == 200
    allowed = exchange.headers["access-control-allow-headers"].lower()
    assert "x-mine" in allowed
    assert "authorization" in allowed
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == "https://page.example"


async def test_a_held_run_is_found_by_who_made_it_and_by_who_manages_keys() -> None:
    async def speak(payload: Any) -> Any:
        yield "a"
        yield "b"

    held = {"connection": {"on_disconnect": "continue"}}
    async with running(app_for(speak, auth=AUTH, streaming=held)) as app:
        headers = {**key_of("ann"), "X-Run-ID": "r"}
        async with post(app, "/invoke/stream", {}, headers=headers) as first:
            await first.read()
        found: dict[str, tuple[int, bytes]] = {}
        for name in ("ann", "bob", "boss", "eve", "mallory"):
            headers = {**key_of(name), "Last-Event-ID": "r:0"}
            async with post(app, "/invoke/stream", {}, headers=headers) as exchange:
                found[name] = (exchange.status, await exchange.read())
            found[name] = (exchange.status, found[name][1])
        headers = {**key_of("bob"), "Last-Event-ID": "unknown:0"}
        async with post(app, "/invoke/stream", {}, headers=headers) as unknown:
            body = await unknown.read()
    assert {name: status for name, (status, _) in found.items()} == {
        "ann": 200,
        "bob": 410,
        "boss": 200,
        "eve": 403,
        "mallory": 401,
    }
    # Another caller's run and one that never was are not told apart.
    assert found["bob"][1] == body.replace(b"unknown", b"r")


async def test_a_key_that_is_not_set_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOB_KEY")
    with pytest.raises(ValidationError, match="BOB_KEY is not set"):
        app_for(who, auth=AUTH)


def test_a_package_that_is_missing_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name="jwt")

    monkeypatch.setattr("dockrion._registry.importlib.import_module", missing)
    monkeypatch.setenv("K", "k")
    auth = {"mode": "jwt", "jwt": {"public_key_env": "K", "algorithms": ["HS256"]}}
    with pytest.raises(MissingExtraError, match=r"dockrion\[jwt\]"):
        app_for(who, auth=auth)


async def test_keys_come_from_the_env_files_beside_the_dockfile(tmp_path: Any) -> None:
    (tmp_path / ".env").write_text("FILE_KEY=from-the-file\n")
    (tmp_path / "Dockfile.yaml").write_text(
        'version: "1.0"\nagent: {name: a, handler: "nowhere:h"}\nio_schema: {}\nexpose: {}\n'
        "auth: {api_keys: {env_var: FILE_KEY}}\n"
    )
    app = create_app(tmp_path / "Dockfile.yaml")
    assert app.state.dockrion.spec.secret_values == ["from-the-file"]
    async with running(app):
        for key, status in (("from-the-file", 200), ("other", 401)):
            body = {"path": "/invoke"}
            async with post(app, "/auth/ticket", body, headers={"X-API-Key": key}) as exchange:
                await exchange.read()
            assert exchange.status == status


# Any authenticator


class Slow:
    """Counts its starts and closes; says what the test wants."""

    def __init__(self) -> None:
        self.starts = self.closes = 0
        self.may_start = asyncio.Event()
        self.answer: Identity | Exception = Identity("u", "jwt", roles=("caller",))

    async def start(self) -> None:
        self.starts += 1
        await self.may_start.wait()

    async def authenticate(self, headers: Headers) -> Identity:
        assert self.may_start.is_set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        self.closes += 1


SCOPE: dict[str, Any] = {"type": "http", "path": "/invoke", "headers": [], "query_string": b""}


async def test_it_is_started_once_before_the_first_call_and_made_anew_after_its_close() -> None:
    made: list[Slow] = []

    def make() -> Slow:
        made.append(Slow())
        return made[-1]

    gate = Gate(make, roles=Roles())
    assert len(made) == 1
    calls = [asyncio.ensure_future(gate.identify(SCOPE)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    made[0].may_start.set()
    assert [identity.id for identity in await asyncio.gather(*calls[1:])] == ["u", "u"]
    assert made[0].starts == 1
    await gate.close()
    assert (len(made), made[0].closes) == (1, 1)
    made_again = asyncio.ensure_future(gate.identify(SCOPE))
    await asyncio.sleep(0)
    made[1].may_start.set()
    assert (await made_again).id == "u"


async def test_one_that_cannot_start_or_answer_lets_nobody_in_until_it_can() -> None:
    class Broken(Slow):
        async def start(self) -> None:
            self.starts += 1
            if self.starts < 3:
                raise OSError("no")
            self.may_start.set()

    gate = Gate(Broken)
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            await gate.identify(SCOPE)
    assert (await gate.identify(SCOPE)).id == "u"
    slow = Slow()
    slow.may_start.set()
    slow.answer = ServiceUnavailableError("The key server does not answer.")
    with pytest.raises(ServiceUnavailableError):
        await Gate(lambda: slow).identify(SCOPE)


async def test_one_that_was_never_started_is_closed_too() -> None:
    slow = Slow()
    await Gate(lambda: slow).close()
    assert slow.closes == 1


def test_one_of_many_processes_gives_out_no_tickets() -> None:
    spec = DockSpec.model_validate(
        {
            "version": "1.0",
            "agent": {"name": "a", "handler": "m:h"},
            "io_schema": {},
            "expose": {},
            "auth": AUTH,
        }
    )
    assert build_app(spec).state.dockrion.gate.tickets is not None
    assert build_app(spec, one_of_many=True).state.dockrion.gate.tickets is None
