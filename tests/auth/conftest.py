"""What the tests of authentication share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from functools import cache

import httpcore2
import pytest

from tests.auth.clock import Clock
from tests.auth.shared import SHARED, Shared


# Of these tests alone: others trust authorities of their own.
@pytest.fixture(scope="package", autouse=True)
def certificates_are_read_once() -> Iterator[None]:
    """Reading the system's certificates takes longer than a test, and each client does; no test needs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=SHARED.values(), ids=list(SHARED))
async def shared(request: pytest.FixtureRequest) -> AsyncGenerator[Shared]:
    async with request.param() as made:
        yield made
