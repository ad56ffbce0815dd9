"""Each behaviour on both servers: ours, and one that knows nothing of dockrion."""

from __future__ import annotations

from typing import cast

import pytest

from .kit import ServerKind


@pytest.fixture(params=["ours", "uvicorn"])
def kind(request: pytest.FixtureRequest) -> ServerKind:
    return cast("ServerKind", request.param)
