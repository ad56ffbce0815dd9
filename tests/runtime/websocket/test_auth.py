"""Who may open a WebSocket, and who it is at the other end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from dockrion.events.context import StreamContext
from dockrion.testing import post, request
from tests.runtime.test_auth import AUTH, key_of, keys, who

from .agents import Gated, count
from .kit import HELD, ServerKind, Talk, served, talk

__all__ = ["keys"]

INVALID = {"detail": {"message": "Invalid API key", "code": "AUTH_ERROR"}}


async def ticket_for(app: Any, path: str = "/invoke/ws", name: str = "ann") -> str:
    async with post(app, "/auth/ticket", {"path": path}, headers=key_of(name)) as exchange:
        return (await exchange.json())["ticket"]


async def refused(port: int, path: str = "/invoke/ws", **options: Any) -> tuple[int, Any, Any]:
    """Open one that is refused; return status, body and headers."""
    with pytest.raises(InvalidStatus) as caught:
        async with talk(port, path, **options):
            pass
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"null"), response.headers


async def identity(ws: Talk) -> str:
    await ws.start()
    return (await ws.rest())[-1]["output"]["id"]


async def test_a_key_in_a_header_opens_it(kind: ServerKind) -> None:
    async with served(who, kind=kind, auth=AUTH) as port:
        async with talk(port, additional_headers=key_of("bob")) as ws:
            assert await identity(ws) == "bob"


async def test_a_bad_key_in_a_header_is_refused_before_the_upgrade(kind: ServerKind) -> None:
    async with served(who, kind=kind, auth=AUTH) as port:
        headers = {"X-API-Key": "wrong", "X-Request-ID": "mine"}
        status, body, answered = await refused(port, additional_headers=headers)
    assert (status, body) == (401, INVALID)
    assert answered["x-request-id"] == "mine"
    assert "www-authenticate" in answered


async def test_a_key_without_the_permission_is_refused_before_the_upgrade(kind: ServerKind) -> None:
    async with served(who, kind=kind, auth=AUTH) as port:
        status, body, _ = await refused(port, additional_headers=key_of("eve"))
    assert (status, body["detail"]["code"]) == (403, "PERMISSION_DENIED")


async def test_the_first_message_may_say_who_calls(kind: ServerKind) -> None:
    async with served(who, kind=kind, auth=AUTH) as port, talk(port) as ws:
        answer = await ws.ask("authenticate", id="me", api_key=key_of("ann")["X-API-Key"])
        assert answer == {"type": "authenticated", "id": "me"}
        assert await identity(ws) == "ann"
        token = key_of("bob")["X-API-Key"]
        assert (await ws.ask("authenticate", token=token))["type"] == "authenticated"
        assert await identity(ws) == "bob"
        again = await ws.ask("authenticate", id="x", api_key="wrong")
        assert (again["type"], again["id"], again["status"]) == ("refused", "x", 401)
        assert await identity(ws) == "bob", "what is not good changes nothing"


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ({"type": "authenticate", "api_key": "wrong"}, 4401, "Invalid API key"),
        ({"type": "authenticate", "api_key": "wröng \u2028"}, 4401, "Invalid API key"),
        ({"type": "ping"}, 4401, "Say who you are first: a message of type authenticate."),
        (
            {"type": "run", "payload": {}},
            4401,
            "Say who you are first: a message of type authenticate.",
        ),
        ({"type": "authenticate"}, 4401, "authenticate: must have one of api_key and token."),
    ],
)
async def test_a_first_message_that_does_not_say_it_closes_the_connection(
    kind: ServerKind, said: dict[str, Any], code: int, message: str
) -> None:
    async with served(who, kind=kind, auth=AUTH) as port, talk(port) as ws:
        fields = {"id": "a", **said}
        answer = await ws.ask(fields.pop("type"), **fields)
        assert (answer["type"], answer["id"], answer["error"]) == ("refused", "a", message)
        assert await ws.closed() == (code, message)


async def test_a_key_without_the_permission_closes_the_connection(kind: ServerKind) -> None:
    async with served(who, kind=kind, auth=AUTH) as port, talk(port) as ws:
        answer = await ws.ask("authenticate", api_key=key_of("eve")["X-API-Key"])
        assert (answer["status"], answer["code"]) == (403, "PERMISSION_DENIED")
        assert (await ws.closed())[0] == 4403


async def test_whoever_says_nothing_is_let_go(
    kind: ServerKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockrion.runtime.websocket.endpoint.AUTH_SECONDS", 0.1)
    async with served(who, kind=kind, auth=AUTH) as port, talk(port) as ws:
        assert (await ws.next())["code"] == "AUTH_ERROR"
        assert (await ws.closed())[0] == 4401


async def test_whoever_says_who_it_is_need_not_wait_for_the_answer(kind: ServerKind) -> None:
    async with served(count, kind=kind, auth=AUTH) as port, talk(port) as ws:
        large = {"tokens": 1, "text": "x" * 200_000}
        said = [
            {"type": "authenticate", "api_key": key_of("ann")["X-API-Key"]},
            {"type": "run", "payload": large},
        ]
        protocol = ws.connection.protocol
        for message in said:
            protocol.send_text(json.dumps(message).encode())
        # With one write.
        ws.connection.transport.write(b"".join(protocol.data_to_send()))
        assert (await ws.next())["type"] == "authenticated"
        assert (await ws.next())["type"] == "accepted"
        assert (await ws.rest())[-1]["type"] == "complete"


async def test_a_stranger_sends_nothing_large(kind: ServerKind) -> None:
    async with served(who, kind=kind, auth=AUTH) as port, talk(port) as ws:
        await ws.connection.send(" " * 70_000)
        assert (await ws.closed())[0] == 1009


async def test_a_ticket_opens_it_once_and_its_cookie_again(kind: ServerKind) -> None:
    apps: list[Any] = []
    async with served(who, kind=kind, auth=AUTH, app_is=apps.append) as port:
        path = f"/invoke/ws?ticket={await ticket_for(apps[0])}"
        async with talk(port, path) as ws:
            assert await identity(ws) == "ann"
            response = ws.connection.response
            assert response is not None
            cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Path=/invoke/ws" in cookie
        assert (await refused(port, path))[0] == 401
        headers = {"Cookie": cookie.partition(";")[0]}
        for again in (path, "/invoke/ws"):
            async with talk(port, again, additional_headers=headers) as ws:
                assert await identity(ws) == "ann"


async def test_an_old_cookie_is_no_reason_to_refuse(kind: ServerKind) -> None:
    async with served(who, kind=kind, auth=AUTH) as port:
        headers = {"Cookie": "dockrion-pass=old"}
        async with talk(port, additional_headers=headers) as ws:
            key = key_of("ann")["X-API-Key"]
            assert (await ws.ask("authenticate", api_key=key))["type"] == "authenticated"


async def test_a_ticket_of_another_path_opens_nothing(kind: ServerKind) -> None:
    apps: list[Any] = []
    async with served(who, kind=kind, auth=AUTH, app_is=apps.append) as port:
        ticket = await ticket_for(apps[0], "/invoke")
        assert (await refused(port, f"/invoke/ws?ticket={ticket}"))[0] == 401


async def test_a_cookie_counts_for_our_own_pages_alone(kind: ServerKind) -> None:
    """Else any page of the web could run the agent as whoever looks at it."""
    apps: list[Any] = []
    async with served(who, kind=kind, auth=AUTH, app_is=apps.append) as port:
        path = f"/invoke/ws?ticket={await ticket_for(apps[0])}"
        async with talk(port, path) as ws:
            assert ws.connection.response is not None
            cookie = ws.connection.response.headers["set-cookie"].partition(";")[0]
        own, other = f"http://127.0.0.1:{port}", "https://evil.example"
        async with talk(port, additional_headers={"Cookie": cookie}, origin=own) as ws:
            assert await identity(ws) == "ann"
        for path in ("/invoke/ws?ticket=guess",):
            assert (await refused(port, path, additional_headers={"Cookie": cookie}, origin=other))[
                0
            ] == 401
        async with talk(port, additional_headers={"Cookie": cookie}, origin=other) as ws:
            assert (await ws.ask("run", payload={}))["code"] == "AUTH_ERROR"


@pytest.mark.parametrize("credentials", [True, False])
async def test_a_cookie_counts_for_pages_that_may_have_credentials(
    kind: ServerKind, credentials: bool
) -> None:
    cors = {"origins": ["https://good.example"], "credentials": credentials}
    apps: list[Any] = []
    async with served(who, kind=kind, auth=AUTH, expose={"cors": cors}, app_is=apps.append) as port:
        async with talk(port, f"/invoke/ws?ticket={await ticket_for(apps[0])}") as ws:
            assert ws.connection.response is not None
            cookie = ws.connection.response.headers["set-cookie"].partition(";")[0]
        headers, origin = {"Cookie": cookie}, Origin("https://good.example")
        async with talk(port, additional_headers=headers, origin=origin) as ws:
            answer = await ws.ask("run", payload={})
    assert answer["type"] == ("accepted" if credentials else "refused")


CORS = {"cors": {"origins": ["https://good.example"]}}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://good.example.evil"])
async def test_pages_that_cors_leaves_out_open_nothing(kind: ServerKind, origin: str) -> None:
    async with served(count, kind=kind, expose=CORS) as port:
        status, body, _ = await refused(port, origin=origin)
        for welcome in ("https://good.example", f"http://127.0.0.1:{port}", None):
            async with talk(port, origin=welcome) as ws:
                assert await ws.start()
    assert (status, body["detail"]["code"]) == (403, "PERMISSION_DENIED")


async def test_runs_are_their_callers_own(kind: ServerKind) -> None:
    gated = Gated()
    async with served(gated, kind=kind, auth=AUTH, streaming=HELD) as port:
        async with (
            talk(port, additional_headers=key_of("ann")) as ann,
            talk(port, additional_headers=key_of("bob")) as bob,
        ):
            run_id = await ann.start()
            for said in ("follow", "cancel"):
                assert (await bob.ask(said, run_id=run_id))["code"] == "NOT_FOUND"
            assert (await bob.ask("answer", run_id=run_id, answer=1))["code"] == "NOT_FOUND"
            gated.open.set()
            await ann.rest()


async def test_calls_are_counted_and_one_too_many_is_refused(kind: ServerKind) -> None:
    auth = {**AUTH, "rate_limits": {"default": "2/hour"}}
    async with served(count, kind=kind, auth=auth) as port:
        async with talk(port, additional_headers=key_of("ann")) as ws:
            for _ in range(2):
                await ws.start()
                await ws.rest()
            refusal = await ws.ask("run", payload={})
            assert (await ws.ask("ping"))["type"] == "pong"
    assert (refusal["status"], refusal["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert refusal["retry_after"] > 0


async def test_a_credential_that_runs_out_is_no_longer_good(kind: ServerKind) -> None:
    """The connection stays open, and a new one may be said."""
    apps: list[Any] = []
    async with served(who, kind=kind, auth=AUTH, app_is=apps.append) as port:
        gate = apps[0].state.dockrion.gate
        async with talk(port, additional_headers=key_of("ann")) as ws:
            assert await identity(ws) == "ann"
            known = gate._authenticator

            class Expired:
                async def authenticate(self, headers: Any) -> Any:
                    sent = dict(headers)
                    if sent.get(b"x-api-key") == key_of("ann")["X-API-Key"].encode():
                        from dockrion.errors import AuthError

                        raise AuthError("JWT validation failed: expired")
                    return await known.authenticate(headers)

                async def close(self) -> None:
                    await known.close()

            gate._authenticator = Expired()
            answer = await ws.ask("run", payload={})
            assert (answer["status"], answer["code"]) == (401, "AUTH_ERROR")
            key = key_of("bob")["X-API-Key"]
            assert (await ws.ask("authenticate", api_key=key))["type"] == "authenticated"
            assert await identity(ws) == "bob"


async def test_many_strangers_are_refused_without_a_word_of_the_agent() -> None:
    seen = 0

    async def agent(payload: Any, context: StreamContext) -> Any:
        nonlocal seen
        seen += 1

    async with served(agent, auth=AUTH) as port:
        await asyncio.gather(
            *(refused(port, additional_headers={"X-API-Key": f"k{n}"}) for n in range(20))
        )
    assert seen == 0


async def test_a_caller_who_is_refused_counts_as_a_call(kind: ServerKind) -> None:
    apps: list[Any] = []
    async with served(who, kind=kind, auth=AUTH, app_is=apps.append) as port:
        await refused(port, additional_headers={"X-API-Key": "wrong"})
        async with talk(port) as ws:
            await ws.ask("authenticate", api_key="wrong")
            await ws.closed()
        async with talk(port, additional_headers=key_of("ann")) as ws:
            await ws.ask("ping")
        async with request(apps[0], "GET", "/metrics") as exchange:
            metrics = (await exchange.read()).decode()
    counted = [
        line
        for line in metrics.splitlines()
        if line.startswith("dockrion_requests_total{") and "/invoke/ws" in line
    ]
    [line] = counted
    assert 'status="401"' in line
    assert line.endswith(" 2.0")
