"""Which packages an agent needs: dockrion with the extras that its Dockfile asks for, and what its author lists."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dockrion.build.own_requirements import not_covered
from dockrion.build.requirement_conflicts import ENVIRONMENTS, refuse_conflicts
from dockrion.build.requirement_lines import (
    LocalTarget,
    Requirements,
    read_requirements,
    text_of,
)
from dockrion.errors import BuildConflictError, DeploymentError
from dockrion.spec import DockSpec
from dockrion.spec.extras import extras_of
from dockrion.version import VERSION

REQUIREMENTS: Final = "requirements.txt"
WRITTEN: Final = "# Written by dockrion, which overwrites it."
# pip wants a hash of every package as soon as one has one; uv, which images are built with, checks those that are there.
_UNHASHED: Final = "# pip would refuse this line for want of a hash ({place} has one); uv takes it."


def merged_requirements(spec: DockSpec, folder: Path) -> str:
    """Return the agent's requirements.txt with dockrion in front where it is not listed; every line of it as it stands.

    It is for the place of that file: what its lines name is found from there, by an installer that is started there.
    Raises `BuildConflictError`, and `DeploymentError` for lines that no installer could read.
    """
    own = own_lines(spec, folder)
    path = folder / REQUIREMENTS
    text = text_of(path, REQUIREMENTS) if path.is_file() else ""
    return "\n".join([*own, text])


def including_requirements(spec: DockSpec, folder: Path, *, included: str) -> str:
    """Return a requirements file for another folder, which has the agent's as `included`; raises as the merged one."""
    lines = own_lines(spec, folder)
    if (folder / REQUIREMENTS).is_file():
        lines.append(f"-r {included}")
    return "\n".join([*lines, ""])


def own_lines(spec: DockSpec, folder: Path) -> list[str]:
    """Return what dockrion adds to the agent's requirements; raise `BuildConflictError` where the two disagree."""
    path = folder / REQUIREMENTS
    found = read_requirements(path) if path.is_file() else Requirements()
    needed = extras_of(spec)
    ours = [one for one in found.listed if one.wanted.name == "dockrion" and not one.is_constraint]
    everywhere = [one for one in ours if all(map(one.wanted.applies, ENVIRONMENTS))]
    refuse_conflicts(found.listed, needed)
    if not everywhere:
        extras = ",".join(needed)
        added = f"dockrion[{extras}]=={VERSION}" if extras else f"dockrion=={VERSION}"
    else:
        listed = frozenset[str]().union(*(one.wanted.extras for one in everywhere))
        missing = not_covered(needed, listed, ENVIRONMENTS[0])
        # Without a version: that one, from wherever it comes, is what his line says.
        added = f"dockrion[{','.join(missing)}]" if missing else None
    lines = [WRITTEN]
    if added is not None:
        _refuse_without_hash(added, found)
        if found.hashed is not None:
            lines.append(_UNHASHED.format(place=found.hashed))
        lines.append(added)
    return lines


def _refuse_without_hash(line: str, found: Requirements) -> None:
    place = found.hashes_required
    if place is None:
        return
    told = f"{place} has `--require-hashes`, but `{line}` is listed with no hash"
    error = BuildConflictError(told, conflicts=[told])
    error.add_note(
        f"add {line} to what your requirements are compiled from, and compile them with hashes again"
    )
    raise error


def requirement_files(folder: Path) -> list[Path]:
    """Return the files and folders that installing the agent's requirements.txt reads, itself left out.

    They are paths below `folder`, sorted, each once; a folder stands for all that is in it, and `folder` itself for
    the whole project (`-e .`). Raises `DeploymentError` where one of them could not be found in an image.
    """
    path = folder / REQUIREMENTS
    found = read_requirements(path) if path.is_file() else Requirements()
    inside = {_inside(target, folder.absolute()) for target in found.targets} - {Path(REQUIREMENTS)}
    return sorted(folder / relative for relative in inside)


def _inside(target: LocalTarget, folder: Path) -> Path:
    if target.where is None:
        raise _not_in_image(
            target, "what a variable's value names is not known when the image is built"
        )
    path = target.where.path
    if target.where.is_absolute:
        raise _not_in_image(target, "an absolute path, which the image does not have")
    if not path.is_relative_to(folder):
        raise _not_in_image(target, "it is outside of the project")
    if not path.exists():
        raise _not_in_image(target, "not found")
    return path.relative_to(folder)


def _not_in_image(target: LocalTarget, complaint: str) -> DeploymentError:
    error = DeploymentError(f"{target.place}: `{target.written}`: {complaint}")
    error.add_note("name what is in the Dockfile's folder, by a path relative to it")
    return error


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
