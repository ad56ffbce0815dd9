"""The text of the Dockerfile. What comes out of an agent's Dockfile is data in it: in quotes, or in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

from dockrion.spec import DockSpec
from dockrion.spec.fields import Unresolved
from dockrion.spec.shape import Loc
from dockrion.spec.variables import fill
from dockrion.version import VERSION

BASE: Final = "python:3.12-slim"
# One version, so that the same context gives the same image.
UV: Final = "uv==0.13.9"
UID: Final = 10001
HOME: Final = "/app"
ENVIRONMENT: Final = "/opt/venv"

# The folders of the build context.
REQUIREMENTS_FOLDER: Final = "requirements"
PROJECT_FOLDER: Final = "project"

_DEFAULT_PORT: Final = 8080
_EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104  (compared with, never bound)
_WRITABLE: Final = (".dockrion", ".dockrion_runtime", ".dockrion_runtime/logs")
_GIT: Final = (
    "RUN apt-get update"
    " && apt-get install -y --no-install-recommends git"
    " && rm -rf /var/lib/apt/lists/*"
)
# http.client goes through no proxy; -I keeps modules of the agent out, which may be called `http`.
_CHECK: Final = (
    "import http.client, os, sys; "
    "c = http.client.HTTPConnection('localhost', {port}, timeout=4); "
    "c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"
)
_LINE_ENDS: Final = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def dockerfile_of(spec: DockSpec, dockfile_name: str, *, needs_git: bool) -> str:
    """Return the Dockerfile; the same for the same Dockfile, whatever the variables are set to here."""
    lines = [*_packages(needs_git=needs_git), "", *_production(spec, dockfile_name), ""]
    return "\n".join(lines)


def _packages(*, needs_git: bool) -> Iterator[str]:
    yield "# Written by dockrion, which overwrites it; the folder `context` is what it is built from."
    yield f"FROM {BASE} AS packages"
    # Byte code that is right whatever time its source has: that differs with every build.
    yield "ENV PYC_INVALIDATION_MODE=UNCHECKED_HASH"
    if needs_git:
        yield _GIT
    yield _run("pip", "install", "--no-cache-dir", "--disable-pip-version-check", UV)
    yield _run("python", "-m", "venv", "--without-pip", ENVIRONMENT)
    yield f"WORKDIR {HOME}"
    yield f"COPY {REQUIREMENTS_FOLDER}/ {HOME}/"
    # Not editable: what is installed has to stay where it is when these folders are gone.
    options = ("--no-cache", "--no-editable", "--compile-bytecode")
    yield _run(
        "uv",
        "pip",
        "install",
        *options,
        "--python",
        f"{ENVIRONMENT}/bin/python",
        "-r",
        "requirements.txt",
    )


def _production(spec: DockSpec, dockfile_name: str) -> Iterator[str]:
    runtime = ".dockrion_runtime"
    yield f"FROM {BASE} AS production"
    # The user has no entry in /etc/passwd: HOME and LOGNAME are what libraries ask for instead.
    yield f'ENV PATH="{ENVIRONMENT}/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp LOGNAME=agent'
    yield f"WORKDIR {HOME}"
    yield f"COPY --from=packages {ENVIRONMENT} {ENVIRONMENT}"
    yield f"COPY {PROJECT_FOLDER}/ {HOME}/"
    yield f"COPY --chown={UID}:{UID} {PROJECT_FOLDER}/{runtime}/ {HOME}/{runtime}/"
    folders = [f"{HOME}/{folder}" if folder != "." else HOME for folder in _writable(spec)]
    yield _run("install", "-d", "-o", str(UID), "-g", str(UID), *folders)
    for name, value in _labels(spec):
        yield f"LABEL {name}={quoted(value)}"
    yield f"USER {UID}:{UID}"
    fallback, port = _port(spec)
    yield f"EXPOSE {fallback}"
    yield "STOPSIGNAL SIGTERM"
    check = ["python", "-I", "-c", _CHECK.format(port=port)]
    yield f"HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD {json.dumps(check)}"
    # What begins with a dash would be an option.
    path = f"./{dockfile_name}" if dockfile_name.startswith("-") else dockfile_name
    yield f"CMD {json.dumps(['dockrion', 'run', path, *_host_options(spec)])}"


def _run(*command: str) -> str:
    # Without a shell: nothing in the words has a meaning of its own.
    return f"RUN {json.dumps(command)}"


def quoted(text: str) -> str:
    """Return the text as one word of a Dockerfile; it has no way to write a line end, which becomes a space."""
    line = _CONTROLS.sub("", _LINE_ENDS.sub(" ", text)).strip()
    line = line.encode(errors="replace").decode()
    if not set(line) & set('"$\\'):
        return f'"{line}"'
    # In single quotes nothing has a meaning, and so a single quote stands between two such words, in double ones.
    return "'{}'".format(line.replace("'", "'\"'\"'"))


def _labels(spec: DockSpec) -> Iterator[tuple[str, str]]:
    named: dict[str, tuple[str, ...]] = {
        "org.opencontainers.image.title": ("agent", "name"),
        "org.opencontainers.image.description": ("agent", "description"),
        "org.opencontainers.image.version": ("metadata", "version"),
        "org.opencontainers.image.authors": ("metadata", "maintainer"),
        "io.dockrion.framework": ("agent", "framework"),
    }
    for label, loc in named.items():
        value = spec.as_written(loc)
        if value:
            yield label, str(value)
    tags = [str(spec.as_written(("metadata", "tags", i))) for i in range(len(spec.metadata.tags))]
    if tags:
        yield "io.dockrion.tags", ",".join(tags)
    yield "org.opencontainers.image.base.name", f"docker.io/library/{BASE}"
    yield "io.dockrion.version", VERSION


def _port(spec: DockSpec) -> tuple[int, str]:
    """Return the port that the image listens on by itself, and an expression for the one of a container."""
    variable, value = _from_variable(spec, ("expose", "port"))
    if variable is None:
        return spec.expose.port, str(spec.expose.port)
    port = (
        int(value)
        if value.isascii() and value.isdigit() and 0 < int(value) < 65536
        else _DEFAULT_PORT
    )
    return port, f"int(os.environ.get({variable!r}) or {port})"


def _host_options(spec: DockSpec) -> list[str]:
    """A container is reached by its own address, which no Dockfile knows: it listens on all of them."""
    variable, value = _from_variable(spec, ("expose", "host"))
    host = spec.expose.host if variable is None else value
    return [] if host in ("", *_EVERYWHERE) else ["--host", "0.0.0.0"]  # noqa: S104


def _from_variable(spec: DockSpec, loc: Loc) -> tuple[str | None, str]:
    """Return the variable that a field comes from, and the value where nobody sets it; None, "" for no variable."""
    written = spec.as_written(loc)
    if spec.written(loc) is None and not isinstance(written, Unresolved):
        return None, ""
    filled = fill(written, _defaults(spec))
    return filled.used[0], "" if filled.missing else filled.text


def _defaults(spec: DockSpec) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for kind, secrets in (("required", spec.secrets.required), ("optional", spec.secrets.optional)):
        for index, secret in enumerate(secrets):
            default = secret.default
            if default and spec.written(("secrets", kind, index, "default")) is None:
                found[secret.name] = default
    return found


def _writable(spec: DockSpec) -> list[str]:
    """Return the folders, below the project's, that the server writes to; the rest belongs to root."""
    folders = set[str](_WRITABLE)
    if spec.streaming.backend == "sqlite":
        loc = ("streaming", "sqlite", "path")
        variable, value = _from_variable(spec, loc)
        place = PurePosixPath(spec.streaming.sqlite.path if variable is None else value)
        if not place.is_absolute() and ".." not in place.parts and place.name:
            parents = [str(parent) for parent in place.parents]
            # The file itself stands in the last one but one; a file beside the Dockfile needs the folder of all.
            folders.update(parents[:-1] or parents)
    return sorted(folders)
