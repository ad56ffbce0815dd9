"""Fixtures of the chaos tests: a backend, and a cluster on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["sqlite"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    one = Cluster(tmp_path, {"backend": request.param})
    yield one
    one.close()
