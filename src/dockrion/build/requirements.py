"""Which packages an agent needs: dockrion with the extras that its Dockfile asks for, and what its author lists."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dockrion.errors import DeploymentError
from dockrion.spec import DockSpec
from dockrion.version import VERSION

REQUIREMENTS: Final = "requirements.txt"


def extras_of(spec: DockSpec) -> list[str]:
    telemetry = spec.observability
    mode = None if spec.auth is None else spec.auth.mode
    needed = {
        "jwt": mode == "jwt",
        "langchain": spec.agent.framework == "langchain",
        "langgraph": spec.agent.framework == "langgraph",
        "oauth2": mode == "oauth2",
        "otel": telemetry.langfuse is not None or telemetry.otlp is not None,
        "redis": spec.streaming.backend == "redis",
    }
    return [extra for extra, is_needed in needed.items() if is_needed]


def requirements_of(spec: DockSpec, *, included: str | None) -> str:
    """Return a requirements file; the agent's own is included as it is, since rewriting lines changes them."""
    extras = ",".join(extras_of(spec))
    lines = [
        "# Written by dockrion, which overwrites it.",
        f"dockrion[{extras}]=={VERSION}" if extras else f"dockrion=={VERSION}",
    ]
    if included is not None:
        lines.append(f"-r {included}")
    return "\n".join([*lines, ""])


def install_requirements(folder: Path) -> None:
    """Install the agent's requirements.txt into the environment that runs this; raise `DeploymentError`.

    What the installer says goes to standard error.
    """
    path = folder / REQUIREMENTS
    if not path.is_file():
        error = DeploymentError(f"{path} not found: there is nothing to install")
        error.add_note("list the agent's packages there, or leave --install out")
        raise error
    # Started in the folder, which relative paths in the file are taken from.
    command = [*_installer(), "-r", REQUIREMENTS]
    done = subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False)  # noqa: S603
    if done.returncode != 0:
        error = DeploymentError(
            f"{path} could not be installed: {command[0]} ended with code {done.returncode}"
        )
        error.add_note("what it said stands above")
        raise error


def _installer() -> list[str]:
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--python", sys.executable]
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    error = DeploymentError("--install needs uv or pip, and this environment has neither")
    error.add_note("install uv, or install the packages of requirements.txt by hand")
    raise error
