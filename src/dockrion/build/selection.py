"""Files of a project that may go into an image: what is asked for, less what is excluded and what never goes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dockrion.build.kept_out import ENVIRONMENT_MARK, reason_for, reason_for_path
from dockrion.errors import DeploymentError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MAX_FILES: Final = 100_000

SECRET: Final = "may hold secrets"  # noqa: S105  (words of a message)
OUTSIDE: Final = "is a link out of the project"
CLUTTER: Final = "is nothing for an image"


class Selection:
    """Collects files below `root`; paths are relative to it, with slashes, `""` is `root` itself.

    `private` stays out whatever it is called, each path for its reason. A link counts as what it leads to, and has to
    stand both tests: that of its own path and that of its target.
    """

    def __init__(
        self, root: Path, exclude: GitIgnoreSpec | None, private: Mapping[Path, str]
    ) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._exclude = exclude
        self._private = {os.path.realpath(path): why for path, why in private.items()}
        self._walked: set[str] = set()
        self.files: dict[str, Path] = {}
        self.folders: set[str] = set()
        # What was asked for and stays out, with the reason; what is excluded is not in here.
        self.kept_out: dict[str, str] = {}

    def add(self, path: str) -> None:
        """Take a file, or a folder with all that is in it; nothing that `refusal` or an exclusion speaks against."""
        if path in self._walked or path in self.files:
            return
        reason = self.refusal(path)
        if reason is not None:
            if reason != CLUTTER:
                self.kept_out[path] = reason
        elif self.excludes(path):
            return
        elif (self._root / path).is_dir():
            self._walked.add(path)
            self.folders.add(path)
            for file in self.walk(path):
                self._take(file)
        else:
            self._take(path)

    def add_named(self, path: str) -> None:
        """Take a file that no exclusion can take away; raise where it cannot go into an image."""
        reason = self.refusal(path)
        if reason is not None:
            raise DeploymentError(f"{path} cannot go into an image: it {reason}")
        self._take(path)

    def refusal(self, path: str) -> str | None:
        """Return why the path never goes into an image, None when it may."""
        whole = self._root / path
        is_folder = whole.is_dir()
        reason = _words(reason_for_path(path, is_folder=is_folder)) if path else None
        if reason is None and (whole / ENVIRONMENT_MARK).exists():
            reason = CLUTTER
        return reason or self._refusal_of_target(os.path.realpath(whole), is_folder=is_folder)

    def excludes(self, path: str) -> bool:
        """Whether the path, or a folder on its way, is excluded; one within such a folder cannot be taken back."""
        if self._exclude is None or not path:
            return False
        parts = path.split("/")
        folders = ["/".join(parts[:count]) + "/" for count in range(1, len(parts))]
        last = f"{path}/" if (self._root / path).is_dir() else path
        return any(map(self._exclude.match_file, [*folders, last]))

    def walk(self, folder: str) -> Iterator[str]:
        """Yield the files below a folder, in order; what stays out is noted in `kept_out`."""
        real = os.path.realpath(self._root / folder)
        waiting = [(folder, real, frozenset((real,)))]
        while waiting:
            current, real, above = waiting.pop()
            inner: list[tuple[str, str, frozenset[str]]] = []
            for entry in self._entries(current):
                path = f"{current}/{entry.name}" if current else entry.name
                target = f"{real}/{entry.name}"
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                mode = _mode(target)
                if mode is None or not self._may_go(entry, path, target, stat.S_ISDIR(mode)):
                    continue
                if stat.S_ISREG(mode):
                    yield path
                elif stat.S_ISDIR(mode) and target not in above:
                    inner.append((path, target, above | {target}))
            waiting += reversed(inner)

    def _may_go(self, entry: os.DirEntry[str], path: str, target: str, is_folder: bool) -> bool:
        reason = _words(reason_for(entry.name, is_folder=is_folder))
        if reason is None and entry.is_symlink():
            reason = self._refusal_of_target(target, is_folder=is_folder)
        reason = reason or self._private.get(target)
        if reason is None and is_folder and os.path.lexists(f"{target}/{ENVIRONMENT_MARK}"):
            reason = CLUTTER
        if reason is not None:
            if reason != CLUTTER:
                self.kept_out[path] = reason
            return False
        if self._exclude is None:
            return True
        if self._exclude.match_file(f"{path}/" if is_folder else path):
            return False
        return not entry.is_symlink() or not self.excludes(os.path.relpath(target, self._real_root))

    def _refusal_of_target(self, real: str, *, is_folder: bool) -> str | None:
        if real == self._real_root:
            return None
        if not real.startswith(f"{self._real_root}{os.sep}"):
            return OUTSIDE
        if real in self._private:
            return self._private[real]
        relative = real.removeprefix(f"{self._real_root}{os.sep}")
        return _words(reason_for_path(relative, is_folder=is_folder))

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as exc:
            shown = folder or str(self._root)
            raise DeploymentError(f"{shown} cannot be read: {exc.strerror}") from exc

    def _take(self, path: str) -> None:
        if len(self.files) >= MAX_FILES:
            error = DeploymentError(f"the image would hold more than {MAX_FILES} files")
            error.add_note("narrow build.include, or name what stays out under build.exclude")
            raise error
        self.files[path] = self._root / path


def _words(reason: str | None) -> str | None:
    return {"secret": SECRET, "clutter": CLUTTER}.get(reason or "")


def _mode(path: str) -> int | None:
    try:
        return os.stat(path).st_mode  # noqa: PTH116  (a thousand times, where pathlib takes three times as long)
    except OSError:
        return None
