"""All of them. A new front end is one class and its line in `FRONT_ENDS`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.front_ends.agents import A2a, LegacyA2a, Mcp, ModernMcp, WholeA2a, WholeMcp
from tests.contracts.front_ends.base import FrontEnd
from tests.contracts.front_ends.openai import (
    Completions,
    Responses,
    WholeCompletions,
    WholeResponses,
)
from tests.contracts.front_ends.own import Native, Socket, Whole
from tests.contracts.front_ends.pages import AgUi, AiSdk

FRONT_ENDS: list[FrontEnd] = [
    Native(),
    Whole(),
    Socket(),
    Completions(),
    WholeCompletions(),
    Responses(),
    WholeResponses(),
    AgUi(),
    AiSdk(),
    A2a(),
    WholeA2a(),
    LegacyA2a(),
    Mcp(),
    WholeMcp(),
    ModernMcp(),
]


def each(where: Callable[[FrontEnd], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Run a test on every front end, or on those of a kind."""
    found = [front for front in FRONT_ENDS if where(front)]
    return pytest.mark.parametrize("front", found, ids=[front.name for front in found])
