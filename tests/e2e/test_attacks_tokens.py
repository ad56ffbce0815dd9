"""Attacks on tokens, and issuers that fail, each with the status and the body of its answer, from a real server."""

from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from tests.auth import token_attacks
from tests.auth.provider import Provider, running_provider
from tests.auth.tokens import CLAIMS, jwk, public_pem, rsa_key, signed
from tests.untold import assert_untold

from .asking import Answer, ask, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import StartServer
    from .server import Server

AGENT = """
async def handle(payload, context):
    yield "hello"
    yield {"caller": context.identity.id}
"""
ROLES = [
    {"name": "caller", "permissions": ["invoke"]},
    {"name": "reader", "permissions": ["view_metrics"]},
    {"name": "keeper", "permissions": ["invoke", "key_manage"]},
]
PATHS = ["/invoke", "/invoke/stream"]
HELD = {"connection": {"on_disconnect": "continue"}}
CHALLENGE = 'Bearer realm="e2e"'
KID_FLOOD = 200
# From the contract, for the time that callers wait for an issuer.
ANSWER_SECONDS = 5.0

Headers = list[tuple[str | bytes, str | bytes]]


def bearer(token: str) -> Headers:
    return [("Authorization", f"Bearer {token}")]


def token(kid: str | None = None, **claims: Any) -> str:
    header = {} if kid is None else {"kid": kid}
    exp = time.time() + 600
    return signed({**CLAIMS, "exp": exp, "roles": ["caller"], **claims}, **header)


def unavailable(message: str) -> dict[str, Any]:
    return {"success": False, "error": message, "code": "SERVICE_UNAVAILABLE", "details": None}


NO_KEYS = unavailable("The keys for tokens are not available; try again")
NOT_CHECKED = unavailable("The token cannot be checked now; try again")


# Signed tokens


@pytest.fixture(scope="module")
def proving(server: StartServer) -> Server:
    """The server that proves tokens by a key in a variable."""
    variable = {"name": "PUBLIC_KEY", "default": public_pem(rsa_key())}
    return server(
        AGENT,
        secrets={"optional": [variable]},
        auth={"mode": "jwt", "jwt": token_attacks.JWT, "roles": ROLES},
        streaming=HELD,
    )


@cache
def _rows(now: float) -> dict[str, token_attacks.Attack]:
    return {row.name: row for row in token_attacks.rows(now)}


def row(name: str) -> token_attacks.Attack:
    # Signed anew now and then: what is not valid yet would be, at the end of a long session of tests.
    return _rows(time.time() // 10 * 10)[name]


@pytest.mark.parametrize("path", [*PATHS, "/auth/ticket"])
@pytest.mark.parametrize("attack", _rows(token_attacks.NOW))
def test_a_token_that_proves_nothing_is_answered_with_401(
    proving: Server, attack: str, path: str
) -> None:
    sent = row(attack)
    answer = ask(proving, "POST", path, list(sent.headers), b"this is no JSON")
    assert (answer.status, answer.body) == (sent.status, refused(sent.message))
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", " Bearer  "])
@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_the_scheme_is_read_in_any_case(proving: Server, name: str, scheme: str) -> None:
    answer = ask(proving, "POST", "/invoke", [(name, f"{scheme} {token()}")])
    assert (answer.status, answer.body["output"]) == (200, {"caller": "ada"})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("roles", [["reader"], [], ["unheard-of"], {"caller": True}, None])
def test_a_token_without_the_permission_is_answered_with_403(
    proving: Server, roles: Any, path: str
) -> None:
    answer = ask(proving, "POST", path, bearer(token(roles=roles)), b"this is no JSON")
    message = "This needs the permission invoke."
    assert (answer.status, answer.body) == (403, refused(message, "PERMISSION_DENIED"))


def test_a_run_of_another_identity_is_gone(proving: Server) -> None:
    def resume(run_id: str, caller: str) -> Answer:
        headers = [*bearer(caller), ("Last-Event-ID", f"{run_id}:0")]
        return ask(proving, "POST", "/invoke/stream", headers)

    started = ask(proving, "POST", "/invoke/stream", [*bearer(token()), ("X-Run-ID", "of-ada")])
    assert started.status == 200
    assert resume("of-ada", token(jti="another token of hers")).status == 200
    assert resume("of-ada", token(sub="ops", roles=["keeper"])).status == 200
    for run_id in ("of-ada", "never-was"):
        answer = resume(run_id, token(sub="mallory"))
        gone = {
            "success": False,
            "error": f"The run '{run_id}' is not held here (any more).",
            "code": "GONE",
            "details": None,
        }
        assert (answer.status, answer.body) == (410, gone)


def test_a_ticket_stands_for_the_bearer_of_a_token_once(proving: Server) -> None:
    wanted = json.dumps({"path": "/invoke/stream"}).encode()
    given = ask(proving, "POST", "/auth/ticket", bearer(token()), wanted)
    assert given.status == 200
    path = f"/invoke/stream?ticket={given.body['ticket']}"

    first, reused = ask(proving, "POST", path), ask(proving, "POST", path, bearer(token()))

    assert first.status == 200
    assert b'"caller":"ada"' in first.body
    assert (reused.status, reused.body) == (401, refused("Invalid ticket"))


def test_nothing_of_a_token_is_logged(proving: Server) -> None:
    good, bad = token(), signed({**CLAIMS, "exp": 1, "sub": "logged-willow"})
    assert ask(proving, "POST", "/invoke", bearer(good)).status == 200
    assert ask(proving, "POST", "/invoke", bearer(bad)).status == 401
    # The lines have been written once the counters are read.
    ask(proving, "GET", "/metrics")
    log = proving.log
    assert '"status":401' in log
    assert_untold(log, *good.split("."), *bad.split(".")[1:], "logged-willow")


# Published keys


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as one:
        yield one


def fetching(start: StartServer, provider: Provider) -> Server:
    """Start a server that proves tokens by the provider's keys."""
    spec = {"jwks_url": provider.url, "issuer": CLAIMS["iss"], "audience": CLAIMS["aud"]}
    return start(AGENT, auth={"mode": "jwt", "jwt": spec, "roles": ROLES})


def publish(provider: Provider) -> None:
    provider.answer({"keys": [jwk(rsa_key())]})


def test_while_there_are_no_keys_nobody_gets_in_and_then_those_with_tokens_do(
    own_server: StartServer, provider: Provider
) -> None:
    publish(provider)
    provider.stop()
    server = fetching(own_server, provider)
    for path in PATHS:
        answer, seconds = timed(server, path, token("k1"))
        assert (answer.status, answer.body) == (503, NO_KEYS)
        assert answer.headers["retry-after"]
        assert seconds < ANSWER_SECONDS
    # Whoever does not send a token at all need not wait for the keys.
    assert ask(server, "POST", "/invoke").body == refused("Bearer token required")

    provider.start()
    deadline = time.monotonic() + 10
    while (answer := ask(server, "POST", "/invoke", bearer(token("k1")))).status == 503:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.02)
    assert (answer.status, answer.body["output"]) == (200, {"caller": "ada"})


def test_a_flood_of_made_up_key_ids_does_not_reach_the_issuer(
    own_server: StartServer, provider: Provider
) -> None:
    publish(provider)
    server = fetching(own_server, provider)
    assert ask(server, "POST", "/invoke", bearer(token("k1"))).status == 200
    began = time.monotonic()

    def attack(number: int) -> Answer:
        return ask(server, "POST", PATHS[number % 2], bearer(token(f"made-up-{number}")))

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(attack, range(KID_FLOOD)))

    message = refused("JWT validation failed: no key is known for it")
    assert [(answer.status, answer.body) for answer in answers] == [(401, message)] * KID_FLOOD
    # The first one at the start, and after that one in ten seconds.
    assert len(provider.asked) <= 2 + (time.monotonic() - began) // 10
    assert ask(server, "POST", "/invoke", bearer(token("k1"))).status == 200


# Introspected tokens

_numbers = itertools.count()


class Introspection:
    """A server that asks `provider` about each token."""

    def __init__(self, start: StartServer, provider: Provider) -> None:
        self.provider = provider
        spec = {"introspection_url": provider.url, "required_scopes": ["agent"]}
        self.server = start(AGENT, auth={"mode": "oauth2", "oauth2": spec, "roles": ROLES})

    def issue(self, **claims: Any) -> str:
        """Return a token that nobody has seen yet, with what the provider says of it."""
        made = f"token-{next(_numbers)}"
        claims = {"active": True, "scope": "agent", "sub": "ada", "roles": ["caller"], **claims}
        self.provider.bodies[made] = json.dumps(claims).encode()
        return made


@pytest.fixture(scope="module")
def asking(server: StartServer) -> Iterator[Introspection]:
    with running_provider() as provider:
        provider.answer({"active": False})
        yield Introspection(server, provider)


INVALID = refused("Invalid token")
INTROSPECTED: dict[str, tuple[dict[str, Any], int, dict[str, Any]]] = {
    "not active": ({"active": False}, 401, INVALID),
    "active in words": ({"active": "true"}, 401, INVALID),
    "active as a number": ({"active": 1}, 401, INVALID),
    "active is null": ({"active": None}, 401, INVALID),
    "expired": ({"exp": 1}, 401, INVALID),
    "not valid yet": ({"nbf": 9_999_999_999}, 401, INVALID),
    "another scope": (
        {"scope": "agents other"},
        403,
        refused("The token lacks a scope that is required", "PERMISSION_DENIED"),
    ),
    "no scope": (
        {"scope": None},
        403,
        refused("The token lacks a scope that is required", "PERMISSION_DENIED"),
    ),
    "a role without the permission": (
        {"roles": ["reader"]},
        403,
        refused("This needs the permission invoke.", "PERMISSION_DENIED"),
    ),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("attack", INTROSPECTED)
def test_a_token_of_which_the_issuer_says_no_does_not_get_in(
    asking: Introspection, attack: str, path: str
) -> None:
    claims, status, body = INTROSPECTED[attack]
    answer = ask(asking.server, "POST", path, bearer(asking.issue(**claims)), b"this is no JSON")
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers.get("www-authenticate") == (CHALLENGE if status == 401 else None)


@pytest.mark.parametrize("path", PATHS)
def test_a_token_that_the_issuer_never_made_does_not_get_in(
    asking: Introspection, path: str
) -> None:
    answer = ask(asking.server, "POST", path, bearer("made-up"))
    assert (answer.status, answer.body) == (401, INVALID)


def test_a_token_of_which_the_issuer_says_yes_gets_in(asking: Introspection) -> None:
    answer = ask(asking.server, "POST", "/invoke", bearer(asking.issue()))
    assert (answer.status, answer.body["output"]) == (200, {"caller": "ada"})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([("Authorization", "Basic abc")], id="another scheme"),
        pytest.param([("Authorization", "Bearer ")], id="an empty one"),
    ],
)
def test_without_a_token_nobody_is_asked(
    asking: Introspection, headers: Headers, path: str
) -> None:
    before = len(asking.provider.asked)
    answer = ask(asking.server, "POST", path, headers)
    assert (answer.status, answer.body) == (401, refused("Bearer token required"))
    assert len(asking.provider.asked) == before


def test_two_authorization_headers_are_none(asking: Introspection) -> None:
    answer = ask(asking.server, "POST", "/invoke", bearer(asking.issue()) * 2)
    assert (answer.status, answer.body) == (401, refused("Bearer token required"))


@pytest.mark.parametrize("path", PATHS)
def test_while_the_issuer_is_down_only_those_get_in_whom_it_has_let_in(
    asking: Introspection, path: str
) -> None:
    known, unknown = asking.issue(), asking.issue()
    assert ask(asking.server, "POST", path, bearer(known)).status == 200
    asking.provider.stop()
    try:
        answer, seconds = timed(asking.server, path, unknown)
        assert (answer.status, answer.body) == (503, NOT_CHECKED)
        assert answer.headers["retry-after"]
        assert seconds < ANSWER_SECONDS
        assert ask(asking.server, "POST", path, bearer(known)).status == 200
    finally:
        asking.provider.start()
    assert ask(asking.server, "POST", path, bearer(unknown)).status == 200


def test_questions_to_the_issuer_are_not_logged_one_by_one(asking: Introspection) -> None:
    assert ask(asking.server, "POST", "/invoke", bearer(asking.issue())).status == 200
    assert asking.provider.url not in asking.server.log


# Slow ones


def test_an_issuer_that_does_not_answer_in_time_is_503_within_five_seconds(
    own_server: StartServer,
) -> None:
    with running_provider() as silent, running_provider() as dripping:
        introspection = Introspection(own_server, silent)
        silent.gate.clear()
        publish(dripping)
        dripping.drips = True
        server = fetching(own_server, dripping)
        with ThreadPoolExecutor(4) as callers:
            asked = {
                (path, message["error"]): callers.submit(timed, one, path, sent)
                for path in PATHS
                for one, sent, message in (
                    (introspection.server, introspection.issue(), NOT_CHECKED),
                    (server, token("k1"), NO_KEYS),
                )
            }
        for (path, error), call in asked.items():
            answer, seconds = call.result()
            assert (answer.status, answer.body) == (503, unavailable(error)), path
            assert seconds < ANSWER_SECONDS, (path, error)


def timed(server: Server, path: str, sent: str) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = ask(server, "POST", path, bearer(sent), b"this is no JSON")
    return answer, time.monotonic() - began
