"""Who may serve with several processes, and what is warned of at the start."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion import ValidationError
from dockrion.runtime.serving import warn_of_open_server, warn_of_separate_counts
from dockrion.runtime.sharing import refuse_without_shared_runs
from tests.spec.kit import spec_of

ALONE = {"streaming.async_runs": False}


@pytest.mark.parametrize(
    ("parts", "settings"),
    [
        ({}, "streaming.async_runs: false"),
        ({"streaming.backend": "memory"}, "streaming.async_runs: false"),
        (
            {**ALONE, "streaming.connection.on_disconnect": "continue"},
            "streaming.connection.on_disconnect: cancel",
        ),
        (
            {**ALONE, "streaming.connection.resume_window": 5},
            "streaming.connection.resume_window: 0",
        ),
        (
            {"streaming.connection": {"on_disconnect": "continue", "resume_window": 5}},
            (
                "streaming.async_runs: false and streaming.connection.on_disconnect: cancel "
                "and streaming.connection.resume_window: 0"
            ),
        ),
    ],
)
def test_workers_that_would_hold_runs_apart_are_told_what_to_set(
    parts: dict[str, Any], settings: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        refuse_without_shared_runs(spec_of(parts), 2, named="worker")

    assert caught.value.message.endswith(f"or set {settings}")


@pytest.mark.parametrize(
    ("parts", "workers"),
    [
        ({}, 1),
        (ALONE, 2),
        ({"streaming.backend": "sqlite"}, 2),
        ({"streaming": {"backend": "redis", "redis": {"url": "redis://h"}}}, 8),
    ],
)
def test_workers_that_hold_none_or_share_them_may_serve(
    parts: dict[str, Any], workers: int
) -> None:
    refuse_without_shared_runs(spec_of(parts), workers, named="worker")


KEYS = {"auth": {"api_keys": {"env_var": "A_KEY"}}}


@pytest.mark.parametrize(
    ("parts", "host", "warned"),
    [
        ({}, "0.0.0.0", True),
        ({}, "::", True),
        ({"auth": {"mode": "none"}}, "0.0.0.0", True),
        ({"auth.api_keys.enabled": False}, "0.0.0.0", True),
        ({}, "127.0.0.1", False),
        (KEYS, "0.0.0.0", False),
        ({"expose.cors": {"origins": ["https://a.example"]}}, "0.0.0.0", False),
    ],
)
def test_a_server_that_is_open_to_everybody_is_warned_of(
    caplog: pytest.LogCaptureFixture, parts: dict[str, Any], host: str, warned: bool
) -> None:
    warn_of_open_server(spec_of(parts), host)

    assert ("anybody who reaches this machine" in caplog.text) is warned


LIMITED = {"auth": {"mode": "none", "rate_limits": {"default": "1/second"}}}
SHARING = {**LIMITED, "streaming.backend": "sqlite"}


@pytest.mark.parametrize(
    ("parts", "workers", "warned"),
    [(LIMITED, 2, True), (LIMITED, 1, False), ({}, 2, False), (SHARING, 2, False)],
)
def test_workers_that_count_calls_apart_are_warned_of(
    caplog: pytest.LogCaptureFixture, parts: dict[str, Any], workers: int, warned: bool
) -> None:
    warn_of_separate_counts(spec_of(parts), workers)

    assert ("each of the 2 workers counts by itself" in caplog.text) is warned
