"""The real client of OpenAI's protocols against a real server: `openai`, of npm."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .chatting import KEY, chatting
from .cutting import cutting
from .puppet import CHAT, Puppet
from .readers import CLIENTS
from .server import Server, agent_source

if TYPE_CHECKING:
    from .conftest import StartServer

PAGE = Path(__file__).parents[2] / "docs" / "openai.md"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    held = {"connection": {"on_disconnect": "continue"}}
    with chatting(tmp_path_factory, "openai", streaming=held) as one:
        yield one


@pytest.mark.node
def test_the_client_gets_what_that_of_pypi_gets(served: Server, server: StartServer) -> None:
    expose = {"protocols": ["openai"]}
    strung = server(agent_source("puppet") + CHAT, handler="chat", expose=expose)
    words = " ".join(map(str, range(30)))
    with (
        cutting(served.port, [2500, 1500]) as cut,
        Puppet() as background,
        Puppet() as left,
    ):
        told = {
            "url": served.url,
            "key": KEY,
            "cutting": cut,
            "words": words,
            "strung": strung.url,
            "ports": [str(one.payload["puppet"]) for one in (background, left)],
        }
        ran = subprocess.run(
            ["node", "openai.mjs"],
            cwd=CLIENTS,
            input=json.dumps(told),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        for one in (background, left):
            assert one.left(within=2) == "CancelledError"
    seen = json.loads(ran.stdout)
    assert seen["models"] == ["e2e"]
    assert seen["reply"] == seen["accumulated"] == "one two "
    assert seen["pieces"] == ["", "one ", "two ", None]
    assert seen["raised"]["pieces"] == ["", "Well, "]
    assert seen["raised"]["error"][:2] == ["APIError", "AGENT_EXECUTION_ERROR"]
    assert seen["failed"][:2] == ["InternalServerError", "AGENT_EXECUTION_ERROR"]
    assert seen["refused"][:2] == ["BadRequestError", "VALIDATION_ERROR"]
    assert seen["unknown"][:2] == ["AuthenticationError", "AUTH_ERROR"]
    assert seen["types"][0] == "response.created"
    assert seen["types"][-1] == "response.completed"
    assert (seen["items"], seen["text"]) == (["mcp_call", "message"], "It is 3.")
    is_lost, said = seen["lost"]
    assert is_lost
    assert f"{words} ".startswith(said)
    assert said != f"{words} "
    assert seen["again"] == [True, True, False]
    counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert seen["usage"] == [counts, counts]
    assert seen["questions"] == ["Really?", "stop", "Really?"]
    assert seen["thread"] is True
    assert seen["background"][0] in ("queued", "in_progress")
    assert seen["background"][1:] == ["response.created", "cancelled", "cancelled"]
    assert seen["left"] == ["assistant"]
    assert seen["cut"] == {
        "error": True,
        "numbers": list(range(len(seen["cut"]["numbers"]))),
        "text": f"{words} ",
    }


@pytest.mark.node
def test_the_javascript_of_the_page_runs(served: Server) -> None:
    [snippet] = re.findall(r"(?ms)^```js\n(.*?)^```$", PAGE.read_text())
    code = snippet.replace("http://127.0.0.1:8080", served.url).replace("<your key>", KEY)
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", code],
        cwd=CLIENTS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "one two "), ran.stderr
