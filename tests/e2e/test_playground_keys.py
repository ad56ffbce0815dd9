"""The playground of an agent that lets only callers in that it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from .driving import Browser
from .playground import ANSWER, AUTH, CITY, COMPLETE, KEY, RUN, TIDES, give_key, run_for, tab
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

pytestmark = pytest.mark.chromium


def test_a_key_is_asked_for_and_kept_in_memory_only(browser: Browser, guarded: Server) -> None:
    browser.open(f"{guarded.url}/")
    secret = "dialog input"
    browser.wait("dialog[open]")
    assert "only to callers it knows" in browser.text("dialog")
    assert browser.barriers() == []
    browser.fill(secret, "wrong")
    browser.click('role=button[name="Use"]')
    browser.wait("dialog[open]:has-text('This is not accepted.')")
    browser.fill(secret, KEY)
    browser.press("Enter")
    browser.wait(CITY)
    run_for(browser)
    browser.wait(COMPLETE)
    kept = "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href, document.body.innerHTML])"
    assert KEY not in browser.evaluate(kept)
    assert not any(KEY in url for url in browser.requests)
    browser.click(tab("Code"))
    assert '-H "X-API-Key: $KEY"' in browser.text(".snippets")
    browser.reload()
    browser.wait("dialog[open]")


@pytest.fixture
def half_open(server: StartServer, monkeypatch: pytest.MonkeyPatch) -> Server:
    """What the agent takes is told to everybody; running it needs the key."""
    monkeypatch.setenv("ANN_KEY", KEY)
    return server(agent_source("playing"), **TIDES, auth={**AUTH, "protect": []})


def test_a_run_that_waited_for_its_key_is_run(browser: Browser, half_open: Server) -> None:
    browser.open(f"{half_open.url}/")
    run_for(browser, "Brest")
    give_key(browser)
    browser.wait(COMPLETE)
    assert "Tides of Brest" in browser.text(ANSWER)


def test_a_key_that_was_not_given_runs_nothing_later(browser: Browser, half_open: Server) -> None:
    browser.open(f"{half_open.url}/")
    run_for(browser, "Brest")
    browser.wait("dialog[open]")
    browser.press("Escape")
    browser.wait("dialog", "hidden")
    browser.click('role=button[name="Set API key"]')
    give_key(browser)
    browser.wait('role=button[name="API key is set"]')
    browser.wait(".history .empty, .history li")
    assert not any("/invoke" in url for url in browser.requests)
    # What was written stays.
    browser.click(RUN)
    browser.wait(COMPLETE)
    assert "Tides of Brest" in browser.text(ANSWER)


def test_the_page_tells_strangers_nothing_of_a_schema_that_is_closed(guarded: Server) -> None:
    text = httpx.get(f"{guarded.url}/", trust_env=False).text
    assert "tides" in text
    assert "city" not in text
