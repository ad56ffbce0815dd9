"""Fixtures of the contracts' suites."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from dockrion.runs.store.base import RunStore
from tests.contracts.run_stores import BACKENDS, RULES, Open

_NEEDED = {"redis": [pytest.mark.redis]}


@pytest.fixture(
    params=[
        pytest.param(backend, id=name, marks=_NEEDED.get(name, []))
        for name, backend in BACKENDS.items()
    ]
)
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Open]:
    """Opens stores, by their rules, on one backend."""
    async with request.param(tmp_path) as open_one:
        yield open_one


@pytest.fixture
async def store(open_store: Open) -> RunStore:
    return await open_store(RULES)


@pytest.fixture
async def other(open_store: Open, store: RunStore) -> RunStore:
    """A second store on the backend of `store`, as another process has it."""
    return await open_store(RULES)
