"""Where the focus is on the playground: whoever has pressed something is somewhere afterwards, and nobody is taken away from what they write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .driving import Browser
from .playground import ANSWER, CHAT, COMPLETE, HELD, TIDES, field, tab
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

pytestmark = pytest.mark.chromium

PAYLOAD = 'role=textbox[name="Payload"]'
LINE = 'role=textbox[name="Message"]'


@pytest.fixture(scope="module")
def telling(server: StartServer) -> Server:
    return server(agent_source("telling"))


def focused(page: Browser) -> str:
    return page.evaluate("document.activeElement.closest('form, button').textContent")


def press(page: Browser, name: str) -> None:
    """Press a button as the keyboard does."""
    page.evaluate(
        f"[...document.querySelectorAll('button')].find((one) => one.textContent === {name!r} && one.checkVisibility()).focus()"
    )
    page.press("Enter")


def test_a_button_that_goes_or_rests_keeps_the_place(browser: Browser, server: StartServer) -> None:
    browser.open(f"{server(agent_source('playing'), **TIDES, streaming=HELD).url}/")
    browser.fill(field("pause"), "0.05")
    browser.fill(field("more"), "1000")
    browser.fill('role=textbox[name="City"]', "Brest")
    press(browser, "Run")
    browser.wait(".prose")
    assert focused(browser) == "Run"
    assert browser.evaluate("document.activeElement.getAttribute('aria-disabled')") == "true"
    press(browser, "Stop")
    browser.wait(".status .badge.is-cancelled")
    assert focused(browser) == "Replay"
    whole = browser.text(ANSWER)
    press(browser, "Replay")
    browser.wait(".status .badge.is-running")
    assert focused(browser) == "Stop"
    press(browser, "Stop")
    # The rest of what was recorded, at once.
    browser.wait(".status .badge.is-cancelled")
    assert focused(browser) == "Replay"
    assert browser.text(ANSWER) == whole


def test_of_several_questions_one_answers_the_first_and_then_the_next(
    browser: Browser, telling: Server
) -> None:
    browser.open(f"{telling.url}/")
    browser.fill(PAYLOAD, '{"show": "questions"}')
    browser.press("Control+Enter")
    for number, name in enumerate(("First?", "Second?", "Third?")):
        browser.wait(".question >> nth=2")
        browser.wait(f'.question >> nth={number} >> role=heading[name="{name}"]')
        browser.wait(f".question:has(:focus):has-text('{name}')")
        browser.press(name[0])
        browser.press("Enter")
        browser.wait(f".question.closed >> nth={number}")
    browser.wait(COMPLETE)
    assert "You said F and S and T." in browser.text(ANSWER)
    assert "Third?" in focused(browser), "the last one stays where they are"


def test_a_question_takes_nobody_away_from_what_they_write(
    browser: Browser, telling: Server
) -> None:
    browser.open(f"{telling.url}/")
    browser.fill(PAYLOAD, '{"show": "later"}')
    browser.press("Control+Enter")
    browser.wait(".prose")
    browser.press("End")
    browser.press("Space")
    browser.wait(".question")
    browser.press("x")
    assert browser.value(PAYLOAD) == '{"show": "later"} x'
    assert browser.value(".question textarea") == ""
    browser.fill(".question textarea", "yes")
    browser.press("Enter")
    browser.wait(COMPLETE)


def test_what_the_agent_was_not_told_can_be_said_again(
    browser: Browser, own_server: StartServer
) -> None:
    limits = {"mode": "none", "rate_limits": {"default": "1/hour"}}
    browser.open(f"{own_server(agent_source('playing'), **CHAT, auth=limits).url}/")
    browser.fill(LINE, "First")
    browser.press("Enter")
    browser.wait(COMPLETE)
    browser.fill(LINE, "Second")
    browser.press("Enter")
    browser.wait(".failure")
    assert browser.text(ANSWER).count("again in") == 1
    assert browser.value(LINE) == "Second"
    browser.click(tab("Code"))
    code = browser.text(".snippets")
    assert code.count("Second") == 1
    assert code.count("First") == 2, "what was said, and the answer to it"
