"""Forms out of all kinds of schemas: what is filled in is what the agent gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from .driving import Browser
from .playground import COMPLETE, RUN, tab
from .server import agent_source

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

pytestmark = pytest.mark.chromium

PAYLOAD = 'role=textbox[name="Payload"]'
SCHEMA: dict[str, Any] = {
    "properties": {
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}},
        "stops": {
            "type": "array",
            "title": "Stops",
            "items": {"$ref": "#/$defs/Stop"},
            "minItems": 1,
        },
        "when": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/Span"}, {"type": "null"}]},
        "size": {"enum": ["small", 5, None]},
        "limit": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "mixed": {"type": ["string", "number"]},
        "self": {"$ref": "#/$defs/Tree"},
        "both": {"allOf": [{"$ref": "#/$defs/Span"}, {"properties": {"note": {"type": "string"}}}]},
        "x<b>&\"'": {"type": "string", "description": "<img src=x onerror=alert(1)>"},
    },
    "required": ["stops"],
    "anyOf": [{"required": ["stops"]}, {"required": ["tags"]}],
    "$defs": {
        "Stop": {
            "properties": {"city": {"type": "string"}, "nights": {"type": "integer"}},
            "required": ["city"],
        },
        "Span": {
            "title": "Span",
            "type": "object",
            "properties": {"from": {"type": "string"}, "to": {"type": "string"}},
            "required": ["from"],
        },
        "Tree": {
            "properties": {
                "left": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "string"}]},
                "right": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "string"}]},
                "all": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
            }
        },
    },
}


@pytest.fixture(scope="module")
def odd(server: StartServer) -> Server:
    return server(agent_source("greeter"), io_schema={"input": SCHEMA})


def group(name: str) -> str:
    return f'fieldset:has(> legend:text("{name}"))'


def payload(page: Browser) -> Any:
    page.click(tab("JSON"))
    value = json.loads(page.value(PAYLOAD))
    page.click(tab("Form"))
    return value


def test_lists_and_kinds_are_filled_in_and_taken_out(browser: Browser, odd: Server) -> None:
    browser.open(f"{odd.url}/")
    browser.wait(group("Stops"))
    assert payload(browser) == {"stops": [], "limit": 3}
    for city in ("Brest", "Calais", "Dover"):
        browser.click('role=button[name="Add to Stops"]')
        # The new field has the focus.
        browser.evaluate(f"document.execCommand('insertText', false, {json.dumps(city)})")
    browser.click('role=button[name="Remove Stops 2"]')
    assert browser.evaluate("document.activeElement.textContent") == "Add to Stops"
    browser.click('role=button[name="Add to tags"]')
    browser.evaluate("document.execCommand('insertText', false, 'calm')")
    browser.choose(f"{group('when')} select", "Span")
    browser.fill(f"{group('when')} .field:has(label:text('from')) :is(input, textarea)", "May")
    browser.choose(f"{group('mixed')} select", "number")
    browser.fill(f"{group('mixed')} input", "2.5")
    assert browser.barriers() == []
    assert payload(browser) == {
        "stops": [{"city": "Brest"}, {"city": "Dover"}],
        "tags": ["calm"],
        "when": {"from": "May"},
        "limit": 3,
        "mixed": 2.5,
    }
    assert browser.problems == []


def test_json_comes_back_as_it_was_from_the_form(browser: Browser, odd: Server) -> None:
    browser.open(f"{odd.url}/")
    browser.wait(group("Stops"))
    values: list[dict[str, Any]] = [
        {"stops": [{"city": "a", "nights": 2}], "when": 4, "size": 5, "mixed": "x"},
        {"stops": [{"city": "a", "more": 1}], "when": None, "size": None, "tags": ["", "b"]},
        {"stops": 7, "when": [1], "self": {"left": {"left": "deep"}, "all": [{"right": "r"}]}},
        {"stops": [{"city": "a"}], "both": {"from": "x", "note": "n"}, "x<b>&\"'": "y"},
    ]
    for value in values:
        browser.click(tab("JSON"))
        browser.fill(PAYLOAD, json.dumps({**value, "limit": 5}))
        browser.click(tab("Form"))
        assert payload(browser) == {**value, "limit": 5}
    assert browser.count(".fields img") == 0
    assert browser.problems == []


def test_what_is_wrong_stands_at_the_item_that_it_is_of(browser: Browser, odd: Server) -> None:
    browser.open(f"{odd.url}/")
    browser.wait(group("Stops"))
    browser.click(RUN)
    browser.wait(f"{group('Stops')} > .problem")
    browser.click('role=button[name="Add to tags"]')
    browser.evaluate(f"document.execCommand('insertText', false, {json.dumps('w' * 21)})")
    browser.click('role=button[name="Add to Stops"]')
    browser.evaluate("document.execCommand('insertText', false, 'Brest')")
    browser.click(RUN)
    browser.wait(f"{group('tags')} li .problem")
    assert browser.evaluate("document.activeElement.value") == "w" * 21
    assert browser.barriers() == []


@pytest.mark.parametrize(
    ("schema", "typed", "sent"),
    [
        ({"type": "string"}, "Hello", "Hello"),
        ({"type": "integer", "minimum": 2}, "5", 5),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}], "type": "string"}, "so", "so"),
    ],
    ids=["text", "number", "kinds"],
)
def test_an_input_that_is_no_object_has_one_field(
    browser: Browser, server: StartServer, schema: Any, typed: str, sent: Any
) -> None:
    one = server(agent_source("echo"), io_schema={"input": schema})
    browser.open(f"{one.url}/")
    browser.fill(".composer [role=tabpanel]:not([hidden]) :is(input, textarea)", typed)
    browser.click(RUN)
    browser.wait(COMPLETE)
    assert json.loads(browser.text(".prose")) == sent


def test_an_agent_without_a_schema_takes_json(browser: Browser, server: StartServer) -> None:
    browser.open(f"{server(agent_source('echo')).url}/")
    browser.fill(PAYLOAD, "[1, null]")
    browser.press("Control+Enter")
    browser.wait(COMPLETE)
    assert json.loads(browser.text(".prose")) == [1, None]
