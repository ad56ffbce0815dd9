"""`/docs` and `/redoc` as Chromium shows them, without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .browser import Looked, Page, look

if TYPE_CHECKING:
    from .conftest import StartServer
    from .server import Server

pytestmark = pytest.mark.chromium

SOURCE = "async def handle(payload):\n    return {'answer': payload['query']['text']}\n"
PICTURE = "https://example.com/picture.png"
SECTIONS: dict[str, Any] = {
    "agent": {
        "name": "e2e",
        "handler": "service:handle",
        "description": f"Answers. ![picture]({PICTURE})",
    },
    "io_schema": {
        "input": {
            "properties": {
                "query": {"$ref": "#/$defs/Query"},
                "note": {"type": ["string", "null"], "default": None},
            },
            "required": ["query"],
            "$defs": {
                "Query": {
                    "type": "object",
                    "properties": {
                        "text": {"type": "string", "examples": ["from the page"]},
                        "previous": {"$ref": "#/$defs/Query"},
                    },
                    "required": ["text"],
                }
            },
        },
        "output": {"properties": {"answer": {"type": "string"}}},
    },
}
PREFIX = "/agents/echo"

OPERATIONS = ["/invoke", "/invoke/stream", "/health", "/ready", "/schema", "/info"]
TRY_INVOKE = (
    "#operations-agent-invoke .opblock-summary-control",
    "#operations-agent-invoke button.try-out__btn",
    "#operations-agent-invoke button.execute",
)
EXPAND_QUERY = "[aria-label='expand query']"
ANSWERED = "#operations-agent-invoke .live-responses-table"


@pytest.fixture(scope="module", params=["", PREFIX], ids=["at the root", "below a prefix"])
def prefix(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def served(server: StartServer, prefix: str) -> Server:
    return server(SOURCE, **SECTIONS, expose={"root_path": prefix} if prefix else {})


@pytest.fixture(scope="module")
def pages(served: Server, prefix: str) -> list[Looked]:
    """`/docs`, with a call made from it, and `/redoc`."""
    at = served.url + prefix
    return look(
        [
            Page(f"{at}/docs", until=ANSWERED, clicks=TRY_INVOKE),
            Page(f"{at}/redoc", until="td:has-text('previous')", clicks=(EXPAND_QUERY,)),
        ]
    )


@pytest.mark.parametrize("number", [0, 1], ids=["docs", "redoc"])
def test_the_page_shows_the_agent_and_its_operations(pages: list[Looked], number: int) -> None:
    page = pages[number]
    assert "e2e" in page.text
    assert [path for path in OPERATIONS if path not in page.text] == []


@pytest.mark.parametrize("number", [0, 1], ids=["docs", "redoc"])
def test_the_browser_asks_nobody_but_the_server(
    pages: list[Looked], served: Server, prefix: str, number: int
) -> None:
    page = pages[number]
    own = (f"{served.url}{prefix}/", f"blob:{served.url}/", "data:")
    assert f"{served.url}{prefix}/openapi.json" in page.requests
    assert [url for url in page.requests if not url.startswith(own)] == []


@pytest.mark.parametrize("number", [0, 1], ids=["docs", "redoc"])
def test_a_picture_elsewhere_is_not_fetched_and_nothing_else_goes_wrong(
    pages: list[Looked], number: int
) -> None:
    page = pages[number]
    assert set(page.blocked) == {PICTURE}
    assert [problem for problem in page.problems if PICTURE not in problem] == []


def test_a_call_from_the_page_is_answered(pages: list[Looked]) -> None:
    assert '"answer": "from the page"' in pages[0].text


def test_redoc_shows_what_a_reference_in_the_schema_leads_to(pages: list[Looked]) -> None:
    assert "Run the agent and wait for its output" in pages[1].text
    assert "previous" in pages[1].text
