"""What a caller reads at the path of a front end that is off, and who is told where those are that are on."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.runtime.endpoints.protocols import PROTOCOLS as SERVED
from dockrion.runtime.front_ends import PROTOCOLS, front_ends
from dockrion.spec.expose import PROTOCOLS as NAMES
from dockrion.testing import app_for, request, running


async def echo(payload: Any) -> Any:
    return payload


async def error_at(app: Any, path: str, method: str = "POST") -> tuple[int, str]:
    async with request(app, method, path) as exchange:
        body = await exchange.json()
    assert body["code"] == "NOT_FOUND"
    return exchange.status, body["error"]


def test_every_protocol_has_an_address_below_its_own_paths() -> None:
    assert set(PROTOCOLS) == set(NAMES)
    for name in NAMES:
        host = app_for(echo, expose={"protocols": [name]}).state.dockrion
        [(_, path)] = front_ends(host.spec)
        assert any(one.startswith(path) for one in SERVED.get(name)(host).paths)


@pytest.mark.parametrize("name", NAMES)
async def test_every_path_of_a_protocol_that_is_off_says_what_switches_it_on(name: str) -> None:
    host = app_for(echo, expose={"protocols": [name]}).state.dockrion
    paths = SERVED.get(name)(host).paths

    app = app_for(echo, expose={"protocols": [one for one in NAMES if one != name]})
    async with running(app):
        for path in (*paths, f"{paths[0]}/"):
            assert await error_at(app, path) == (
                404,
                f"There is nothing at {path}: expose.protocols in the Dockfile does not name {name}.",
            )


@pytest.mark.parametrize(
    ("sections", "path", "why"),
    [
        ({"expose": {"rest": False}}, "/invoke", "expose.rest in the Dockfile is false"),
        (
            {"expose": {"streaming": "websocket"}},
            "/invoke/stream",
            "expose.streaming in the Dockfile does not name sse",
        ),
        ({}, "/invoke/ws", "expose.streaming in the Dockfile does not name websocket"),
        *(
            (
                {"streaming": {"async_runs": False}},
                path,
                "streaming.async_runs in the Dockfile is false",
            )
            for path in ("/runs", "/runs/a", "/runs/a/events", "/runs/a/resume")
        ),
        *(
            (
                {"expose": {"protocols": ["openai"]}},
                path,
                "the base URL of OpenAI's clients ends in /v1",
            )
            for path in ("/chat/completions", "/responses", "/models")
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/agents/echo"])
async def test_so_do_the_paths_of_ours(
    sections: dict[str, Any], path: str, why: str, prefix: str
) -> None:
    expose = {**sections.get("expose", {}), **({"root_path": prefix} if prefix else {})}
    app = app_for(echo, **{**sections, "expose": expose})
    async with running(app):
        status, error = await error_at(app, f"{prefix}{path}")

    assert (status, error) == (404, f"There is nothing at {prefix}{path}: {why}.")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/v1/embeddings", "/v1", "/runs/a/output", "/mcp/x", "/chat", "/invoke/x", "/v12"],
)
async def test_no_reason_is_made_up(path: str) -> None:
    app = app_for(echo, expose={"protocols": ["openai"]})
    async with running(app):
        assert await error_at(app, path, "GET") == (404, f"There is nothing at {path}.")


async def test_clients_of_openai_are_not_sent_to_v1_where_it_is_off() -> None:
    app = app_for(echo)
    async with running(app):
        assert await error_at(app, "/models", "GET") == (404, "There is nothing at /models.")
