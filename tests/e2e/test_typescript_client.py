"""The TypeScript client against live servers: the snippets of its page, and connections that break."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.web.typescript import TIMEOUT_SECONDS, compile_programs, install_client, run

from .cutting import cutting
from .server import agent_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import StartServer
    from .server import Server

PAGE = Path(__file__).parents[2] / "docs" / "typescript-client.md"
SNIPPETS = re.findall(r"^```ts\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
# What each snippet prints, in a pattern: one for each of the page, in its order.
PRINTED = [
    r"Hello \n\{ content: 'Hello' \} \d",
    r"Hello",
    r"Hello",
    r"",
    r"started\ntoken\ncomplete",
    r"complete\nCOMPLETED \{ content: 'Hello' \}\n[1-9]\d* ",
    r"Hello \ncomplete$",
    r"\{ question: 'Send it\?', text: 'Hello' \}\ntoken\ncomplete",
    r".*text.*string.*pointer: '/text'",
]
INPUT = {
    "properties": {"text": {"type": "string"}, "ask": {"type": "boolean"}},
    "required": ["text"],
}
HELD = {"connection": {"on_disconnect": "continue"}}
WORDS = 60

# Prints each event as a line of JSON. Arguments: the server, what to follow ("direct" or "run"), the payload.
FOLLOWING = """
import { Client } from 'dockrion-client';

const [url, way, payload] = process.argv.slice(2);
const client = new Client(url, { reconnect: { firstMs: 20, longestMs: 500, attempts: 60 } });
const input = JSON.parse(payload);
const stream =
  way === 'direct' ? client.stream(input) : client.runs.events((await client.runs.create(input)).run_id);
for await (const event of stream) {
  console.log(JSON.stringify(event));
}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_client(tmp_path_factory.mktemp("typescript"))


@pytest.fixture(scope="module")
def programs(project: Path, server: StartServer) -> Path:
    """The snippets of the page, checked and compiled, with a live server in place of the one they name."""
    url = server(agent_source("assistant"), io_schema={"input": INPUT}).url
    for number, snippet in enumerate(SNIPPETS):
        # The agent here takes a `text`, the README's a `query`.
        code = snippet.replace("http://localhost:8080", url).replace("{ query:", "{ text:")
        (project / f"snippet{number}.ts").write_text(code)
    compile_programs(project)
    return project


def test_each_snippet_has_its_expectation() -> None:
    assert len(SNIPPETS) == len(PRINTED)


@pytest.mark.node
@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_of_the_page_does_what_it_says(programs: Path, number: int) -> None:
    # Node.js has an `EventSource` as browsers have it, when it is told so.
    said = run(
        "node", "--no-warnings", "--experimental-eventsource", f"snippet{number}.js", cwd=programs
    )
    assert re.match(PRINTED[number], said, re.DOTALL), said


@pytest.fixture
def follow(project: Path) -> Iterator[Any]:
    """Start the client; what it prints is read by the test."""
    (project / "following.mjs").write_text(FOLLOWING)
    started: list[subprocess.Popen[str]] = []

    def start(url: str, way: str, payload: dict[str, Any]) -> subprocess.Popen[str]:
        command = ["node", "following.mjs", url, way, json.dumps(payload)]
        started.append(
            subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, encoding="utf-8")
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.node
@pytest.mark.parametrize("way", ["direct", "run"])
def test_a_stream_that_is_cut_is_whole(server: StartServer, follow: Any, way: str) -> None:
    one = server(agent_source("assistant"), streaming=HELD)
    payload = {"text": " ".join(f"word{n}" for n in range(WORDS)), "seconds": 0.01}
    # The run is started on the first connection, and followed on the next ones.
    cuts = [100, 1000, 1, 500, 2000] if way == "direct" else [100_000, 100, 1000, 1, 500]
    with cutting(one.port, cuts) as url:
        said, _ = follow(url, way, payload).communicate(timeout=TIMEOUT_SECONDS)
    events = [json.loads(line) for line in said.splitlines()]
    assert [event["type"] for event in events] == ["started", *["token"] * WORDS, "complete"]
    assert [event["sequence"] for event in events] == list(range(WORDS + 2))
    assert len({event["run_id"] for event in events}) == 1


@pytest.mark.node
def test_a_run_is_followed_through_a_restart_of_the_server(
    own_server: StartServer, follow: Any
) -> None:
    one: Server = own_server(
        agent_source("gated"),
        streaming={"backend": "sqlite"},
        runs={"max_attempts": 2, "lease_seconds": 2},
        expose={"shutdown_grace": 1},
    )
    following = follow(one.url, "run", {})
    # All that the first attempt says.
    lines = [following.stdout.readline() for _ in range(21)]
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    (one.folder / "go").touch()
    one.start_again()
    rest, _ = following.communicate(timeout=TIMEOUT_SECONDS)
    events = [json.loads(line) for line in [*lines, *rest.splitlines()]]
    # Handed back, the run begins anew.
    attempt = ["started", *["token"] * 20]
    assert [event["type"] for event in events] == [*attempt, *attempt, "complete"]
    assert [event["sequence"] for event in events] == list(range(43))
