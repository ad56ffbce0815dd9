"""Attacks on API keys and tickets, each with the status and the body of its answer, from a real server."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from tests.untold import assert_untold

from .asking import ask, refused

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

AGENT = """
async def handle(payload, context):
    yield "hello"
    yield {"caller": context.identity.id}
"""
KEYS = {
    "ANN_KEY": "ann-s3cret-willow",
    "BOB_KEY": f"sha256:{sha256(b'bob-s3cret-poplar').hexdigest()}",
    "EVE_KEY": "eve-s3cret-juniper",
}
SECTIONS: dict[str, Any] = {
    # Variables with these values, in the environment of the server.
    "secrets": {"optional": [{"name": name, "default": value} for name, value in KEYS.items()]},
    "auth": {
        "api_keys": {
            "keys": [
                {"name": "ann", "env_var": "ANN_KEY"},
                {"name": "bob", "env_var": "BOB_KEY", "role": "caller"},
                {"name": "eve", "env_var": "EVE_KEY", "role": "reader"},
            ]
        },
        "roles": [
            {"name": "caller", "permissions": ["invoke"]},
            {"name": "reader", "permissions": ["view_metrics"]},
        ],
        "protect": ["metrics", "docs", "info", "schema"],
    },
    "streaming": {"connection": {"on_disconnect": "continue"}},
}

ANN = ("X-API-Key", "ann-s3cret-willow")
BOB = ("X-API-Key", "bob-s3cret-poplar")
EVE = ("X-API-Key", "eve-s3cret-juniper")


@pytest.fixture(scope="module")
def guarded(server: StartServer) -> Server:
    return server(AGENT, **SECTIONS)


REQUIRED, INVALID = refused("API key required"), refused("Invalid API key")
TICKET = refused("Invalid ticket")

ATTACKS: dict[str, tuple[list[tuple[str, str | bytes]], dict[str, Any]]] = {
    "no key": ([], REQUIRED),
    "wrong key": ([("X-API-Key", "wrong-myrtle")], INVALID),
    "the start of a key": ([("X-API-Key", ANN[1][:-1])], INVALID),
    "a key and more": ([("X-API-Key", f"{ANN[1]}x")], INVALID),
    "a key in other case": ([("X-API-Key", ANN[1].upper())], INVALID),
    "empty key": ([("X-API-Key", "")], REQUIRED),
    "blank key": ([("X-API-Key", " \t ")], REQUIRED),
    "key in another header": ([("Api-Key", ANN[1])], REQUIRED),
    "key in a cookie": ([("Cookie", f"X-API-Key={ANN[1]}; dockrion-pass={ANN[1]}")], REQUIRED),
    "wrong key beside a right bearer": (
        [("X-API-Key", "wrong-myrtle"), ("Authorization", f"Bearer {ANN[1]}")],
        INVALID,
    ),
    "empty key beside a right bearer": (
        [("X-API-Key", ""), ("Authorization", f"Bearer {ANN[1]}")],
        REQUIRED,
    ),
    "the same key twice": ([ANN, ANN], INVALID),
    "two callers' keys": ([ANN, BOB], INVALID),
    "two keys in one header": ([("X-API-Key", f"{ANN[1]}, {BOB[1]}")], INVALID),
    "two bearers": ([("Authorization", f"Bearer {ANN[1]}")] * 2, REQUIRED),
    "wrong bearer": ([("Authorization", "Bearer wrong-myrtle")], INVALID),
    "bearer in the key's header": ([("X-API-Key", f"Bearer {ANN[1]}")], INVALID),
    "another scheme": ([("Authorization", f"Basic {ANN[1]}")], REQUIRED),
    "no scheme": ([("Authorization", ANN[1])], REQUIRED),
    "a scheme and no key": ([("Authorization", "Bearer ")], REQUIRED),
    "bearer without a space": ([("Authorization", f"Bearer{ANN[1]}")], REQUIRED),
    "latin-1 bytes": ([("X-API-Key", b"schl\xfcssel-myrtle")], INVALID),
    "bytes that are no text": ([("X-API-Key", b"\xff\xfe\x80")], INVALID),
    "a very long key": ([("X-API-Key", "kmyrtle" * 8_500)], INVALID),
    "the stored hash": ([("X-API-Key", KEYS["BOB_KEY"])], INVALID),
    "the digits of the hash": ([("X-API-Key", KEYS["BOB_KEY"].removeprefix("sha256:"))], INVALID),
    "the name of a key": ([("X-API-Key", "ann")], INVALID),
    "the name of a variable": ([("X-API-Key", "ANN_KEY")], INVALID),
}


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream", "/auth/ticket"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_answered_with_401(guarded: Server, attack: str, path: str) -> None:
    headers, body = ATTACKS[attack]
    answer = ask(guarded, "POST", path, headers, b"this is no JSON")
    assert (answer.status, answer.body) == (401, body)
    assert answer.headers["www-authenticate"] == 'ApiKey realm="e2e", Bearer realm="e2e"'
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("header", "caller"),
    [
        (ANN, "ann"),
        (BOB, "bob"),
        (("x-api-KEY", f"  {ANN[1]}\t"), "ann"),
        (("Authorization", f"bEaReR {ANN[1]}"), "ann"),
        (("authorization", f" Bearer   {BOB[1]} "), "bob"),
    ],
)
def test_a_right_key_gets_in(guarded: Server, header: tuple[str, str], caller: str) -> None:
    answer = ask(guarded, "POST", "/invoke", [header])
    assert (answer.status, answer.body["output"]) == (200, {"caller": caller})


@pytest.mark.parametrize(
    "path", ["/metrics", "/docs", "/redoc", "/openapi.json", "/info", "/schema"]
)
def test_what_is_protected_is_closed_and_tells_nothing(guarded: Server, path: str) -> None:
    for headers, body in (([], REQUIRED), ([("X-API-Key", "wrong-myrtle")], INVALID)):
        answer = ask(guarded, "GET", path, headers)
        assert (answer.status, answer.body) == (401, body)
        assert "www-authenticate" in answer.headers
    assert ask(guarded, "GET", path, [ANN]).status == 200


@pytest.mark.parametrize(
    ("method", "path", "key", "permission"),
    [
        ("POST", "/invoke", EVE, "invoke"),
        ("POST", "/invoke/stream", EVE, "invoke"),
        ("GET", "/metrics", BOB, "view_metrics"),
        ("GET", "/docs", EVE, "read_docs"),
        ("GET", "/openapi.json", BOB, "read_docs"),
    ],
)
def test_a_role_without_the_permission_is_answered_with_403(
    guarded: Server, method: str, path: str, key: tuple[str, str], permission: str
) -> None:
    answer = ask(guarded, method, path, [key])
    message = f"This needs the permission {permission}."
    assert (answer.status, answer.body) == (403, refused(message, "PERMISSION_DENIED"))


def test_a_run_of_another_caller_is_gone(guarded: Server) -> None:
    assert ask(guarded, "POST", "/invoke/stream", [ANN, ("X-Run-ID", "of-ann")]).status == 200
    resumed = ask(guarded, "POST", "/invoke/stream", [ANN, ("Last-Event-ID", "of-ann:0")])
    assert resumed.status == 200
    answers = {
        run_id: ask(guarded, "POST", "/invoke/stream", [BOB, ("Last-Event-ID", f"{run_id}:0")])
        for run_id in ("of-ann", "never-was")
    }
    for run_id, answer in answers.items():
        assert answer.status == 410
        assert answer.body == {
            "success": False,
            "error": f"The run '{run_id}' is not held here (any more).",
            "code": "GONE",
            "details": None,
        }
    taken = ask(guarded, "POST", "/invoke", [BOB, ("X-Run-ID", "of-ann")])
    assert (taken.status, taken.body["code"]) == (409, "CONFLICT")


def ticket_for(server: Server, path: str, key: tuple[str, str] = ANN) -> str:
    answer = ask(server, "POST", "/auth/ticket", [key], json.dumps({"path": path}).encode())
    assert answer.status == 200
    return answer.body["ticket"]


def test_a_ticket_is_good_once_and_on_its_path_alone(guarded: Server) -> None:
    ticket = ticket_for(guarded, "/invoke/stream")
    first = ask(guarded, "POST", f"/invoke/stream?ticket={ticket}")
    assert first.status == 200
    assert b'"caller":"ann"' in first.body
    reused = ask(guarded, "POST", f"/invoke/stream?ticket={ticket}")
    assert (reused.status, reused.body) == (401, TICKET)

    ticket = ticket_for(guarded, "/invoke/stream")
    elsewhere = ask(guarded, "POST", f"/invoke?ticket={ticket}")
    assert (elsewhere.status, elsewhere.body) == (401, TICKET)
    made_up = ask(guarded, "POST", "/invoke?ticket=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    assert (made_up.status, made_up.body) == (401, TICKET)
    no_permission = ask(guarded, "POST", f"/invoke?ticket={ticket_for(guarded, '/invoke', EVE)}")
    assert no_permission.status == 403


def test_nothing_that_callers_send_to_prove_who_they_are_is_logged(guarded: Server) -> None:
    ticket = ticket_for(guarded, "/invoke")
    assert ask(guarded, "POST", f"/invoke?ticket={ticket}", body=b"{").status == 400
    assert ask(guarded, "GET", f"/nowhere?ticket={ticket}").status == 404
    assert ask(guarded, "POST", "/invoke", [("X-API-Key", "wrong-myrtle")]).status == 401
    assert ask(guarded, "POST", "/invoke", [ANN]).status == 200
    # It has been written once the counters are read.
    ask(guarded, "GET", "/metrics", [ANN])
    log = guarded.log
    assert '"variables":["ANN_KEY","BOB_KEY","EVE_KEY"]' in log
    assert '"status":401' in log
    hashed = KEYS["BOB_KEY"].removeprefix("sha256:")
    assert_untold(log, ticket, "willow", "poplar", "juniper", "myrtle", hashed)
