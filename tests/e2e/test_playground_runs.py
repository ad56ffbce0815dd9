"""The playground and runs that go on elsewhere: watched with a browser's `EventSource`, with a ticket where there is auth."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .breaking import BreakingProxy
from .driving import Browser
from .playground import (
    AUTH,
    CITY,
    COMPLETE,
    KEY,
    TIDES,
    field,
    give_key,
    metrics,
    run_for,
    tab,
    wait_until,
    way,
)
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

pytestmark = pytest.mark.chromium

LEAVE = 'role=button[name="Leave it running"]'


def put_aside(page: Browser) -> str:
    """Start a run that takes its time, and leave it to itself."""
    page.fill(field("pause"), "0.05")
    page.fill(field("more"), "2000")
    page.click(way("Background"))
    run_for(page)
    page.wait(".prose")
    run_id = page.text(".run-name")
    page.click(LEAVE)
    page.wait(".status .badge.is-aside")
    return run_id


def entry(run_id: str, status: str) -> str:
    return f".run:has-text('{run_id[:13]}') .badge.is-{status}"


def tickets(page: Browser, run_id: str) -> list[str]:
    found = (re.search(rf"/runs/{run_id}/events\?ticket=(.*)", url) for url in page.requests)
    return [one[1] for one in found if one is not None]


def cancel(server: Server, run_id: str) -> None:
    url = f"{server.url}/runs/{run_id}"
    httpx.delete(url, headers={"X-API-Key": KEY}, trust_env=False).raise_for_status()


@pytest.mark.parametrize("prefix", ["", "/agents/tides"])
def test_a_run_put_aside_is_watched_with_a_ticket_and_over_a_cut(
    browser: Browser, server: StartServer, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv("ANN_KEY", KEY)
    expose = {"root_path": prefix} if prefix else {}
    guarded = server(agent_source("playing"), **TIDES, auth=AUTH, expose=expose)
    with BreakingProxy(guarded.port) as proxy:
        browser.open(f"{proxy.url}{prefix}/")
        give_key(browser)
        browser.wait(CITY)
        run_id = put_aside(browser)
        browser.wait(entry(run_id, "running"))
        wait_until(lambda: len(tickets(browser, run_id)) == 1)
        # Another run meanwhile, over connections that are not in each other's way.
        browser.fill(field("pause"), "0")
        browser.fill(field("more"), "0")
        browser.click(way("Stream"))
        browser.click('role=button[name="Run"]')
        browser.wait(COMPLETE)
        proxy.cut()
        # The ticket is spent: the browser comes back with the cookie that it left.
        wait_until(lambda: len(tickets(browser, run_id)) >= 2)
        assert len(set(tickets(browser, run_id))) == 1
        cancel(guarded, run_id)
        browser.wait(entry(run_id, "cancelled"))
        assert f"Run {run_id[:13]}: Cancelled" in browser.evaluate(
            "document.querySelector('.history [role=status]').textContent"
        )
    assert not any(KEY in url for url in browser.requests)
    assert browser.evaluate("document.cookie") == "", "no script reads it"


def test_a_question_of_a_run_put_aside_is_told_and_answered(
    browser: Browser, guarded: Server
) -> None:
    browser.open(f"{guarded.url}/")
    give_key(browser)
    browser.wait(CITY)
    browser.fill(field("pause"), "0.2")
    browser.check(field("ask"))
    browser.click(way("Background"))
    run_for(browser)
    browser.click(LEAVE)
    run_id = browser.text(".run-name")
    browser.wait(entry(run_id, "waiting"))
    browser.click(f".run:has-text('{run_id[:13]}')")
    browser.wait(f".run[aria-current]:has-text('{run_id[:13]}')")
    browser.click('role=button[name="yes"]')
    browser.wait(".answer:has-text('You said yes.')")
    browser.click('role=button[name="Stop"]')
    browser.wait(entry(run_id, "cancelled"))


def test_a_run_is_found_again_after_a_reload_while_it_runs(
    browser: Browser, server: StartServer
) -> None:
    one = server(agent_source("playing"), **TIDES)
    browser.open(f"{one.url}/")
    browser.fill(field("pause"), "0.05")
    browser.fill(field("more"), "2000")
    browser.click(way("Background"))
    run_for(browser)
    browser.wait(".prose:has-text('word3 ')")
    browser.reload()
    browser.wait(".prose:has-text('word9 ')")
    browser.click('role=button[name="Stop"]')
    browser.wait(".status .badge.is-cancelled")


def test_of_two_tabs_the_one_that_was_looked_at_last_watches(
    browser: Browser, server: StartServer
) -> None:
    one = server(agent_source("playing"), **TIDES)
    browser.open(f"{one.url}/")
    run_id = put_aside(browser)
    browser.wait(entry(run_id, "running"))
    browser.another(f"{one.url}/")
    browser.wait(entry(run_id, "running"))
    # Each has a stream of its own meanwhile.
    for _ in range(2):
        browser.fill(field("pause"), "0")
        browser.fill(field("more"), "0")
        run_for(browser)
        browser.wait(COMPLETE)
        browser.turn(0)
        browser.click(way("Stream"))
    wait_until(lambda: "dockrion_active_streams 1.0" in metrics(one))
    httpx.delete(f"{one.url}/runs/{run_id}", trust_env=False).raise_for_status()
    browser.wait(entry(run_id, "cancelled"))
    browser.turn(1)
    browser.wait(entry(run_id, "cancelled"))
    assert browser.problems == []


def test_of_several_questions_each_is_answered(browser: Browser, server: StartServer) -> None:
    browser.open(f"{server(agent_source('playing'), **TIDES).url}/")
    browser.click(tab("JSON"))
    browser.fill('role=textbox[name="Payload"]', '{"city": "Brest", "questions": 2}')
    for how in ("Stream", "Background", "Wait"):
        browser.click(way(how))
        browser.click('role=button[name="Run"]')
        browser.wait(".question >> nth=1")
        assert browser.barriers() == []
        browser.click('.question:has-text("harbour") >> role=button[name="yes"]')
        browser.wait(".question.closed")
        assert "Waiting" in browser.text(".status")
        browser.click('.question:has-text("pilot") >> role=button[name="no"]')
        browser.wait(COMPLETE)
        assert "You said yes and no." in browser.text(".answer")


@pytest.mark.parametrize("has_auth", [True, False], ids=["auth", "open"])
def test_the_event_source_to_copy_follows_a_run(
    browser: Browser, server: StartServer, guarded: Server, has_auth: bool
) -> None:
    one = guarded if has_auth else server(agent_source("playing"), **TIDES)
    browser.open(f"{one.url}/")
    if has_auth:
        give_key(browser)
    browser.fill(CITY, "l'Île \"d'Yeu\"")
    browser.click(tab("Code"))
    browser.choose('role=combobox[name="Language"]', "EventSource")
    code = browser.text("pre[aria-label='Code of this call']")
    assert KEY not in code
    # As a reader's page would run it, and as they would give the key.
    browser.evaluate(f"window.prompt = () => {json.dumps(KEY)}")
    browser.evaluate("window.said = []; console.log = (one) => said.push(one)")
    browser.evaluate(f"(async () => {{ {code} }})()")
    wait_until(lambda: "complete" in said(browser, "type"))
    assert said(browser, "type")[0] == "started"
    assert "Tides of l'" in "".join(said(browser, "content"))
    assert ("ticket=" in " ".join(browser.requests)) == has_auth
    assert browser.problems == []


def said(page: Browser, name: str) -> list[Any]:
    return page.evaluate(f"said.map((one) => one.{name} ?? '')")
