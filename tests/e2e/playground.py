"""The playground in tests: agents to show in it, what is where on the page, and what a person does there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

    from .driving import Browser
    from .server import Server

SCHEMA: dict[str, Any] = {
    "properties": {
        "city": {"type": "string", "title": "City", "description": "Whose tides are wanted."},
        "pause": {"type": "number", "minimum": 0, "maximum": 5, "default": 0},
        "ask": {"type": "boolean"},
        "fail": {"type": "boolean"},
        "more": {"type": "integer"},
        "place": {"$ref": "#/$defs/Place"},
    },
    "required": ["city"],
    "$defs": {"Place": {"properties": {"lat": {"type": ["number", "null"]}}}},
}
TIDES: dict[str, Any] = {
    "agent": {"name": "tides", "handler": "service:handle", "description": "Tells <b>when</b>."},
    "io_schema": {"input": SCHEMA},
}
HELD = {"connection": {"on_disconnect": "continue"}}

PICTURES = Path(__file__).parent / "screenshots"
CITY = 'role=textbox[name="City"]'
RUN = 'role=button[name="Run"]'
STOP = 'role=button[name="Stop"]'
COMPLETE = ".status .badge.is-complete:text('Complete')"
ANSWER = ".answer"


def field(name: str) -> str:
    return f'.field:has(label:has-text("{name}")) input'


def tab(name: str) -> str:
    return f'role=tab[name="{name}"]'


def way(name: str) -> str:
    return f'label:text-is("{name}")'


KEY = "key-of-ann-0123456789"
AUTH = {"api_keys": {"keys": [{"name": "ann", "env_var": "ANN_KEY"}]}, "protect": ["schema"]}
MESSAGE = {"properties": {"role": {"type": "string"}, "content": {"type": "string"}}}
CHAT: dict[str, Any] = {
    "handler": "converse",
    "io_schema": {
        "input": {
            "properties": {"messages": {"type": "array", "items": {"type": "object", **MESSAGE}}},
            "required": ["messages"],
        }
    },
}


def picture(name: str) -> str:
    """Return where a picture of the page belongs."""
    PICTURES.mkdir(exist_ok=True)
    return str(PICTURES / f"{name}.png")


def run_for(page: Browser, city: str = "Brest") -> None:
    page.fill(CITY, city)
    page.click(RUN)


def give_key(page: Browser, key: str = KEY) -> None:
    page.wait("dialog[open]")
    page.fill("dialog input", key)
    page.press("Enter")


def metrics(server: Server) -> str:
    return httpx.get(f"{server.url}/metrics", trust_env=False).text


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
