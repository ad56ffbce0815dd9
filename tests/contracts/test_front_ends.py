"""What every front end must do with a run: its reply, its errors, its bytes. One suite, all of them."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.testing import ScriptedAgent, running
from tests.contracts.front_ends.agents import Mcp
from tests.contracts.front_ends.base import FrontEnd, served
from tests.contracts.front_ends.every import each
from tests.untold import assert_untold

TEXTS = {
    "plain": ["The", " answer"],
    "unicode": ["é", "\u2028", "😀", "data: x\n\n", '"\\', "%d %s %%", "\r\n", "\x00\x1f"],
    "empty": ["", "a", "", "", "b", ""],
    "one": ["x" * 100_000],
    "many": [f"{number} " for number in range(10_000)],
}


@each()
@pytest.mark.parametrize("tokens", TEXTS.values(), ids=TEXTS)
async def test_the_reply_is_the_tokens(front: FrontEnd, tokens: list[str]) -> None:
    async with running(served(ScriptedAgent(tokens))) as app:
        answer = await front.tell(app, "hi")
    assert (answer.status, answer.heard.ended) == (200, "complete")
    assert answer.heard.text == "".join(tokens)
    assert answer.run_id


@each()
async def test_lone_surrogates_are_replaced(front: FrontEnd) -> None:
    async with running(served(ScriptedAgent(["a", "\ud83d", "\ude00b"]))) as app:
        answer = await front.tell(app, "hi")
    assert answer.heard.text in ("a\ufffd\ufffdb", "a😀b")


@each()
async def test_an_agent_without_tokens_says_its_output(front: FrontEnd) -> None:
    async def whole(payload: Any) -> Any:
        return {"content": f"all of {payload['query']}"}

    async with running(served(whole)) as app:
        answer = await front.tell(app, "it")
    assert (answer.heard.ended, answer.heard.text) == ("complete", "all of it")


@each()
async def test_an_output_that_is_no_text_is_json(front: FrontEnd) -> None:
    async def whole(payload: Any) -> Any:
        return {"sum": 3, "parts": [1, 2]}

    async with running(served(whole)) as app:
        answer = await front.tell(app, "it")
    assert (answer.heard.ended, answer.heard.text) == ("complete", '{"sum":3,"parts":[1,2]}')
    assert answer.heard.output in (None, {"sum": 3, "parts": [1, 2]})


class Fails:
    """Raises what tells of the machine and its secrets, at once or in the middle."""

    def __init__(self, after: str | None) -> None:
        self._after = after

    async def __call__(self, payload: Any) -> Any:
        if self._after is not None:
            yield self._after
        raise RuntimeError("cannot read /srv/app/secrets/model.bin with hunter2-hunter2")


@each()
@pytest.mark.parametrize("after", [None, "so far"], ids=["at once", "in the middle"])
@pytest.mark.parametrize("details", [True, False], ids=["details", "no details"])
async def test_an_agent_that_fails_is_an_error_that_tells_nothing(
    front: FrontEnd, after: str | None, details: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "hunter2-hunter2")
    app = served(Fails(after), auth={"mode": "api_key"}, expose={"error_details": details})
    async with running(app):
        answer = await front.tell(app, front.ask("hi").by(x_api_key="hunter2-hunter2"))
    heard = answer.heard
    assert (heard.ended, heard.code) in (
        ("error", "AGENT_EXECUTION_ERROR"),
        ("refused", "AGENT_EXECUTION_ERROR"),
    )
    assert ("RuntimeError" in heard.message) is details
    assert ("model.bin" in answer.everything) is details
    assert_untold(answer.everything, "/srv", "app/secrets", "hunter2", "Traceback", ".py")
    if front.streams and after is not None and not isinstance(front, Mcp):
        assert heard.text == after
