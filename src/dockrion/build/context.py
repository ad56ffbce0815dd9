"""The build context: a folder that holds exactly what an image is made of, the same for the same project."""

from __future__ import annotations

import mmap
import os
import re
import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from dockrion.errors import DeploymentError
from dockrion.spec import DockSpec

CONTEXT: Final = "context"
# Every file's time: 1980, before which some archive formats cannot count.
_TIME: Final = 315_532_800
# A larger one is not read into memory.
_LARGE_BYTES: Final = 1 << 22
_MIN_SECRET_CHARS: Final = 12
_PLAIN_URL: Final = re.compile(r"https?://[^@\s]+")


@dataclass(frozen=True)
class Written:
    """What a context holds: how many files, of how many bytes."""

    folder: Path
    files: int
    bytes: int


def write_context(
    runtime: Path,
    files: Mapping[str, Path | str],
    *,
    folders: Iterable[str] = (),
    secrets: Mapping[str, bytes],
) -> Written:
    """Write a new context in place of the one that is there; a path is copied, a text written.

    Whoever reads the old one meanwhile keeps what he has opened. Nothing is written that holds one of `secrets`.
    Raises `DeploymentError`, or `OSError` of the context's own folder.
    """
    new, old, context = (runtime / f"{CONTEXT}{suffix}" for suffix in (".new", ".old", ""))
    for left_over in (new, old):
        _remove(left_over)
    copying = _Copying(new, secrets)
    try:
        for folder in folders:
            copying.make_folder(folder)
        for place, source in files.items():
            copying.put(place, source)
        copying.settle()
        if os.path.lexists(context):
            context.rename(old)
        new.rename(context)
    finally:
        _remove(new)
        _remove(old)
    return Written(context, len(files), copying.bytes)


def telling_secrets(spec: DockSpec) -> dict[str, bytes]:
    """Return, by name, the values of secrets that no file holds by chance; a default is no secret."""
    declared = spec.secrets.declared
    defaults = {secret.default for secret in declared}
    names = [secret.name for secret in declared]
    if spec.auth is not None:
        names += spec.auth.secret_variables(spec.environ)
    values = {name: spec.environ.get(name, "").strip() for name in names}
    return {
        name: value.encode(errors="surrogateescape")
        for name, value in values.items()
        if value not in defaults and _is_telling(value)
    }


@contextmanager
def alone(runtime: Path, on_wait: Callable[[], None]) -> Generator[None]:
    """Keep other builds of this folder waiting; `on_wait` is called before this one has to wait for another."""
    try:
        runtime.mkdir(parents=True, exist_ok=True)
        if sys.platform != "win32":
            descriptor = os.open(runtime, os.O_RDONLY)
    except OSError as exc:
        raise cannot_write(runtime, exc) from exc
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        # A file system that knows no locks is used without.
        with suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def cannot_write(runtime: Path, exc: OSError) -> DeploymentError:
    error = DeploymentError(f"{runtime} cannot be written: {exc.strerror}")
    error.add_note("an image is prepared beside its Dockfile: go to a copy that you may write to")
    return error


class _Copying:
    def __init__(self, root: Path, secrets: Mapping[str, bytes]) -> None:
        self._root = root
        self._secrets = secrets
        self._folders = {"": root}
        self.bytes = 0
        root.mkdir()

    def make_folder(self, place: str) -> Path:
        known = self._folders.get(place)
        if known is None:
            above, _, name = place.rpartition("/")
            known = self.make_folder(above) / name
            known.mkdir(exist_ok=True)
            self._folders[place] = known
        return known

    def put(self, place: str, source: Path | str) -> None:
        above, _, name = place.rpartition("/")
        target = self.make_folder(above) / name
        if isinstance(source, str):
            data = source.encode()
            self._check(data, place)
            self._write(target, data, executable=False)
            return
        try:
            with source.open("rb", buffering=0) as opened:
                status = os.fstat(opened.fileno())
                if status.st_size > _LARGE_BYTES:
                    data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
                else:
                    data = opened.readall()
        except OSError as exc:
            raise DeploymentError(f"{_shown(place)} cannot be read: {exc.strerror}") from exc
        self._check(data, place)
        self._write(target, data, executable=bool(status.st_mode & 0o100))

    def settle(self) -> None:
        # Inner ones first: each file that is written gives its folder a new time.
        for place in sorted(self._folders, key=len, reverse=True):
            folder = self._folders[place]
            folder.chmod(0o755)
            os.utime(folder, (_TIME, _TIME))

    def _write(self, target: Path, data: bytes | mmap.mmap, *, executable: bool) -> None:
        with target.open("xb") as opened:
            opened.write(data)
        # Readable by the image's user, whoever alone may read the file here.
        target.chmod(0o755 if executable else 0o644)
        os.utime(target, (_TIME, _TIME))
        self.bytes += len(data)

    def _check(self, data: bytes | mmap.mmap, place: str) -> None:
        for name, value in self._secrets.items():
            if data.find(value) >= 0:
                error = DeploymentError(
                    f"{_shown(place)} holds the value of {name}, and an image must not"
                )
                error.add_note(
                    "take it out of the file, or keep the file out with build.exclude; "
                    "what is no secret need not be declared as one"
                )
                raise error


def _is_telling(value: str) -> bool:
    return (
        len(value) >= _MIN_SECRET_CHARS
        and any(map(str.isdigit, value))
        and any(map(str.isalpha, value))
        and not _PLAIN_URL.fullmatch(value)
    )


def _shown(place: str) -> str:
    """Return a place in the context as its author knows it: without the context's own folder."""
    return str(PurePosixPath(*PurePosixPath(place).parts[1:])) if "/" in place else place


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
