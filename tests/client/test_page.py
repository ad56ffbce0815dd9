"""Every snippet of docs/python-client.md runs against a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Running, running

PAGE = (Path(__file__).parents[2] / "docs" / "python-client.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SERVICE = """
async def handle(payload, context):
    if payload["query"] == "ask me":
        yield {"answer": await context.ask("Really?")}
    else:
        yield "be"
        yield "cause"
"""
DOCKFILE = """
version: "1.0"
agent: {name: page, handler: "service:handle"}
io_schema: {input: {properties: {query: {type: string}}, required: [query]}}
expose: {}
streaming: {connection: {on_disconnect: continue}}
"""
# What each prints, with `…` for what is another one each time.
PRINTS = [
    "{'content': 'because'}\n",
    "because\n {'content': 'because'}\n",
    "0 started Started(agent='page', framework='custom', attempt=None)\n1 token Token(content='be', …",
    "{'content': 'because'}\n",
    "",
    "{'content': 'because'}\nCOMPLETED\n…",
    "{'answer': 'yes'}\n",
    "",
    "VALIDATION_ERROR …",
    "",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "service.py").write_text(SERVICE)
    (folder / "Dockfile.yaml").write_text(DOCKFILE)
    with running(folder / "Dockfile.yaml") as one:
        one.until_ready()
        yield one


@pytest.mark.parametrize(("snippet", "prints"), list(zip(SNIPPETS, PRINTS, strict=True)))
def test_a_snippet_does_what_it_says(server: Running, snippet: str, prints: str) -> None:
    source = snippet.replace("http://localhost:8080", server.url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    start, more, _ = prints.partition("…")
    assert done.stdout.startswith(start) if more else done.stdout == prints


def test_the_options_of_the_page_are_all_that_there_are() -> None:
    from inspect import signature

    from dockrion import AsyncClient, Client

    [snippet] = [one for one in SNIPPETS if "idle_timeout" in one]
    shown = ["url", *re.findall(r"^    (\w+)=", snippet, re.MULTILINE)]
    assert [*signature(Client).parameters] == [*signature(AsyncClient).parameters] == shown
    defaults = {name: one.default for name, one in signature(Client).parameters.items()}
    for name, value in re.findall(r"^    (\w+)=(\d+),", snippet, re.MULTILINE):
        assert defaults[name] == float(value)
