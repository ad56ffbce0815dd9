"""What `--reload` watches: what an agent is made of in the Dockfile's folder, and its env files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchfiles import (
    Change,
    awatch,  # pyright: ignore[reportUnknownVariableType]  (a type of trio, which is not installed)
)

# Folders: these, those that start with a dot, and virtual environments.
_SKIPPED_FOLDERS: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
# Code, settings, prompts and templates. Not every file: a log or a database in the folder, which the agent or the
# shell writes while it serves, would end each run that it is written in.
_SUFFIXES: Final = frozenset(
    [
        *(".py", ".pyi", ".yaml", ".yml", ".toml", ".json", ".ini", ".cfg", ".sql", ".graphql"),
        *(
            ".txt",
            ".md",
            ".rst",
            ".prompt",
            ".xml",
            ".html",
            ".j2",
            ".jinja",
            ".jinja2",
            ".mustache",
        ),
    ]
)


def outputs_of_process() -> frozenset[tuple[int, int]]:
    """Return device and inode of the files that this process writes its output and its errors to."""
    files: set[tuple[int, int]] = set()
    for descriptor in (1, 2):
        with suppress(OSError):
            found = os.fstat(descriptor)
            files.add((found.st_dev, found.st_ino))
    return frozenset(files)


class Sources:
    """Decides which changed paths count; the `outputs` of the process never do: each log line would change them."""

    def __init__(
        self,
        folder: Path,
        env_file: Path | None,
        *,
        outputs: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        self._outputs = outputs
        self.folder: Final = Path(os.path.realpath(folder))
        # Its folder is watched, not the file: editors replace files, which a watch on one does not see.
        self.env_file: Final = (
            None if env_file is None else Path(os.path.realpath(env_file.parent)) / env_file.name
        )

    def count(self, path: str) -> bool:
        changed = Path(path)
        if changed == self.env_file:
            return True
        if not changed.is_relative_to(self.folder):
            return False
        *folders, name = changed.relative_to(self.folder).parts or ("",)
        return _is_source(name) and not self._is_skipped(folders) and not self._is_output(changed)

    def _is_output(self, path: Path) -> bool:
        try:
            found = path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) in self._outputs

    def _is_skipped(self, folders: list[str]) -> bool:
        at = self.folder
        for name in folders:
            at /= name
            if name in _SKIPPED_FOLDERS or name.startswith("."):
                return True
            if (at / "pyvenv.cfg").exists():
                return True
        return False

    def shown(self, path: str) -> str:
        changed = Path(path)
        inside = changed.is_relative_to(self.folder)
        return str(changed.relative_to(self.folder)) if inside else path


def _is_source(name: str) -> bool:
    if name.startswith("."):
        return name.startswith(".env")  # what is hidden else belongs to an editor or a tool
    return Path(name).suffix in _SUFFIXES


async def watch(
    sources: Sources, stop: asyncio.Event, on_change: Callable[[list[str]], None]
) -> None:
    """Tell the names of changed files, those that change together at once, until `stop`.

    The watch stands when this coroutine waits for the first time.
    """

    def counts(_: Change, path: str) -> bool:
        return sources.count(path)

    async def follow(folder: Path, *, recursive: bool) -> None:
        async for changes in awatch(
            folder, watch_filter=counts, stop_event=stop, recursive=recursive
        ):
            on_change(sorted({sources.shown(path) for _, path in changes}))

    async with asyncio.TaskGroup() as tasks:
        env_file = sources.env_file
        if env_file is not None and not env_file.is_relative_to(sources.folder):
            tasks.create_task(follow(env_file.parent, recursive=False))
        await follow(sources.folder, recursive=True)
