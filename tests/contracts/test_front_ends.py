"""What every front end must do with a run: its reply, its errors, its bytes. One suite, all of them."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import ScriptedAgent, running
from tests.contracts.front_ends import FRONT_ENDS, FrontEnd, served

every = pytest.mark.parametrize("front", FRONT_ENDS, ids=lambda front: front.name)

TEXTS = {
    "plain": ["The", " answer"],
    "unicode": ["é", "\u2028", "😀", "data: x\n\n", '"\\', "%d %s %%", "\r\n", "\x00\x1f"],
    "empty": ["", "a", "", "", "b", ""],
    "one": ["x" * 100_000],
    "many": [f"{number} " for number in range(10_000)],
}


@every
@pytest.mark.parametrize("tokens", TEXTS.values(), ids=TEXTS)
async def test_the_reply_is_the_tokens(front: FrontEnd, tokens: list[str]) -> None:
    async with running(served(ScriptedAgent(tokens))) as app:
        answer = await front.tell(app, "hi")
    assert (answer.status, answer.heard.ended) == (200, "complete")
    assert answer.heard.text == "".join(tokens)
    assert answer.run_id


@every
async def test_lone_surrogates_are_replaced(front: FrontEnd) -> None:
    async with running(served(ScriptedAgent(["a", "\ud83d", "\ude00b"]))) as app:
        answer = await front.tell(app, "hi")
    assert answer.heard.text in ("a\ufffd\ufffdb", "a😀b")


@every
async def test_an_agent_without_tokens_says_its_output(front: FrontEnd) -> None:
    async def whole(payload: Any) -> Any:
        return {"content": f"all of {payload['query']}"}

    async with running(served(whole)) as app:
        answer = await front.tell(app, "it")
    assert (answer.heard.ended, answer.heard.text) == ("complete", "all of it")


@every
async def test_an_output_that_is_no_text_is_json(front: FrontEnd) -> None:
    async def whole(payload: Any) -> Any:
        return {"sum": 3, "parts": [1, 2]}

    async with running(served(whole)) as app:
        answer = await front.tell(app, "it")
    assert (answer.heard.ended, answer.heard.text) == ("complete", '{"sum":3,"parts":[1,2]}')
    assert answer.heard.output in (None, {"sum": 3, "parts": [1, 2]})
