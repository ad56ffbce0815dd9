"""From a Dockfile to what stands in `.dockrion_runtime/` for an image, and to the image."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dockrion.build.contents import Contents, contents_of, exclusions
from dockrion.build.context import (
    CONTEXT,
    Written,
    alone,
    cannot_write,
    telling_secrets,
    write_context,
)
from dockrion.build.dockerfile import PROJECT_FOLDER, REQUIREMENTS_FOLDER, dockerfile_of
from dockrion.build.names import image_name
from dockrion.build.requirements import REQUIREMENTS, merged_requirements, requirement_files
from dockrion.build.runtime_files import (
    MAIN,
    RUNTIME_FOLDER,
    main_for,
    write_main,
    write_runtime,
    write_text,
)
from dockrion.build.selection import CLUTTER, SECRET, Selection
from dockrion.errors import DeploymentError, MissingSecretError, ValidationError
from dockrion.spec import Dockfile, DockSpec, read_dockfile

logger = logging.getLogger(__name__)

DOCKERFILE: Final = "Dockerfile"
# What stands before the host of a URL; the user of git over SSH is no secret, a variable is none yet.
_PASSWORD: Final = re.compile(r"(://)(?!git@)[^/\s@$]+@")
_GIT: Final = re.compile(rb"\bgit\+")
_SHOWN_LINES: Final = 20


@dataclass(frozen=True)
class Plan:
    """All that a build writes, made without writing anything."""

    path: Path
    spec: DockSpec
    image: str
    contents: Contents
    requirements: str
    requirement_files: dict[str, Path]
    dockerfile: str
    warnings: list[str]

    def context_files(self) -> dict[str, Path | str]:
        """Return what stands where in the context.

        The project's own copy of the requirements, which nothing is installed from, has no password of an index.
        """
        runtime = f"{PROJECT_FOLDER}/{RUNTIME_FOLDER}"
        return {
            DOCKERFILE: self.dockerfile,
            **{f"{PROJECT_FOLDER}/{place}": path for place, path in self.contents.files.items()},
            f"{runtime}/{MAIN}": main_for(f"../{self.path.name}"),
            f"{runtime}/{REQUIREMENTS}": _PASSWORD.sub(r"\1***@", self.requirements),
            **{f"{REQUIREMENTS_FOLDER}/{p}": path for p, path in self.requirement_files.items()},
            f"{REQUIREMENTS_FOLDER}/{REQUIREMENTS}": self.requirements,
        }


def plan_image(
    path: Path,
    dockfile: Dockfile,
    *,
    tag: str = "dev",
    env_file: Path | None = None,
    runtime: Path | None = None,
    needs_agent: bool = True,
) -> Plan:
    """Find out what the image of a Dockfile holds; raise `DockrionError` where there can be none."""
    spec = dockfile.spec
    image = image_name(spec.agent.name, tag)
    path = path.absolute()
    if not _is_text(path.name):
        raise ValidationError(f"{path.name!r} is no name for a Dockfile: it must be UTF-8")
    database = path.parent / spec.streaming.sqlite.path
    private = {database.with_name(f"{database.name}{end}"): SECRET for end in ("", "-wal", "-shm")}
    if env_file is not None:
        private[env_file] = SECRET
    if runtime is not None:
        private[runtime] = CLUTTER
    contents = contents_of(spec, path, private=private, needs_agent=needs_agent)
    requirements = merged_requirements(spec, path.parent)
    selection = Selection(path.parent, exclusions(spec), private)
    needed = _needed_to_install(path.parent, selection)
    kept_out = [
        f"{place} is not there when packages are installed: it {reason}"
        for place, reason in selection.kept_out.items()
    ]
    names = dockfile.missing_secrets
    missing = [MissingSecretError(names).message] if names else []
    return Plan(
        path=path,
        spec=spec,
        image=image,
        contents=contents,
        requirements=requirements,
        requirement_files=needed,
        dockerfile=dockerfile_of(
            spec, path.name, needs_git=_come_from_git(requirements, needed.values())
        ),
        warnings=[*spec.warnings, *missing, *contents.warnings, *kept_out],
    )


def _needed_to_install(root: Path, selection: Selection) -> dict[str, Path]:
    for file in requirement_files(root):
        place = file.relative_to(root).as_posix()
        if file.is_dir():
            selection.add("" if place == "." else place)
        else:
            selection.add_named(place)
    return dict(sorted(selection.files.items()))


def _come_from_git(requirements: str, files: Iterable[Path]) -> bool:
    if _GIT.search(requirements.encode()):
        return True
    lists = (file for file in files if file.suffix == ".txt" or file.name == "pyproject.toml")
    with suppress(OSError):  # told when it is to be copied
        return any(_GIT.search(file.read_bytes()) for file in lists)
    return False


def write_image(plan: Plan, runtime: Path) -> Written:
    """Write the generated files and the context; the caller is alone in the folder (`alone`)."""
    folders = {f"{PROJECT_FOLDER}/{folder}" for folder in plan.contents.folders if folder}
    try:
        written = write_context(
            runtime, plan.context_files(), folders=folders, secrets=telling_secrets(plan.spec)
        )
        write_main(plan.path, runtime)
        write_text(runtime / REQUIREMENTS, plan.requirements)
        write_text(runtime / DOCKERFILE, plan.dockerfile)
    except OSError as exc:
        raise cannot_write(runtime, exc) from exc
    return written


def docker_build(image: str, context: Path, *, no_cache: bool, output: int) -> None:
    """Build the image; what docker says goes to `output`, or into the error with `subprocess.PIPE`."""
    docker = find_docker()
    options = ["--no-cache"] if no_cache else []
    command = [docker, "build", "-t", image, *options, str(context.absolute())]
    merged = subprocess.STDOUT if output == subprocess.PIPE else output
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=merged, check=False
        )
    except OSError as exc:
        raise DeploymentError(f"{docker} cannot be started: {exc.strerror}") from exc
    if done.returncode == 0:
        return
    said = (done.stdout or b"").decode(errors="replace").splitlines()[-_SHOWN_LINES:]
    error = DeploymentError(
        "\n".join([f"docker build ended with code {done.returncode}", *said]), details=said or None
    )
    error.add_note("what docker said stands above; the context is in " + str(context))
    raise error


def find_docker() -> str:
    docker = shutil.which("docker")
    if docker is None:
        error = DeploymentError("docker is not installed, or not on the PATH")
        error.add_note(
            "install it, or leave it to another machine: --no-docker writes the build context only"
        )
        raise error
    return docker


def generate_runtime(
    path: str | Path,
    output_dir: str | Path | None = None,
    include_dockerfile: bool = True,
    env_file: str | Path | None = None,
) -> Path:
    """Write `.dockrion_runtime/`, or `output_dir`, and return it: with the Dockerfile comes its build context.

    Secrets need not be set, and the agent's code need not be there yet: both are logged as warnings.
    Raises `DockrionError`.
    """
    place = Path(path)
    runtime = place.parent / RUNTIME_FOLDER if output_dir is None else Path(output_dir)
    dockfile = read_for_image(place, env_file=_path(env_file), allow_missing_secrets=True)
    if not include_dockerfile:
        try:
            return write_runtime(place, dockfile.spec, runtime)
        except OSError as exc:
            raise cannot_write(runtime, exc) from exc
    plan = plan_image(place, dockfile, env_file=_path(env_file), runtime=runtime, needs_agent=False)
    _log(plan.warnings)
    with alone(runtime, _log_wait):
        write_image(plan, runtime)
    return runtime


def clean_runtime(path: str | Path, output_dir: str | Path | None = None) -> bool:
    """Remove what `generate_runtime` and builds have written for a Dockfile; return whether there was any of it.

    Logs stay, and so does the folder when it holds some.
    """
    place = Path(path)
    folder = place if place.is_dir() else place.parent
    runtime = folder / RUNTIME_FOLDER if output_dir is None else Path(output_dir)
    if not runtime.is_dir():
        return False
    found = False
    try:
        with alone(runtime, _log_wait):
            for name in (MAIN, REQUIREMENTS, DOCKERFILE, CONTEXT):
                written = runtime / name
                found = found or written.exists()
                if written.is_dir() and not written.is_symlink():
                    shutil.rmtree(written)
                else:
                    written.unlink(missing_ok=True)
            if not any(runtime.iterdir()):
                runtime.rmdir()
    except OSError as exc:
        raise DeploymentError(f"{runtime} cannot be removed: {exc.strerror}") from exc
    return found


def deploy(
    path: str | Path,
    target: str = "local",
    tag: str = "dev",
    no_cache: bool = False,
    env_file: str | Path | None = None,
    allow_missing_secrets: bool = False,
) -> dict[str, Any]:
    """Build the agent's image with Docker; return `{image, status, agent_name, runtime_dir}`. Raises `DockrionError`.

    `image` is its name and tag, `status` is `built`, `runtime_dir` the absolute path of `.dockrion_runtime/`.
    """
    if target != "local":
        error = DeploymentError(f"target: must be local, got {target!r}")
        error.add_note("`dockrion deploy` is for compose and kubernetes")
        raise error
    place = Path(path)
    dockfile = read_for_image(
        place, env_file=_path(env_file), allow_missing_secrets=allow_missing_secrets
    )
    plan = plan_image(place, dockfile, tag=tag, env_file=_path(env_file))
    _log(plan.warnings)
    find_docker()
    runtime = place.parent / RUNTIME_FOLDER
    with alone(runtime, _log_wait):
        context = write_image(plan, runtime).folder
        docker_build(plan.image, context, no_cache=no_cache, output=subprocess.PIPE)
    return {
        "image": plan.image,
        "status": "built",
        "agent_name": plan.spec.agent.name,
        "runtime_dir": str(runtime.absolute()),
    }


def read_for_image(path: Path, *, env_file: Path | None, allow_missing_secrets: bool) -> Dockfile:
    """Read a Dockfile; a missing secret is an error, or is told among its warnings."""
    dockfile = read_dockfile(path, env_file=env_file)
    if dockfile.missing_secrets and not allow_missing_secrets:
        raise MissingSecretError(dockfile.missing_secrets)
    return dockfile


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _log(warnings: list[str]) -> None:
    for warning in warnings:
        logger.warning(warning)


def _log_wait() -> None:
    logger.info("another build is at work in this folder; waiting for it")
