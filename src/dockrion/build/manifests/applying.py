"""Manifests as files, and the tool that takes them to where they run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dockrion._files import write_whole
from dockrion.build.manifests.plan import Plan, Target
from dockrion.build.manifests.redis import PASSWORD
from dockrion.build.manifests.text import WRITTEN
from dockrion.errors import DeploymentError

FILES: Final[Mapping[Target, str]] = {"compose": "compose.yaml", "kubernetes": "kubernetes.yaml"}


def write_manifest(text: str, folder: Path, target: Target) -> Path:
    """Write the file whole or not at all, and only over one that was written here; raise `DeploymentError`."""
    path = folder / FILES[target]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and not (
            path.is_file() and path.read_bytes().startswith(WRITTEN.encode())
        ):
            error = DeploymentError(f"{path} is there, and dockrion has not written it")
            error.add_note("name another folder with -o, or move it away")
            raise error
        # Whoever may read the folder may read this: no secret stands in it.
        write_whole(path, text, mode=0o644)
    except OSError as exc:
        error = DeploymentError(f"{path} cannot be written: {exc.strerror}")
        error.add_note("-o names the folder to write to; --dry-run prints and writes nothing")
        raise error from exc
    return path


def command_for(target: Target, file: Path) -> list[str]:
    """Return the command line that makes the platform what the file says."""
    if target == "compose":
        return ["docker", "compose", "-f", str(file), "up", "-d", "--remove-orphans"]
    return ["kubectl", "apply", "-f", str(file)]


def is_there(command: Sequence[str]) -> bool:
    return shutil.which(command[0]) is not None


def values_to_fill_in(plan: Plan) -> dict[str, str]:
    """Return what Compose is to find in its environment: in no file, and in no command line."""
    names = (*plan.variables.elsewhere, PASSWORD)
    return {name: plan.environment[name] for name in names if name in plan.environment}


def run(command: Sequence[str], *, values: Mapping[str, str], output: int) -> None:
    """Run the command with these variables, its output to a descriptor; raise `DeploymentError` when it fails."""
    done = subprocess.run(  # noqa: S603
        command, env={**os.environ, **values}, stdout=output, stderr=output, check=False
    )
    if done.returncode != 0:
        error = DeploymentError(f"`{' '.join(command[:2])}` ended with code {done.returncode}")
        error.add_note(
            f"what it said stands above; the file is there: {command[command.index('-f') + 1]}"
        )
        raise error
