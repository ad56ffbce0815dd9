"""The playground when things go wrong: credentials that end, limits, servers that go away, more events than are kept."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pytest

from .driving import Browser
from .playground import (
    ANSWER,
    CITY,
    COMPLETE,
    KEY,
    RUN,
    STOP,
    TIDES,
    field,
    give_key,
    run_for,
    tab,
    wait_until,
    way,
)
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer

pytestmark = pytest.mark.chromium

OTHER_KEY = "another-key-of-ann-012345"
FAILED = ".status .badge.is-failed"


def test_a_key_that_ends_in_the_middle_is_asked_for_and_the_run_goes_on(
    browser: Browser, own_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANN_KEY", KEY)
    one = own_server(
        agent_source("gated"),
        auth={"api_keys": {"keys": [{"name": "ann", "env_var": "ANN_KEY"}]}},
        streaming={"backend": "sqlite"},
        runs={"max_attempts": 2, "lease_seconds": 2},
        expose={"shutdown_grace": 1},
    )
    browser.open(f"{one.url}/")
    browser.click(way("Background"))
    browser.click(RUN)
    give_key(browser)
    browser.wait("dialog", "hidden")
    browser.wait(".prose:has-text('19')")
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    monkeypatch.setenv("ANN_KEY", OTHER_KEY)
    (one.folder / "go").touch()
    one.start_again()
    browser.wait("dialog[open]:has-text('Invalid API key')")
    assert "AUTH_ERROR" in browser.text(ANSWER)
    give_key(browser, OTHER_KEY)
    browser.wait(COMPLETE)
    assert "Attempt 2: the run begins anew." in browser.text(ANSWER)


def test_a_limit_says_when_to_come_back(browser: Browser, own_server: StartServer) -> None:
    limits = {"mode": "none", "rate_limits": {"default": "1/hour"}}
    browser.open(f"{own_server(agent_source('playing'), **TIDES, auth=limits).url}/")
    run_for(browser)
    browser.wait(COMPLETE)
    browser.click(RUN)
    browser.wait(FAILED)
    assert re.search(r"RATE_LIMIT_EXCEEDED.*Try again in \d+ s", browser.text(ANSWER), re.DOTALL)


def test_a_limit_that_passes_soon_is_waited_for(browser: Browser, own_server: StartServer) -> None:
    limits = {"mode": "none", "rate_limits": {"default": "1/second"}}
    browser.open(f"{own_server(agent_source('playing'), **TIDES, auth=limits).url}/")
    run_for(browser, "Brest")
    browser.wait(COMPLETE)
    run_for(browser, "Dover")
    browser.wait(f"{ANSWER}:has-text('Tides of Dover')")
    browser.wait(COMPLETE)


def test_a_server_that_is_gone_is_told_and_can_be_left(
    browser: Browser, own_server: StartServer
) -> None:
    one = own_server(agent_source("playing"), **TIDES)
    browser.open(f"{one.url}/")
    browser.fill(field("pause"), "0.01")
    browser.fill(field("more"), "10000")
    browser.click(way("Background"))
    run_for(browser)
    browser.wait(".prose:has-text('word3 ')")
    one.kill()
    browser.wait(".status .badge.is-reconnecting")
    browser.click(STOP)
    browser.wait(".status .badge.is-left")
    assert "word3" in browser.text(ANSWER), "what was said stays"
    # A run of its own id may be asked for again; the others may have run.
    browser.click(RUN)
    browser.wait(".status:has-text('The connection is lost. Try')")
    browser.click(STOP)
    browser.wait(".status .badge.is-left")
    for how in ("Stream", "Wait"):
        browser.click(way(how))
        browser.click(RUN)
        browser.wait(f"{ANSWER}:has-text('CONNECTION_ERROR')")
        browser.wait(FAILED)


def test_of_a_long_run_the_last_events_are_there(browser: Browser, server: StartServer) -> None:
    browser.open(f"{server(agent_source('rushing')).url}/")
    browser.fill('role=textbox[name="Payload"]', json.dumps({"shape": "custom"}))
    browser.click(tab("Events"))
    browser.click(RUN)
    browser.wait(COMPLETE)
    assert "100,000 events" in browser.text(".events")
    browser.wait(".event-row:has-text('complete')")
    rows = browser.text(".events-box")
    assert rows.index('{"number":99999}') < rows.index("complete")
    browser.click(".event-row:has-text('complete')")
    browser.press("ArrowUp")
    browser.press("ArrowUp")
    assert json.loads(browser.text("pre.event"))["data"] == {"number": 99_999}
    browser.press("Home")
    # `started` and two more have gone.
    assert json.loads(browser.text("pre.event"))["sequence"] == 3
    browser.click(tab("Timeline"))
    assert browser.count(".rows li") == 400


@pytest.mark.nightly
def test_an_answer_too_long_to_look_at_is_there_and_can_be_copied(
    browser: Browser, server: StartServer
) -> None:
    browser.open(f"{server(agent_source('rushing')).url}/")
    browser.fill('role=textbox[name="Payload"]', json.dumps({"shape": "paragraphs"}))
    browser.click(RUN)
    browser.wait(COMPLETE)
    last = "document.querySelector('.prose').lastElementChild.lastElementChild.textContent"
    wait_until(lambda: browser.evaluate(last) == "end")
    browser.click(".output summary")
    assert "characters more" in browser.text("pre[aria-label=Output]")
    browser.click(".output >> role=button[name='Copy']")
    browser.wait('role=button[name="Copied"]')
    copied = "navigator.clipboard.readText().then((text) => JSON.parse(text).content.length)"
    assert browser.evaluate(copied) > 9_000_000
    assert browser.problems == []


def test_the_page_opens_where_the_browser_keeps_nothing(
    browser: Browser, server: StartServer
) -> None:
    one = server(agent_source("playing"), **TIDES)
    browser.open(f"{one.url}/")
    browser.wait(CITY)
    assert browser.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0
