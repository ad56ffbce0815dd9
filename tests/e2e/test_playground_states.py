"""Every state of the playground, light, dark and narrow: axe finds nothing wrong, and nothing is wider than the screen.

Pictures of them all are left in `tests/e2e/screenshots`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .driving import Browser
from .playground import (
    AUTH,
    CHAT,
    CITY,
    COMPLETE,
    HELD,
    KEY,
    RUN,
    STOP,
    TIDES,
    field,
    give_key,
    picture,
    run_for,
    tab,
    way,
)
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer

pytestmark = pytest.mark.chromium

VIEWS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"scheme": "dark"},
    "narrow": {"width": 375, "height": 720},
    "narrow-dark": {"width": 320, "height": 640, "scheme": "dark"},
}


class Looking:
    """Goes from state to state, and looks at each."""

    def __init__(self, browser: Browser, view: str) -> None:
        self.page = browser
        self.view = view

    def open(self, url: str) -> Browser:
        self.page.open(f"{url}/", **VIEWS[self.view])
        return self.page

    def at(self, state: str) -> None:
        self.page.shot(picture(f"{self.view}-{state}"))
        assert self.page.barriers() == [], state
        width = "document.documentElement.scrollWidth <= window.innerWidth"
        assert self.page.evaluate(width), state


# The extremes at each change; the rest of a night.
@pytest.fixture(
    params=[
        "light",
        "narrow-dark",
        pytest.param("dark", marks=pytest.mark.nightly),
        pytest.param("narrow", marks=pytest.mark.nightly),
    ]
)
def looking(request: pytest.FixtureRequest, browser: Browser) -> Looking:
    return Looking(browser, request.param)


def test_the_states_of_a_run(looking: Looking, server: StartServer) -> None:
    tides = server(agent_source("playing"), **TIDES, streaming=HELD)
    page = looking.open(tides.url)
    page.wait(CITY)
    looking.at("form")
    page.click(tab("JSON"))
    looking.at("json")
    page.click(tab("Form"))
    page.fill(field("pause"), "0.01")
    run_for(page)
    page.wait(COMPLETE)
    looking.at("answer")
    page.click(tab("Timeline"))
    looking.at("timeline")
    page.click(tab("Events"))
    page.click(".event-row >> nth=3")
    looking.at("events")
    page.click(tab("Code"))
    looking.at("code")
    page.click('role=button[name="Replay"]')
    page.click(tab("Answer"))
    page.wait(COMPLETE)
    page.check(field("ask"))
    page.click(RUN)
    page.wait(".question")
    looking.at("question")
    page.click('role=button[name="yes"]')
    page.wait(COMPLETE)
    looking.at("answered")


def test_the_states_of_what_goes_wrong(looking: Looking, own_server: StartServer) -> None:
    tides = own_server(agent_source("playing"), **TIDES, streaming=HELD)
    page = looking.open(tides.url)
    page.fill(field("pause"), "7")
    run_for(page)
    page.wait(".status .badge.is-failed")
    looking.at("refused")
    page.fill(field("pause"), "0")
    page.check(field("fail"))
    page.click(RUN)
    page.wait(".failure .code-name:text('AGENT_EXECUTION_ERROR')")
    looking.at("failed")
    page.evaluate(
        "document.querySelector('.field:has(input[type=checkbox]:checked) input').click()"
    )
    page.fill(field("pause"), "0.01")
    page.fill(field("more"), "10000")
    page.click(RUN)
    page.wait(".prose:has-text('word3 ')")
    page.click(STOP)
    page.wait(".status .badge.is-cancelled")
    looking.at("cancelled")
    page.click(way("Background"))
    page.click(RUN)
    page.wait(".prose:has-text('word3 ')")
    page.click('role=button[name="Leave it running"]')
    page.wait(".run .badge.is-running")
    looking.at("put-aside")
    page.click(way("Stream"))
    page.click(RUN)
    page.wait(".prose:has-text('word3 ')")
    tides.kill()
    page.wait(".status .badge.is-reconnecting")
    looking.at("reconnecting")
    page.press("Escape")
    page.wait(".status .badge.is-left")
    page.click(RUN)
    page.wait(".failure .code-name:text('CONNECTION_ERROR')")
    looking.at("gone")


def test_the_states_of_a_conversation(looking: Looking, server: StartServer) -> None:
    page = looking.open(server(agent_source("playing"), **CHAT).url)
    line = 'role=textbox[name="Message"]'
    for said in ("Good morning, *harbour*.", "And in the evening?"):
        page.fill(line, said)
        page.press("Enter")
        page.wait(f".said:text('{said}')")
        page.wait(COMPLETE)
    looking.at("chat")
    page.click(tab("Form"))
    looking.at("chat-form")


def test_the_states_of_a_key(
    looking: Looking, server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANN_KEY", KEY)
    page = looking.open(server(agent_source("playing"), **TIDES, auth=AUTH).url)
    page.wait("dialog[open]")
    looking.at("key")
    give_key(page, "wrong")
    page.wait("dialog[open]:has-text('This is not accepted.')")
    looking.at("key-refused")
    give_key(page)
    page.wait(CITY)
    looking.at("key-given")
