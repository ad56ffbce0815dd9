"""An agent's image without Docker: the steps of a Dockerfile, carried out in a folder that stands for `/`.

What stands in for the base image is this Python; for the index of packages, the packages of this environment and
wheels that are given. All else is done as the Dockerfile lists it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from dockrion.version import VERSION

from .projects import parsed

REPOSITORY = Path(__file__).parents[2]
UV = REPOSITORY / ".tools/bin/uv"


class BareMachine:
    """The image as it is after its last step; `root` stands for `/`."""

    def __init__(self, root: Path, context: Path, wheels: Path) -> None:
        self.root = root
        self.user = ""
        self.exposed: list[str] = []
        self.command: list[str] = []
        self.healthcheck: list[str] = []
        self.ran: list[list[str]] = []
        self.context = context
        self._wheels = wheels
        self._stages: dict[str, Path] = {}
        self._environment: dict[str, str] = {}
        self._workdir = "/"
        self._uv = False
        for step in parsed((context / "Dockerfile").read_text()).structure:
            getattr(self, f"_do_{step['instruction'].lower()}")(step["value"])

    @property
    def stages(self) -> list[Path]:
        return list(self._stages.values())

    @property
    def environment(self) -> dict[str, str]:
        return {name: self._inside(value) for name, value in self._environment.items()}

    @contextmanager
    def running(self, **environment: str) -> Generator[subprocess.Popen[bytes]]:
        """Start the command as the user of the image, as far as this machine can."""
        process = subprocess.Popen(
            [*without_rights(self.user), *self._found(self.command)],
            cwd=self.root / self._workdir.lstrip("/"),
            env={**self.environment, **environment},
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def is_healthy(self, **environment: str) -> bool:
        command = self._found(self.healthcheck)
        done = subprocess.run(
            command,
            env={**self.environment, **environment},
            timeout=30,
            check=False,
            capture_output=True,
        )
        return done.returncode == 0

    def _do_comment(self, value: str) -> None:
        pass

    def _do_label(self, value: str) -> None:
        pass

    def _do_from(self, value: str) -> None:
        image, _, name = value.partition(" AS ")
        assert image == "python:3.12-slim"
        if self._stages:
            # Each stage has the same root, since environments hold absolute paths.
            before = next(reversed(self._stages))
            self._stages[before] = self.root.with_name(f"{self.root.name}.{before}")
            self.root.rename(self._stages[before])
        self.root.mkdir()
        self.root.chmod(0o755)
        self._stages[name] = self.root
        self._environment, self._workdir, self._uv = (
            {"PATH": "/usr/local/bin:/usr/bin:/bin"},
            "/",
            False,
        )

    def _do_env(self, value: str) -> None:
        for word in shlex.split(value):
            name, _, text = word.partition("=")
            self._environment[name] = text.replace("$PATH", self._environment["PATH"])

    def _do_workdir(self, value: str) -> None:
        self._workdir = value
        self._place(value).mkdir(parents=True, exist_ok=True)

    def _do_copy(self, value: str) -> None:
        *options, source, target = value.split(" ")
        origin, owner = self.context, None
        for option in options:
            name, _, text = option.partition("=")
            if name == "--from":
                origin = self._stages[text]
            else:
                assert name == "--chown"
                owner = text
        shutil.copytree(
            origin / source.strip("/"), self._place(target), symlinks=True, dirs_exist_ok=True
        )
        if owner is not None:
            self._own(self._place(target), owner)

    def _do_run(self, value: str) -> None:
        command: list[str] = json.loads(value)
        self.ran.append(command)
        match command:
            case ["pip", "install", *_, tool] if tool.startswith("uv=="):
                self._uv = True
            case ["python", "-m", "venv", *_, folder]:
                self._execute([sys.executable, *command[1:-1], str(self._place(folder))])
                self._see_packages(self._place(folder))
            case ["uv", "pip", "install", *rest]:
                assert self._uv, "uv is installed before it is used"
                self._execute([str(UV), "pip", "install", *map(self._inside, rest)])
            case ["install", "-d", "-o", user, "-g", group, *folders]:
                for folder in folders:
                    self._place(folder).mkdir(parents=True, exist_ok=True)
                    self._own(self._place(folder), f"{user}:{group}", deep=False)
            case _:
                raise AssertionError(f"no step of an image that this machine knows: {command}")

    def _do_user(self, value: str) -> None:
        self.user = value

    def _do_expose(self, value: str) -> None:
        self.exposed = value.split()

    def _do_stopsignal(self, value: str) -> None:
        assert value == "SIGTERM"

    def _do_healthcheck(self, value: str) -> None:
        self.healthcheck = json.loads(value.partition("CMD ")[2])

    def _do_cmd(self, value: str) -> None:
        self.command = json.loads(value)

    def _execute(self, command: list[str]) -> None:
        environment = {
            **self.environment,
            "HOME": str(self.root),
            "UV_NO_INDEX": "1",
            "UV_OFFLINE": "1",
            "UV_FIND_LINKS": str(self._wheels),
        }
        subprocess.run(
            command, cwd=self._place(self._workdir), env=environment, check=True, timeout=120
        )

    def _see_packages(self, environment: Path) -> None:
        """Let it find what dockrion needs, and not dockrion itself, which is here in an editable form."""
        scheme = {"base": str(environment), "platbase": str(environment)}
        packages = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
        (packages / "index.pth").write_text(sysconfig.get_path("purelib"))

    def _found(self, command: list[str]) -> list[str]:
        found = shutil.which(command[0], path=self.environment["PATH"])
        assert found is not None
        return [found, *command[1:]]

    def _own(self, path: Path, owner: str, *, deep: bool = True) -> None:
        if os.geteuid() != 0:
            return
        user, group = map(int, owner.split(":"))
        for one in [path, *(path.rglob("*") if deep else ())]:
            os.chown(one, user, group)

    def _place(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _inside(self, text: str) -> str:
        """Put the root before the paths of the image."""
        return ":".join(
            f"{self.root}{part}" if part.startswith(("/opt/", "/app")) else part
            for part in text.split(":")
        )


@cache
def without_rights(user: str = "10001:10001") -> Sequence[str]:
    """Return what starts a command as another user; nothing where this one is not root, or may not do that.

    He may look into folders of this machine that are not his, since this Python and its packages are in one.
    """
    uid, _, gid = user.partition(":")
    looking = ["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"]
    command = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", *looking]
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    tried = subprocess.run([*command, sys.executable, "-c", ""], check=False, capture_output=True)
    return command if tried.returncode == 0 else []


def make_wheel(folder: Path) -> Path:
    """Pack this checkout as a wheel that asks for no other package, since all are there."""
    folder.mkdir()
    info = f"dockrion-{VERSION}.dist-info"
    path = folder / f"dockrion-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        source = REPOSITORY / "src"
        for file in sorted(source.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                wheel.write(file, file.relative_to(source))
        extras = "".join(f"Provides-Extra: {name}\n" for name in ("redis", "jwt", "langgraph"))
        wheel.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: dockrion\nVersion: {VERSION}\n{extras}",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/entry_points.txt", "[console_scripts]\ndockrion = dockrion.cli:main\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path
