"""Whose a database file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockrion.errors import ValidationError
from dockrion.runtime.backends.sqlite import SqliteBackend


async def test_agents_do_not_share_a_file_and_each_finds_its_own_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    first = SqliteBackend(path, agent_name="first")
    await first.open()
    second = SqliteBackend(path, agent_name="second")
    with pytest.raises(ValidationError) as refused:
        await second.open()
    assert refused.value.message == (
        f"streaming.sqlite.path: {str(path)!r} holds the runs of the agent 'first';"
        " name another file for 'second'"
    )
    await second.close()
    again = SqliteBackend(path, agent_name="first")
    await again.open()
    await again.check()
    await again.close()
    await first.close()
