"""Secrets that an agent gives away, looked for in every byte that leaves a real server, in its log and its files."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .agents.leaking import ALL, CARD, EMAIL, KEY, SSN
from .frames import parse_all
from .server import Server, agent_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import StartServer

RULES = [
    r"[\w.+-]+@[\w-]+\.[\w.]+\w",
    r"\b(?:\d[ -]?){13,16}\b",
    r"sk-[A-Za-z0-9]{20,}",
    r"\b\d{3}-\d{2}-\d{4}\b",
]
SAFE = "card [REDACTED], mail [REDACTED], key [REDACTED], number [REDACTED]."
# Of each secret a part that nothing else has.
PARTS = (
    "4111 ",
    "41111",
    "1111 1",
    "jane",
    ".doe",
    "mail.example",
    "abcdefghij",
    "078-",
    "-1120",
    r"\u0040",
)
SECTIONS: dict[str, Any] = {
    "policies": {"safety": {"redact_patterns": RULES, "block_prompt_injection": False}},
    "streaming": {"connection": {"on_disconnect": "continue"}},
}
WAYS = (
    "a growing address",
    "keys of a step",
    "a checkpoint",
    "a custom event",
    "progress",
    "an exception",
    "the log",
    "the output",
)


# Ids and measured times are made by chance, and so may hold any short run of digits.
BY_CHANCE = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b|\d+\.\d+(?:e-\d+)?"
)


def assert_clean(text: str) -> None:
    text = BY_CHANCE.sub("<by chance>", text)
    assert [part for part in PARTS if part in text] == []


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Start servers whose agents raise, so that there are tracebacks in their logs."""
    running: dict[str, Server] = {}

    def start(handler_source: str, *, handler: str = "handle", **sections: Any) -> Server:
        key = json.dumps([handler, sections])
        if key not in running:
            folder = tmp_path_factory.mktemp("server")
            running[key] = Server(folder, handler_source, handler=handler, sections=sections)
        return running[key]

    yield start
    for one in running.values():
        one.signal(signal.SIGTERM)
    assert [one.wait() for one in running.values()] == [0] * len(running)


@pytest.fixture
def leaking(failing: StartServer) -> Server:
    return failing(agent_source("leaking"), **SECTIONS)


def ask(server: Server, path: str, payload: Any, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.post(server.url + path, json=payload, headers=headers)


@pytest.mark.parametrize("size", [*range(1, 20), 40, 1000])
def test_secrets_that_are_cut_into_tokens(leaking: Server, size: int) -> None:
    payload = {"way": "tokens", "size": size}
    whole = ask(leaking, "/invoke", payload)
    stream = ask(leaking, "/invoke/stream", payload)
    assert whole.json()["output"] == {"content": SAFE}
    assert_clean(stream.text)
    events = parse_all(stream.content)
    tokens = [event.data["content"] for event in events if event.event == "token"]
    assert "".join(tokens) == SAFE
    assert events[-1].data["output"] == {"content": SAFE}
    # The last event the caller has seen is the first: all others come from where they were stored.
    run_id = events[0].data["run_id"]
    stored = ask(leaking, "/invoke/stream", {}, **{"Last-Event-ID": f"{run_id}:0"})
    assert stored.status_code == 200
    assert_clean(stored.text)
    assert parse_all(stored.content) == events[1:]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
def test_secrets_in_everything_else(leaking: Server, way: str, path: str) -> None:
    answer = ask(leaking, path, {"way": way})
    assert answer.status_code == (500 if way == "an exception" and path == "/invoke" else 200)
    assert_clean(answer.text)
    if way != "the log" and path == "/invoke/stream":
        assert "[REDACTED]" in answer.text


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
def test_secrets_in_the_arguments_and_answers_of_tools(failing: StartServer, path: str) -> None:
    one = failing(agent_source("leaking"), handler="tool_call", **SECTIONS)
    answer = ask(one, path, {})
    assert answer.status_code == 200
    assert_clean(answer.text)
    if path == "/invoke/stream":
        call = parse_all(answer.content)[1].data
        assert call["arguments"] == {"to": "[REDACTED]", "card": "[REDACTED]"}


@pytest.mark.parametrize("before", range(960, 1000, 3))
def test_secrets_in_an_exception_that_is_cut_to_a_length(leaking: Server, before: int) -> None:
    answer = ask(leaking, "/invoke", {"way": "a long exception", "before": before})
    assert answer.status_code == 500
    assert_clean(answer.text)


def test_secrets_in_the_log_its_file_and_the_metrics(leaking: Server) -> None:
    for way in (*WAYS, "tokens"):
        ask(leaking, "/invoke/stream", {"way": way, "size": 3})
    log = leaking.log
    assert "charging [REDACTED]" in log
    assert "failed for [REDACTED]" in log
    assert_clean(log)
    files = [path for path in leaking.folder.rglob(".dockrion_runtime/**/*") if path.is_file()]
    assert any(path.suffix == ".log" for path in files)
    for path in files:
        assert_clean(path.read_text())
    with httpx.Client(trust_env=False) as client:
        for page in ("/metrics", "/info", "/schema", "/openapi.json", "/ready", "/"):
            assert_clean(client.get(leaking.url + page).text)


@pytest.mark.parametrize("way", [*WAYS, "tokens"])
@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
def test_a_match_ends_the_run_where_the_dockfile_says_so(
    failing: StartServer, way: str, path: str
) -> None:
    safety = {**SECTIONS["policies"]["safety"], "halt_on_violation": True}
    one = failing(agent_source("leaking"), policies={"safety": safety})
    answer = ask(one, path, {"way": way, "size": 4})
    assert_clean(answer.text)
    if way == "the log" or (
        path == "/invoke"
        and way in ("keys of a step", "a checkpoint", "a custom event", "progress")
    ):
        # Nothing that matches would have left.
        assert answer.status_code == 200
        return
    if path == "/invoke":
        assert answer.status_code == 400
        assert answer.json()["code"] == "POLICY_VIOLATION"
        return
    last = parse_all(answer.content)[-1]
    assert last.event == "error"
    assert last.data["code"] == "POLICY_VIOLATION"
    with httpx.Client(trust_env=False) as client:
        metrics = client.get(one.url + "/metrics").text
    assert 'dockrion_policy_violations_total{rule="redaction"}' in metrics


def test_the_secrets_are_what_the_agent_would_give_away() -> None:
    assert all(secret in ALL for secret in (CARD, EMAIL, KEY, SSN))
