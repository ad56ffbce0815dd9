"""Clients that do not wait before they try again."""

from __future__ import annotations

import pytest


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each pause be as short as a server allows."""
    monkeypatch.setattr("dockrion.client.backoff.random.uniform", lambda _low, _high: 0.0)
