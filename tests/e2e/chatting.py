"""The server that clients of protocols talk to, and its key."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .server import Server, agent_source

if TYPE_CHECKING:
    from collections.abc import Generator

KEY = "sk-of-the-test"


@contextmanager
def chatting(factory: pytest.TempPathFactory, protocol: str, **sections: Any) -> Generator[Server]:
    """Serve it, alone: its log has what the agent raises when it is told to fail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKRION_API_KEY", KEY)
        everything = {"expose": {"protocols": [protocol]}, "auth": {"mode": "api_key"}, **sections}
        folder = factory.mktemp("chatting")
        one = Server(folder, agent_source("chatting"), handler="handle", sections=everything)
    yield one
    one.kill()
