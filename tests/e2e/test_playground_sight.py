"""What is in sight on the playground: nothing outside of its card, the end of what is said, and what one does next."""

from __future__ import annotations

import signal
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .driving import Browser
from .playground import CHAT, COMPLETE, RUN, TIDES, metrics, run_for, tab, wait_until
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

pytestmark = pytest.mark.chromium

TELLING: dict[str, Any] = {
    "io_schema": {
        "input": {
            "properties": {
                "show": {"type": "string", "examples": ["tasks"]},
                "size": {"type": "integer", "minimum": 1, "maximum": 9},
                "at": {"type": "string", "format": "date-time"},
            },
            "required": ["show"],
        }
    }
}
LINE = 'role=textbox[name="Message"]'
IN_SIGHT = """
(() => {
  const { top, bottom } = document.querySelector(%r).getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
})()
"""
NO_WIDER = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture(scope="module")
def telling(server: StartServer) -> Server:
    return server(agent_source("telling"), **TELLING)


def show(page: Browser, server: Server, what: str, **view: Any) -> None:
    page.open(f"{server.url}/", **view)
    page.fill('role=textbox[name="show"]', what)
    page.click(RUN)
    page.wait(COMPLETE)


def box(page: Browser, on: str) -> dict[str, float]:
    return page.evaluate(f"document.querySelector({on!r}).getBoundingClientRect().toJSON()")


@pytest.mark.parametrize("width", [1280, 320])
def test_an_output_with_long_lines_stays_in_its_card(
    browser: Browser, telling: Server, width: int
) -> None:
    show(browser, telling, "wide", width=width)
    assert "wide wide" in browser.text(".output")
    assert box(browser, ".output pre")["right"] <= box(browser, ".result")["right"]
    assert browser.evaluate(NO_WIDER)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844), (320, 640)])
def test_a_conversation_shows_its_end_and_where_one_says_what_comes_next(
    browser: Browser, server: StartServer, width: int, height: int
) -> None:
    one = server(agent_source("telling"), **CHAT)
    browser.open(f"{one.url}/", width=width, height=height)
    for said in ("first", "second", "third"):
        browser.fill(LINE, said)
        browser.press("Enter")
        browser.wait(f".turn:last-child .prose:has-text('End of {said}.')")
        browser.wait(COMPLETE)
    assert browser.evaluate(IN_SIGHT % ".turn:last-child .output")
    assert browser.evaluate(IN_SIGHT % ".composer textarea")
    assert browser.evaluate(IN_SIGHT % ".composer .primary")
    # What one writes stands in front of nothing that was said last.
    last, writing = box(browser, ".turn:last-child .output"), box(browser, ".composer")
    assert last["bottom"] <= writing["top"] or last["left"] >= writing["right"]
    browser.click(".how summary")
    label = "document.querySelector('.how label[for^=thread]')"
    assert browser.evaluate(f"getComputedStyle({label}).clipPath") == "none"
    assert browser.barriers() == []
    assert browser.evaluate(NO_WIDER)


def test_the_longest_form_has_its_button_in_sight(browser: Browser, server: StartServer) -> None:
    fields = {f"field {number}": {"type": "string"} for number in range(30)}
    one = server(agent_source("greeter"), io_schema={"input": {"properties": fields}})
    browser.open(f"{one.url}/")
    browser.wait(".field >> nth=29")
    assert browser.evaluate(IN_SIGHT % ".composer .primary")
    # From the end of the form, the answer comes into sight.
    browser.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    browser.click(RUN)
    browser.wait(COMPLETE)
    assert browser.evaluate(IN_SIGHT % ".status .badge")


def test_speed_is_told_where_there_is_any(browser: Browser, telling: Server) -> None:
    browser.open(f"{telling.url}/")
    browser.wait(".status .badge:text-is('Ready')")
    browser.wait(".pulse-strip", "hidden")
    show(browser, telling, "wide")
    browser.wait(".pulse-strip", "hidden")
    show(browser, telling, "tasks")
    browser.wait(".pulse-strip")


def test_text_has_the_direction_of_its_letters(browser: Browser, telling: Server) -> None:
    show(browser, telling, "both ways")
    script = "[...document.querySelectorAll('.prose :is(p, ul)')].map((one) => getComputedStyle(one).direction)"
    assert browser.evaluate(script) == ["ltr", "rtl", "rtl"]
    item, words = box(browser, ".prose ul"), box(browser, ".prose li")
    assert words["right"] < item["right"], "its mark stands before it, on the right"


def test_code_can_be_copied_and_is_no_higher_than_it_is(browser: Browser, telling: Server) -> None:
    show(browser, telling, "code", height=400)
    browser.evaluate("scrollTo(0, 0)")
    assert box(browser, ".code-block")["top"] > 900, "far below what is seen"
    assert box(browser, ".code-block")["height"] < 120
    assert browser.text(".code-head span") == "python"
    browser.click('.code-block >> role=button[name="Copy"]')
    browser.wait('role=button[name="Copied"]')
    assert browser.evaluate("navigator.clipboard.readText()") == "height = 2.1"
    browser.click('role=button[name="Copy answer"]')
    browser.wait('.after >> role=button[name="Copied"]')
    assert "several lines" in browser.evaluate("navigator.clipboard.readText()")


def test_a_table_too_wide_scrolls_and_its_words_stay_whole(
    browser: Browser, telling: Server
) -> None:
    show(browser, telling, "table", width=320)
    wide = "document.querySelector('.prose .wide')"
    assert browser.evaluate(f"{wide}.scrollWidth > {wide}.clientWidth")
    # One line of text, with the space around it.
    assert box(browser, ".prose th")["height"] < 40
    assert browser.evaluate(NO_WIDER)


def test_tasks_have_boxes_and_addresses_their_brackets(browser: Browser, telling: Server) -> None:
    show(browser, telling, "tasks")
    assert browser.text(".prose").split() == ["☐", "tides", "☑", "moon"]
    href = browser.evaluate("document.querySelector('.prose a').href")
    assert href == "https://example.com/Moon_(Earth)"


def test_a_step_stands_before_what_happened_in_it_and_arguments_open(
    browser: Browser, telling: Server
) -> None:
    show(browser, telling, "steps")
    browser.click(tab("Timeline"))
    names = browser.evaluate(
        "[...document.querySelectorAll('.rows .name')].map((one) => one.textContent)"
    )
    assert names == ["Started", "speak", "tides", "Tokens", "Complete"]
    line = ".rows .kind-tool button"
    assert box(browser, line)["height"] < 60, "one line for the call, one for what came of it"
    browser.click(line)
    assert "deep " * 100 in browser.text(".rows .kind-tool pre")
    assert '"output": "low"' in browser.text(".rows .kind-tool pre")
    assert browser.barriers() == []


def test_who_reads_the_end_of_the_timeline_goes_on_reading_it(
    browser: Browser, telling: Server
) -> None:
    browser.open(f"{telling.url}/", height=700)
    browser.fill('role=textbox[name="show"]', "many")
    browser.click(tab("Timeline"))
    browser.click(RUN)
    browser.wait(COMPLETE)
    assert browser.count(".rows li") == 63
    assert browser.evaluate(IN_SIGHT % ".rows li:last-child")


def test_events_are_listed_without_tokens_and_shown_beside(
    browser: Browser, telling: Server
) -> None:
    show(browser, telling, "steps")
    browser.click(tab("Events"))
    browser.wait(".event-row:has-text('token')")
    browser.check('role=checkbox[name="Without tokens"]')
    browser.wait(".event-row:has-text('token')", "detached")
    types = browser.evaluate(
        "[...document.querySelectorAll('.event-row .type')].map((one) => one.textContent)"
    )
    assert sorted(types) == ["complete", "started", "step", "tool_call", "tool_result"]
    browser.click(".event-row:has-text('tool_result')")
    assert '"output": "low"' in browser.text("pre.event")
    assert box(browser, "pre.event")["left"] >= box(browser, ".events-box")["right"]
    browser.press("ArrowDown")
    assert '"node_name": "speak"' in browser.text("pre.event")
    browser.click('role=button[name="Copy all"]')
    browser.wait('role=button[name="Copied"]')
    assert '"token"' not in browser.evaluate("navigator.clipboard.readText()")


def test_who_chooses_the_colours_sees_what_is_chosen(browser: Browser, telling: Server) -> None:
    browser.open(f"{telling.url}/", forced=True)
    browser.wait(RUN)
    line = "getComputedStyle(document.querySelector('.tabs [aria-selected=%s]')).borderBottomColor"
    assert browser.evaluate(line % "true") != browser.evaluate(line % "false")
    ground = "getComputedStyle(document.querySelector('.ways %s + label')).backgroundColor"
    assert browser.evaluate(ground % ":checked") != browser.evaluate(ground % ":not(:checked)")


def test_the_time_that_passes_is_told_to_those_who_look(
    browser: Browser, server: StartServer
) -> None:
    browser.open(f"{server(agent_source('playing'), **TIDES).url}/")
    browser.fill("role=spinbutton[name=/pause/]", "1")
    run_for(browser)
    browser.wait(".elapsed:has-text('1 s')")
    assert browser.text('.status [role="status"]') == "Running"
    browser.click('role=button[name="Stop"]')
    browser.wait(".elapsed", "hidden")


def test_a_page_that_came_too_soon_says_when_the_agent_is_there(
    browser: Browser, own_server: StartServer
) -> None:
    one = own_server(agent_source("gated"), expose={"shutdown_grace": 30})
    url = f"{one.url}/invoke"
    call = Thread(target=lambda: httpx.post(url, json={}, trust_env=False, timeout=60))
    call.start()
    wait_until(lambda: "dockrion_active_requests 1.0" in metrics(one))
    one.signal(signal.SIGTERM)
    wait_until(lambda: one.get("/ready")[0] == 503)
    browser.open(f"{one.url}/")
    browser.wait(".status .badge:text('Not ready')")
    (one.folder / "go").touch()
    call.join()
    assert one.wait() == 0
    one.start_again()
    browser.wait(".status .badge:text-is('Ready')")


def test_a_form_says_its_limits_and_takes_its_example(browser: Browser, telling: Server) -> None:
    browser.open(f"{telling.url}/")
    browser.wait('role=spinbutton[name="size optional, 1 to 9"]')
    browser.fill("role=spinbutton[name=/size/]", "4")
    browser.click('role=button[name="Use the example"]')
    assert browser.value('role=textbox[name="show"]') == "tasks"
    assert browser.value("role=spinbutton[name=/size/]") == "4"
    assert browser.evaluate("document.activeElement.textContent") == "Run"
    browser.press("Enter")
    browser.wait(COMPLETE)
    browser.click(tab("JSON"))
    browser.fill('role=textbox[name="Payload"]', "{}")
    browser.click('role=button[name="Use the example"]')
    assert '"tasks"' in browser.value('role=textbox[name="Payload"]')


def test_a_run_is_listed_with_what_it_was_given(browser: Browser, telling: Server) -> None:
    show(browser, telling, "tasks")
    run_id = browser.text(".run-name")
    assert "tasks" in browser.text(f".run:has-text('{run_id[:13]}')")
