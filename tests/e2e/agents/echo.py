"""An agent that says what it was given, as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def handle(payload: Any) -> Iterator[str]:
    yield json.dumps(payload)
