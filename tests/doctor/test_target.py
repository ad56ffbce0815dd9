"""The address of a deployed agent, as people give it."""

from __future__ import annotations

import pytest

from dockrion.doctor.stream.target import target_of
from dockrion.errors import ValidationError


@pytest.mark.parametrize(
    ("given", "url", "prefix"),
    [
        ("http://localhost:8080", "http://localhost:8080", ""),
        ("localhost:8080/", "http://localhost:8080", ""),
        ("https://a.example/agents/one/", "https://a.example/agents/one", "/agents/one"),
        (
            "https://a.example/agents/one/invoke/stream?x=1",
            "https://a.example/agents/one",
            "/agents/one",
        ),
        ("https://a.example/docs#/agent", "https://a.example", ""),
    ],
)
def test_an_address_is_where_the_agent_is(given: str, url: str, prefix: str) -> None:
    target = target_of(given)

    assert str(target) == url
    assert target.prefix == prefix
    assert str(target.at("/health")) == f"{url}/health"


@pytest.mark.parametrize("given", ["ftp://a.example", "http://", "", "http://a:port"])
def test_what_is_no_address_of_a_server_is_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="is no URL"):
        target_of(given)
