"""The playground as a person uses it, in a real Chromium."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .breaking import BreakingProxy
from .driving import Browser
from .playground import (
    ANSWER,
    CHAT,
    CITY,
    COMPLETE,
    HELD,
    RUN,
    STOP,
    TIDES,
    field,
    metrics,
    picture,
    run_for,
    tab,
    wait_until,
    way,
)
from .server import agent_source

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import StartServer
    from .server import Server

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def tides(server: StartServer) -> Server:
    return server(agent_source("playing"), **TIDES, streaming=HELD)


@pytest.fixture
def page(browser: Browser, tides: Server) -> Browser:
    browser.open(f"{tides.url}/")
    browser.wait(CITY)
    return browser


def test_a_run_shows_its_answer_as_safe_markdown(page: Browser) -> None:
    run_for(page)
    page.wait(COMPLETE)
    text = page.text(ANSWER)
    assert "Tides of Brest" in text
    assert "<img src=x onerror=alert(1)> <b>bold?</b>" in text
    assert page.count(".answer img, .answer b, .answer script") == 0
    assert page.count(".answer :is(h3, strong, table, ol, pre code, blockquote)") >= 6
    assert page.evaluate("document.querySelector('.prose a').rel") == "noopener noreferrer"
    assert page.problems == []


def test_the_page_asks_nobody_but_its_server(page: Browser, tides: Server) -> None:
    run_for(page)
    page.wait(COMPLETE)
    assert [url for url in page.requests if not url.startswith((tides.url, "data:"))] == []


def test_the_timeline_has_steps_tools_and_progress_with_their_times(page: Browser) -> None:
    page.fill(field("pause"), "0.01")
    run_for(page)
    page.wait(COMPLETE)
    page.click(tab("Timeline"))
    text = page.text(".timeline")
    for part in ("Started", "looking up", "100 %", "tides", "10:31", "think", "draft", "found"):
        assert part in text
    assert "80 ms" in text, "what the tool took"
    assert "13 ms" in text, "what the step took"


def test_the_events_are_those_of_the_stream_and_can_be_copied(page: Browser) -> None:
    run_for(page)
    page.wait(COMPLETE)
    page.click(tab("Events"))
    page.click('role=button[name="Copy all"]')
    page.wait('role=button[name="Copied"]')
    lines = page.evaluate("navigator.clipboard.readText()").split("\n")
    events = [json.loads(line) for line in lines]
    assert [event["sequence"] for event in events] == list(range(len(events)))
    assert (events[0]["type"], events[-1]["type"]) == ("started", "complete")
    page.click(".event-row >> nth=3")
    assert '"sequence":' in page.text("pre.event")
    page.press("Home")
    assert json.loads(page.text("pre.event"))["type"] == "started"
    page.press("ArrowDown")
    assert json.loads(page.text("pre.event"))["sequence"] == 1


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
@pytest.mark.parametrize("how", ["Stream", "Wait", "Background"])
def test_the_code_to_copy_does_what_the_page_does(
    page: Browser, tmp_path: Path, language: str, how: str
) -> None:
    page.fill(CITY, "l'Île \"d'Yeu\"")
    page.click(way(how))
    page.click(tab("Code"))
    page.choose('role=combobox[name="Language"]', language)
    page.click('role=button[name="Copy"]')
    page.wait('role=button[name="Copied"]')
    code = page.evaluate("navigator.clipboard.readText()")
    (tmp_path / "code.mjs").write_text(code)
    command = {
        "curl": ["bash", "-c", code],
        "Python": [sys.executable, "-c", code],
        "JavaScript": ["node", "code.mjs"],
    }[language]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert ("ACCEPTED" if how == "Background" else "Tides of l'") in done.stdout.replace(
        "\\", ""
    ) or (how == "Stream" and "complete" in done.stdout)


@pytest.mark.parametrize("how", ["Stream", "Wait", "Background"])
def test_a_question_is_answered_in_its_place(page: Browser, how: str) -> None:
    page.check(field("ask"))
    page.click(way(how))
    run_for(page)
    page.wait('role=heading[name="Send it to the harbour?"]')
    assert "Waiting" in page.text(".status")
    page.fill(".question textarea", "perhaps")
    page.press("Enter")
    page.wait(COMPLETE)
    text = page.text(ANSWER)
    assert text.index("Answered: perhaps") < text.index("You said perhaps.")
    assert page.count(".question") == 1


def test_an_answer_that_the_agent_offers_is_one_click(page: Browser) -> None:
    page.check(field("ask"))
    run_for(page)
    page.click('role=button[name="no"]')
    page.wait(COMPLETE)
    assert "You said no." in page.text(ANSWER)


def test_what_is_wrong_with_the_input_stands_at_its_field(page: Browser) -> None:
    page.fill(field("pause"), "7")
    run_for(page)
    page.wait(".status .badge.is-failed")
    assert "7 is greater than the maximum of 5" in page.text(".field:has(label:has-text('pause'))")
    assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    assert "VALIDATION_ERROR" in page.text(ANSWER)


def test_a_failure_of_the_agent_says_what_it_was(browser: Browser, own_server: StartServer) -> None:
    browser.open(f"{own_server(agent_source('playing'), **TIDES).url}/")
    browser.check(field("fail"))
    run_for(browser)
    browser.wait(".status .badge.is-failed")
    assert "AGENT_EXECUTION_ERROR" in browser.text(ANSWER)
    assert "the harbour is closed" in browser.text(ANSWER)


def test_the_form_and_the_json_are_one_input(page: Browser) -> None:
    page.fill(CITY, "Brest")
    page.click(tab("JSON"))
    payload = 'role=textbox[name="Payload"]'
    assert json.loads(page.value(payload)) == {"city": "Brest", "pause": 0}
    page.fill(payload, '{"city": "Calais", "place": {"lat": 5}, "unknown": 1}')
    page.click(tab("Form"))
    assert page.value(CITY) == "Calais"
    assert page.value(field("lat")) == "5"
    page.click(tab("JSON"))
    assert json.loads(page.value(payload)) == {"city": "Calais", "place": {"lat": 5}, "unknown": 1}
    page.fill(payload, "{")
    page.click(RUN)
    assert "This is not JSON" in page.text('[role="alert"]')


def test_stopping_cancels_a_run_that_the_server_keeps(page: Browser, tides: Server) -> None:
    page.fill(field("pause"), "0.05")
    page.fill(field("more"), "1000")
    run_for(page)
    page.wait(".prose")
    run_id = page.text(".run-name")
    page.click(STOP)
    page.wait(".status .badge.is-cancelled")
    assert "Stopped in the playground." in page.text(ANSWER)
    assert tides.get(f"/runs/{run_id}")[1]["status"] == "CANCELLED"


def test_stopping_leaves_a_run_that_the_server_does_not_keep_and_so_ends_it(
    browser: Browser, server: StartServer
) -> None:
    one = server(agent_source("playing"), **TIDES)
    browser.open(f"{one.url}/")
    browser.fill(field("pause"), "0.05")
    browser.fill(field("more"), "1000")
    run_for(browser)
    browser.wait(".prose")
    browser.press("Escape")
    browser.wait(".status .badge.is-left")
    wait_until(lambda: "dockrion_active_streams 0.0" in metrics(one))


def test_a_stream_that_is_cut_goes_on_by_itself(browser: Browser, tides: Server) -> None:
    with BreakingProxy(tides.port) as proxy:
        browser.open(f"{proxy.url}/")
        browser.fill(field("pause"), "0.01")
        browser.fill(field("more"), "150")
        run_for(browser)
        for number in (5, 60, 120):
            browser.wait(f".prose:has-text('word{number} ')")
            proxy.cut()
        browser.wait(COMPLETE)
        words = browser.text(".prose").split()
    assert [word for word in words if word.startswith("word")] == [f"word{n}" for n in range(150)]


def test_a_run_is_followed_through_a_restart_of_the_server(
    browser: Browser, own_server: StartServer
) -> None:
    one = own_server(
        agent_source("gated"),
        streaming={"backend": "sqlite"},
        runs={"max_attempts": 2, "lease_seconds": 2},
        expose={"shutdown_grace": 1},
    )
    browser.open(f"{one.url}/")
    browser.click(way("Background"))
    browser.click(RUN)
    browser.wait(".prose:has-text('19')")
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    browser.wait(".status .badge.is-reconnecting")
    browser.shot(picture("restart-while-away"))
    (one.folder / "go").touch()
    one.start_again()
    browser.wait(COMPLETE)
    browser.shot(picture("restart-and-back"))
    assert "Attempt 2: the run begins anew." in browser.text(ANSWER)
    browser.click(tab("Events"))
    assert "43 events" in browser.text(".events")
    # The address names the run: who comes back later finds it again.
    browser.reload()
    browser.wait(COMPLETE)
    assert "Attempt 2: the run begins anew." in browser.text(ANSWER)


def test_past_runs_are_listed_shown_again_and_replayed(page: Browser) -> None:
    page.fill(field("pause"), "0.01")
    run_for(page, "Dover")
    page.wait(COMPLETE)
    run_id = page.text(".run-name")
    page.reload()
    page.click(f'.run:has-text("{run_id[:13]}")')
    page.wait(COMPLETE)
    assert "Tides of Dover" in page.text(ANSWER)
    whole = page.text(ANSWER)
    page.click('role=button[name="Replay"]')
    page.wait(".status .badge.is-running")
    page.wait(COMPLETE)
    assert page.text(ANSWER) == whole


def test_the_list_of_runs_keeps_the_focus(page: Browser) -> None:
    for city in ("Dover", "Calais"):
        run_for(page, city)
        page.wait(f".answer:has-text('Tides of {city}')")
        page.wait(COMPLETE)
    page.evaluate("document.querySelectorAll('.run')[1].focus()")
    run_id = page.evaluate("document.activeElement.textContent")
    page.press("Enter")
    page.wait(".answer:has-text('Tides of Dover')")
    page.wait(COMPLETE)
    assert page.evaluate("document.activeElement.textContent") == run_id
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"


def test_a_question_of_a_past_run_is_shown_as_answered(page: Browser) -> None:
    page.check(field("ask"))
    run_for(page)
    page.click('role=button[name="yes"]')
    page.wait(COMPLETE)
    run_id = page.text(".run-name")
    page.reload()
    page.click(f'.run:has-text("{run_id[:13]}")')
    page.wait(COMPLETE)
    assert "Answered." in page.text(".question")
    assert page.count(".question textarea") == 0


def test_a_run_that_waits_is_found_and_answered_after_a_reload(page: Browser) -> None:
    page.check(field("ask"))
    page.click(way("Background"))
    run_for(page)
    page.wait(".question")
    page.reload()
    page.click('role=button[name="no"]')
    page.wait(COMPLETE)
    assert "You said no." in page.text(ANSWER)


def test_a_run_of_this_page_can_be_shown_again_where_the_server_keeps_none(
    browser: Browser, server: StartServer
) -> None:
    one = server(agent_source("playing"), **TIDES, streaming={"async_runs": False})
    browser.open(f"{one.url}/")
    for city in ("Dover", "Calais"):
        run_for(browser, city)
        browser.wait(f".answer:has-text('Tides of {city}')")
        browser.wait(COMPLETE)
    browser.click(".run >> nth=1")
    browser.wait(".answer:has-text('Tides of Dover')")
    browser.click('role=button[name="Replay"]')
    browser.wait(COMPLETE)
    assert browser.count(".run") == 2
    assert browser.count(".run[aria-current]") == 1
    assert browser.count(way("Background")) == 0
    assert browser.problems == []


def test_only_what_the_dockfile_has_on_is_offered(browser: Browser, server: StartServer) -> None:
    expose = {"streaming": "none"}
    one = server(agent_source("playing"), **TIDES, expose=expose, streaming={"async_runs": False})
    browser.open(f"{one.url}/")
    browser.wait(CITY)
    assert browser.count(".ways label") == 1
    run_for(browser)
    browser.wait(COMPLETE)
    assert "Tides of Brest" in browser.text(ANSWER)


def test_a_conversation_sends_what_was_said_before(browser: Browser, server: StartServer) -> None:
    one = server(agent_source("playing"), **CHAT)
    browser.open(f"{one.url}/")
    line = 'role=textbox[name="Message"]'
    browser.fill(line, "First *thing*")
    browser.press("Enter")
    browser.wait(".answer:has-text('You have said 1 things')")
    browser.wait(COMPLETE)
    browser.fill(line, "Second")
    browser.click('role=button[name="Send"]')
    browser.wait(".answer:has-text('You have said 2 things')")
    browser.wait(COMPLETE)
    assert "First *thing*" in browser.text(".answer .said >> nth=0")
    browser.click('role=button[name="New conversation"]')
    browser.fill(line, "Third")
    browser.press("Enter")
    browser.wait(".answer:has-text('You have said 1 things')")
    assert browser.count(".said") == 1


def test_other_protocols_are_named_with_their_addresses(
    browser: Browser, server: StartServer
) -> None:
    one = server(agent_source("playing"), **CHAT, expose={"protocols": ["openai", "ag-ui"]})
    browser.open(f"{one.url}/")
    browser.click(tab("Code"))
    text = browser.text(".speaks").split()
    assert text == ["OpenAI", f"{one.url}/v1", "AG-UI", f"{one.url}/ag-ui"]
    assert browser.barriers() == []


def test_a_page_below_a_prefix_works(browser: Browser, server: StartServer) -> None:
    one = server(agent_source("playing"), **TIDES, expose={"root_path": "/agents/tides"})
    browser.open(f"{one.url}/agents/tides/")
    run_for(browser)
    browser.wait(COMPLETE)
    assert browser.problems == []
    assert all(url.startswith((f"{one.url}/agents/tides/", "data:")) for url in browser.requests)


def test_an_agent_for_other_protocols_alone_is_not_run_here(
    browser: Browser, server: StartServer
) -> None:
    expose = {"rest": False, "streaming": "none", "protocols": ["mcp", "a2a"]}
    off = {"async_runs": False}
    one = server(agent_source("playing"), **TIDES, expose=expose, streaming=off)
    browser.open(f"{one.url}/")
    browser.wait(CITY)
    assert browser.evaluate("document.querySelector('button[type=submit]').disabled") is True
    assert "clients of other protocols alone" in browser.text(".composer")
    browser.fill(CITY, "Brest")
    browser.press("Control+Enter")
    browser.click(tab("Code"))
    assert f"{one.url}/mcp" in browser.text(".snippets")
    assert "curl" not in browser.text(".snippets")
    assert not any("/invoke" in url or "/runs" in url for url in browser.requests)
    assert browser.barriers() == []


def test_the_page_is_used_with_the_keyboard_alone(page: Browser) -> None:
    # The first field has the focus.
    page.evaluate("document.activeElement.value = ''")
    for letter in "Brest":
        page.press(letter)
    page.press("Control+Enter")
    page.wait(COMPLETE)
    assert "Tides of Brest" in page.text(ANSWER)
    page.evaluate("document.querySelector('.result [role=tab][aria-selected=true]').focus()")
    page.press("ArrowRight")
    page.wait(".timeline .rows")
    page.press("End")
    page.wait(".snippets")
    assert page.evaluate("document.activeElement.textContent") == "Code"


def test_the_theme_can_be_chosen_and_is_remembered(page: Browser) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.click('role=button[name="Theme: system"]')
    page.click('role=button[name="Theme: light"]')
    dark = page.evaluate(colour)
    assert dark != light
    page.reload()
    page.wait('role=button[name="Theme: dark"]')
    assert page.evaluate(colour) == dark


def test_the_speed_of_the_tokens_is_told(page: Browser) -> None:
    page.fill(field("pause"), "0.01")
    run_for(page)
    page.wait(COMPLETE)
    tiles = page.text(".tiles").replace("\n", " ")
    assert "First token" in tiles
    assert "\N{EN DASH}" not in tiles
    assert page.count(".plot .gap") > 3
    assert "First token after" in page.evaluate(
        "document.querySelector('.plot').getAttribute('aria-label')"
    )
