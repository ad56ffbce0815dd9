"""What counts as a change of an agent, and that a change is seen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dockrion.runtime.supervisor.changes import Sources, watch


@pytest.mark.parametrize(
    "name",
    [
        "Dockfile.yaml",
        "service.py",
        "deep/er/tools.py",
        "prompts/system.md",
        "requirements.txt",
        ".env",
        ".env.local",
        "env.yaml",
    ],
)
def test_what_an_agent_is_made_of_counts(tmp_path: Path, name: str) -> None:
    assert Sources(tmp_path, None).count(str(tmp_path / name))


@pytest.mark.parametrize(
    "name",
    [
        ".dockrion_runtime/main.py",
        ".dockrion/runs.db",
        ".git/config.py",
        "__pycache__/service.cpython-311.pyc",
        "deep/__pycache__/service.py",
        ".venv/lib/site.py",
        "myenv/lib/python3.11/tool.py",
        "node_modules/a/package.json",
        "agent.log",
        "checkpoints.sqlite",
        ".service.py.swp",
        "service.py~",
        "4913",
    ],
)
def test_what_tools_and_agents_leave_behind_does_not(tmp_path: Path, name: str) -> None:
    (tmp_path / "myenv").mkdir()
    (tmp_path / "myenv" / "pyvenv.cfg").touch()

    assert not Sources(tmp_path, None).count(str(tmp_path / name))


def test_the_names_of_folders_above_do_not_matter(tmp_path: Path) -> None:
    folder = tmp_path / ".venv" / "node_modules"
    folder.mkdir(parents=True)

    assert Sources(folder, None).count(str(folder / "service.py"))


def test_an_env_file_elsewhere_counts_and_its_neighbours_do_not(tmp_path: Path) -> None:
    agent, elsewhere = tmp_path / "agent", tmp_path / "elsewhere"
    agent.mkdir()
    elsewhere.mkdir()
    sources = Sources(agent, elsewhere / "production")

    assert sources.count(str(elsewhere / "production"))
    assert not sources.count(str(elsewhere / "service.py"))


async def test_a_file_that_is_replaced_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text("old")
    stop = asyncio.Event()
    changes: asyncio.Queue[list[str]] = asyncio.Queue()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(watch(Sources(tmp_path, None), stop, changes.put_nowait))
        await asyncio.sleep(0)
        (tmp_path / "draft").write_text("new")
        (tmp_path / "draft").replace(tmp_path / "service.py")
        names = await changes.get()
        stop.set()

    assert names == ["service.py"]


def test_what_the_process_itself_writes_does_not_count(tmp_path: Path) -> None:
    errors, notes = tmp_path / "err.txt", tmp_path / "notes.txt"
    errors.touch()
    notes.touch()
    found = errors.stat()
    sources = Sources(tmp_path, None, outputs=frozenset({(found.st_dev, found.st_ino)}))
    assert not sources.count(str(errors))
    assert sources.count(str(notes))
