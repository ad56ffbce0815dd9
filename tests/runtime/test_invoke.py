"""`POST /invoke`, what is refused, and the answers of the other paths."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from dockrion.events.jsonable import encode
from dockrion.runtime.app import create_app
from dockrion.testing import ScriptedAgent, app_for, post, request, running

SCHEMA = {
    "input": {
        "type": "object",
        "properties": {"q": {"type": "string"}, "n": {"type": "integer", "minimum": 1}},
        "required": ["q"],
    }
}


async def echo(payload: Any) -> Any:
    return {"got": payload}


async def test_the_answer_of_invoke() -> None:
    async with running(app_for(echo)) as app, post(app, "/invoke", {"a": 1}) as exchange:
        answer = await exchange.json()
    assert exchange.status == 200
    assert answer["success"] is True
    assert answer["output"] == {"got": {"a": 1}}
    metadata = answer["metadata"]
    assert {"agent": "test", "framework": "custom"}.items() <= metadata.items()
    assert metadata["run_id"] == exchange.headers["x-run-id"]
    assert metadata["latency_seconds"] >= 0
    assert "output_valid" not in metadata


@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "part"),
    [
        (b"", {"content-type": "application/json"}, 400, "VALIDATION_ERROR", "empty"),
        (b"  \n", {}, 400, "VALIDATION_ERROR", "empty"),
        (b"{", {}, 400, "VALIDATION_ERROR", "not JSON"),
        (b'{"q": NaN}', {}, 400, "VALIDATION_ERROR", "not JSON: it has no NaN; send null."),
        (b'{"q": -Infinity}', {}, 400, "VALIDATION_ERROR", "it has no -Infinity; send null."),
        (b'{"q": -1e999}', {}, 400, "VALIDATION_ERROR", "The body has a number that is too large."),
        (b'{"q": "NaN",}', {}, 400, "VALIDATION_ERROR", "not JSON: trailing comma in object"),
        (b'{"q": "\xff"}', {}, 400, "VALIDATION_ERROR", "not UTF-8"),
        (b"[" * 200 + b"]" * 200, {}, 400, "VALIDATION_ERROR", "128 deep"),
        (b"[" * 100_000, {}, 400, "VALIDATION_ERROR", "128 deep"),
        (b'{"q": 1}', {}, 400, "VALIDATION_ERROR", "/q"),
        (b"{}", {}, 400, "VALIDATION_ERROR", '"q"'),
        (b"[]", {}, 400, "VALIDATION_ERROR", "object"),
        (b"{}", {"content-type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE", "text/plain"),
        (
            b"q=1",
            {"content-type": "application/x-www-form-urlencoded"},
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "-H 'Content-Type: application/json'",
        ),
        (b"x" * 2000, {}, 413, "PAYLOAD_TOO_LARGE", "1000 bytes"),
        (b"x" * 2000, {"content-length": ""}, 413, "PAYLOAD_TOO_LARGE", "1000 bytes"),
    ],
)
@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
async def test_bad_input_is_refused_before_the_agent(
    path: str, body: bytes, headers: dict[str, str], status: int, code: str, part: str
) -> None:
    agent = ScriptedAgent([{"a": 1}])
    app = app_for(agent, io_schema=SCHEMA, expose={"limits": {"max_body_bytes": 1000}})
    if len(body) > 1000 and body.startswith(b"["):
        app = app_for(agent, io_schema=SCHEMA)
    async with running(app) as live, post(live, path, body, headers=headers) as exchange:
        answer = await exchange.json()
    assert exchange.status == status
    assert answer["success"] is False
    assert answer["code"] == code
    assert part in answer["error"]
    assert agent.payloads == []
    if code == "VALIDATION_ERROR":
        assert set(answer["details"][0]) == {"pointer", "message", "type"}
    if status == 413:
        assert exchange.headers["connection"] == "close"


async def test_deep_brackets_inside_text_are_fine() -> None:
    text = "[{" * 300 + '\\"'
    async with running(app_for(echo)) as app, post(app, "/invoke", {"q": text}) as exchange:
        answer = await exchange.json()
    assert answer["output"] == {"got": {"q": text}}


@pytest.mark.parametrize(
    "media", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json", None]
)
async def test_every_json_media_type_and_none_count_as_json(media: str | None) -> None:
    async with running(app_for(echo)) as app:

        async def without_type(scope: Any, receive: Any, send: Any) -> None:
            headers = [(k, v) for k, v in scope["headers"] if media or k != b"content-type"]
            await app({**scope, "headers": headers}, receive, send)

        headers = {"content-type": media} if media else {}
        async with post(without_type, "/invoke", {"a": 1}, headers=headers) as exchange:
            assert exchange.status == 200 or (await exchange.head()).status == 200


@pytest.mark.parametrize(
    ("returned", "schema", "output"),
    [
        ({"a": 1}, None, {"a": 1}),
        ("text", {"type": "string"}, "text"),
        ([1], {"type": "array", "items": {}}, [1]),
        (None, {"type": "null"}, None),
        (3, {"type": "number"}, 3),
    ],
)
async def test_outputs_of_every_root_type(returned: Any, schema: Any, output: Any) -> None:
    async def agent(payload: Any) -> Any:
        return returned

    app = app_for(agent, io_schema={"output": schema} if schema else {})
    async with running(app) as live, post(live, "/invoke", {}) as exchange:
        answer = await exchange.json()
    assert answer["output"] == output
    assert "output_valid" not in answer["metadata"]


@pytest.mark.parametrize(
    ("returned", "schema"),
    [
        (None, None),
        ("text", None),
        ([1], None),
        (None, {"type": "string"}),
        (3, {"type": "object"}),
    ],
)
async def test_what_is_no_output_is_invalid_output(returned: Any, schema: Any) -> None:
    async def agent(payload: Any) -> Any:
        return returned

    app = app_for(agent, io_schema={"output": schema, "strict": False} if schema else {})
    async with running(app) as live, post(live, "/invoke", {}) as exchange:
        answer = await exchange.json()
    assert (exchange.status, answer["code"]) == (500, "INVALID_OUTPUT")


@pytest.mark.parametrize(
    ("schema", "output"),
    [
        ({"type": "string"}, "ab"),
        ({"properties": {"reply": {"type": "string"}, "n": {"type": "integer"}}}, {"reply": "ab"}),
        ({"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}, {"content": "ab"}),
        (None, {"content": "ab"}),
    ],
)
async def test_joined_tokens_go_where_the_schema_says(schema: Any, output: Any) -> None:
    async def agent(payload: Any) -> Any:
        yield "a"
        yield "b"

    app = app_for(agent, io_schema={"output": schema} if schema else {})
    async with running(app) as live, post(live, "/invoke", {}) as exchange:
        assert (await exchange.json())["output"] == output


STRICT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


async def test_output_that_does_not_fit_is_returned_and_marked() -> None:
    async def agent(payload: Any) -> Any:
        return {"n": "x", "extra": 1}

    app = app_for(agent, io_schema={"output": STRICT})
    async with running(app) as live, post(live, "/invoke", {}) as exchange:
        answer = await exchange.json()
    assert answer["output"] == {"n": "x", "extra": 1}
    assert answer["metadata"]["output_valid"] is False


async def test_enforce_makes_a_mismatch_an_error() -> None:
    async def agent(payload: Any) -> Any:
        return {"n": "x"}

    app = app_for(agent, io_schema={"output": STRICT, "strict": "enforce"})
    async with running(app) as live, post(live, "/invoke", {}) as exchange:
        answer = await exchange.json()
    assert (exchange.status, answer["code"]) == (500, "INVALID_OUTPUT")
    assert answer["details"][0]["pointer"] == "/n"


async def test_an_output_over_the_limit_is_cut_and_says_so() -> None:
    async def whole(payload: Any) -> Any:
        return {"long": "é" * 5000, "short": "keep", "n": 1}

    async def tokens(payload: Any) -> Any:
        for _ in range(500):
            yield "0123456789"

    for agent in (whole, tokens):
        app = app_for(agent, expose={"limits": {"max_output_bytes": 1000}})
        async with running(app) as live, post(live, "/invoke", {}) as exchange:
            answer = await exchange.json()
        assert answer["metadata"]["truncated"] is True
        if agent is whole:
            assert answer["output"]["short"] == "keep"
            assert answer["output"]["long"] == "é" * len(answer["output"]["long"])
        else:
            assert answer["output"]["content"].startswith("0123456789" * 90)


@pytest.mark.parametrize("char", ["a", "\u00e9", "\u20ac", "\U0001f600", "\n"])
@pytest.mark.parametrize("schema", [{}, {"output": {"type": "string"}}])
async def test_joined_tokens_have_as_many_bytes_as_an_output_may(
    char: str, schema: dict[str, Any]
) -> None:
    async def agent(payload: Any) -> Any:
        for _ in range(500):
            yield char * 3

    app = app_for(agent, io_schema=schema, expose={"limits": {"max_output_bytes": 999}})
    async with running(app) as live, post(live, "/invoke", {}) as exchange:
        answer = await exchange.json()
    assert answer["metadata"]["truncated"] is True
    frame = len(encode({"content": ""}))
    text = answer["output"]["content"] if not schema else answer["output"]
    assert set(text) == {char}
    size = len(encode({"content": text}))
    assert size <= 999 < size + len(encode({"content": char})) - frame


async def test_error_details_off_hides_the_sentence_and_gives_an_id() -> None:
    async def agent(payload: Any) -> Any:
        raise ValueError("the word is xyzzy")

    app = app_for(agent, expose={"error_details": False})
    async with running(app) as live, post(live, "/invoke", {}) as exchange:
        answer = await exchange.json()
    assert (exchange.status, answer["code"]) == (500, "AGENT_EXECUTION_ERROR")
    assert "xyzzy" not in answer["error"]
    assert "error_id" in answer["error"]


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
async def test_error_details_off_hides_an_output_that_is_wrong(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def agent(payload: Any) -> Any:
        return {"text": ["the word is xyzzy"]}

    output = {"properties": {"text": {"type": "string"}}}
    schema = {"output": output, "strict": "enforce"}
    for details, is_seen in ((True, True), (False, False)):
        app = app_for(agent, io_schema=schema, expose={"error_details": details})
        async with running(app) as live, post(live, path, {}) as exchange:
            answer = (await exchange.read()).decode()
        assert "INVALID_OUTPUT" in answer
        assert ("xyzzy" in answer) is is_seen
    (said,) = (vars(record) for record in caplog.records if "error_id" in vars(record))
    assert said["error_id"] in answer
    assert "xyzzy" in said["error"]


async def test_other_methods_are_refused_with_allow() -> None:
    async with running(app_for(echo)) as app:
        for path in ("/invoke", "/invoke/stream"):
            async with request(app, "GET", path) as exchange:
                answer = await exchange.json()
            assert (exchange.status, answer["code"]) == (405, "METHOD_NOT_ALLOWED")
            assert exchange.headers["allow"] == "POST"


async def test_status_paths() -> None:
    app = app_for(
        echo,
        agent={"name": "test", "handler": "m:f", "description": "Says <b>what</b> you said"},
        io_schema=SCHEMA,
    )
    async with running(app) as live:
        await app.state.dockrion.loaded()
        answers: dict[str, Any] = {}
        for path in ("/health", "/ready", "/schema", "/info"):
            async with request(live, "GET", path) as exchange:
                answers[path] = await exchange.json()
            assert exchange.status == 200
            assert exchange.headers["x-request-id"]
        async with request(live, "GET", "/") as page:
            html = (await page.read()).decode()
        async with request(live, "GET", "/nowhere") as missing:
            nothing = await missing.json()
    health = answers["/health"]
    assert health["status"] == "ok"
    assert health["service"] == "runtime:test"
    assert health["version"] == answers["/info"]["version"]
    assert health["timestamp"].endswith("Z")
    assert answers["/ready"] == {"success": True, "status": "ready", "agent": "test"}
    assert answers["/schema"] == {
        "success": True,
        "agent": "test",
        "input_schema": SCHEMA["input"],
        "output_schema": None,
    }
    info = answers["/info"]
    assert info["agent"]["description"] == "Says <b>what</b> you said"
    assert info["auth_enabled"] is False
    assert info["adapter"]["type"] == "handler"
    assert "&lt;b&gt;what" in html
    assert "<b>what" not in html
    assert (missing.status, nothing["code"]) == (404, "NOT_FOUND")


async def test_request_ids_are_taken_over_or_made() -> None:
    async with running(app_for(echo)) as app:
        async with post(app, "/invoke", {}, headers={"X-Request-ID": "abc-1"}) as exchange:
            await exchange.read()
        async with post(app, "/invoke", {}, headers={"X-Request-ID": "bad id"}) as other:
            await other.read()
    assert exchange.headers["x-request-id"] == "abc-1"
    assert other.headers["x-request-id"] not in ("", "bad id")


def write_agent(folder: Any, source: str, name: str) -> dict[str, Any]:
    (folder / f"{name}.py").write_text(source)
    return {
        "version": "1.0",
        "agent": {"name": "test", "handler": f"{name}:handle"},
        "io_schema": {},
        "expose": {},
    }


async def test_an_agent_that_fails_to_load_does_not_stop_the_server(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = create_app(write_agent(tmp_path, "import nothing_of_that_name_xyz\n", "bad_agent_one"))
    async with running(app) as live:
        async with post(live, "/invoke", {}) as exchange:
            answer = await exchange.json()
        async with request(live, "GET", "/health") as health:
            await health.read()
        async with request(live, "GET", "/ready") as ready:
            state = await ready.json()
    assert (exchange.status, answer["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert "nothing_of_that_name_xyz" in answer["error"]
    assert health.status == 200
    assert (ready.status, state["status"]) == (503, "failed")
    assert "nothing_of_that_name_xyz" in state["error"]


async def test_calls_wait_for_an_agent_that_is_still_loading(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = (
        "import threading\n"
        "from tests.runtime import gate\n"
        "gate.started.set()\n"
        "gate.go_on.wait(5)\n"
        "def handle(payload):\n    return {}\n"
    )
    from tests.runtime import gate

    app = create_app(write_agent(tmp_path, source, "slow_agent_one"))
    with anyio.fail_after(10):
        async with running(app) as live:
            await asyncio.to_thread(gate.started.wait, 5)
            async with request(live, "GET", "/ready") as ready:
                state = await ready.json()
            async with post(live, "/invoke", {}) as exchange:
                await asyncio.sleep(0)
                gate.go_on.set()
                answer = await exchange.json()
    assert (ready.status, state["status"]) == (503, "loading")
    assert answer["success"] is True


@pytest.mark.parametrize(
    ("body", "headers", "status", "part"),
    [
        (b'{"q":"\xff"}', {}, 400, "not UTF-8: byte 6"),
        (b'{"q":"\\ud800"}', {}, 400, "surrogate"),
        (b'{"q":"\\udc00x"}', {}, 400, "surrogate"),
        (b"\x1f\x8b\x08", {"content-encoding": "gzip"}, 415, "Content-Encoding"),
    ],
)
async def test_bad_encodings_are_named(
    body: bytes, headers: dict[str, str], status: int, part: str
) -> None:
    async with running(app_for(echo)) as app, post(app, "/invoke", body, headers=headers) as answer:
        error = (await answer.json())["error"]
    assert answer.status == status
    assert part in error


@pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"q": 1}', b'{"q": "\\ud83d\\ude00"}'])
async def test_a_byte_order_mark_and_surrogate_pairs_are_fine(body: bytes) -> None:
    async with running(app_for(echo)) as app, post(app, "/invoke", body) as answer:
        await answer.read()
    assert answer.status == 200


@pytest.mark.parametrize("path", ["/invoke/", "/invoke/stream/", "/health/", "/info/?a=1"])
async def test_a_trailing_slash_is_redirected_to_where_the_caller_came_from(path: str) -> None:
    headers = {"Host": "elsewhere.example"}
    async with running(app_for(echo)) as app:
        async with request(app, "POST", path, body=b"{}", headers=headers) as answer:
            await answer.read()
    assert answer.status == 307
    assert answer.headers["location"] == path.replace("/?", "?").removesuffix("/")


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("PUT", "/health")])
async def test_an_answer_names_the_path_and_is_short_however_long_that_is(
    method: str, path: str
) -> None:
    async with running(app_for(echo)) as app:
        async with request(app, method, path) as answer:
            assert path in (await answer.json())["error"]
        async with request(app, method, "/" + "a" * 5000) as answer:
            assert len((await answer.json())["error"]) < 300


async def test_probes_may_ask_by_head() -> None:
    async with running(app_for(echo)) as app:
        for path in ("/health", "/"):
            async with request(app, "HEAD", path) as answer:
                await answer.read()
            assert answer.status == 200


async def test_values_of_declared_secrets_do_not_reach_the_caller(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROBE_KEY", raising=False)
    (tmp_path / ".env").write_text("PROBE_KEY=sk-verysecret123\n")
    (tmp_path / "secretive_agent.py").write_text(
        "def handle(payload):\n    raise ValueError('401 for sk-verysecret123 at h')\n"
    )
    (tmp_path / "Dockfile.yaml").write_text(
        'version: "1.0"\nagent: {name: test, handler: "secretive_agent:handle"}\n'
        "io_schema: {}\nexpose: {}\nsecrets: {required: [{name: PROBE_KEY}]}\n"
    )
    async with running(create_app(tmp_path / "Dockfile.yaml")) as app:
        async with post(app, "/invoke", {}) as plain:
            answer = await plain.json()
        async with post(app, "/invoke/stream", {}) as stream:
            body = await stream.read()
    assert answer["error"] == "ValueError: 401 for *** at h"
    assert b"sk-verysecret" not in body


async def test_calls_that_wait_for_a_loading_agent_hear_of_a_shutdown(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "endless_factory.py").write_text(
        "import asyncio\nasync def made():\n    await asyncio.Event().wait()\n"
    )
    app = create_app(
        {
            "version": "1.0",
            "agent": {"name": "test", "entrypoint": "endless_factory:made", "framework": "custom"},
            "io_schema": {},
            "expose": {},
        }
    )
    with anyio.fail_after(5):
        async with running(app) as live, post(live, "/invoke", {}) as exchange:
            for _ in range(20):
                await asyncio.sleep(0)
            await app.state.dockrion.drain()
            answer = await exchange.json()
    assert (exchange.status, answer["code"]) == (503, "SHUTTING_DOWN")
