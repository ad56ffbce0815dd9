"""What both platforms are told of an agent, and what neither could run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from dockrion.build.dockerfile import HOME
from dockrion.build.manifests.names import object_name, text_value
from dockrion.build.manifests.redis import PASSWORD, variable_for_own_redis
from dockrion.build.manifests.variables import Variables, keys_of, variables_of
from dockrion.build.names import image_name
from dockrion.errors import MissingSecretError, ValidationError
from dockrion.runtime.sharing import refuse_without_shared_runs, settings_that_keep_runs
from dockrion.spec import Dockfile, DockSpec

Target = Literal["compose", "kubernetes"]

MAX_REPLICAS: Final = 1000
# What an end takes at most beyond `shutdown_grace`: last events, and closing what the agent has opened.
END_SECONDS: Final = 15
_LONGEST_RUN_SECONDS: Final = 86400
_LOGS: Final = f"{HOME}/.dockrion_runtime/logs"


@dataclass(frozen=True)
class Plan:
    """`grows` is whether more replicas may be started at any time; `works` whether workers run beside the servers.

    `database` is the folder in the container that holds the SQLite file; `own_redis` the variable that leads to a Redis
    of the compose file.
    """

    path: Path
    spec: DockSpec
    name: str
    image: str
    image_is_own: bool
    replicas: int
    grows: bool
    works: bool
    database: str | None
    own_redis: str | None
    env_files: tuple[Path, ...]
    variables: Variables
    environment: Mapping[str, str]
    warnings: tuple[str, ...]

    @property
    def end_seconds(self) -> int:
        """How long a container may take to end."""
        return min(ceil(self.spec.expose.shutdown_grace), _LONGEST_RUN_SECONDS) + END_SECONDS

    @property
    def silent_seconds(self) -> int:
        """How long a call may be without a byte: `POST /invoke` says nothing before its answer."""
        return ceil(self.spec.streaming.events.max_run_duration) + END_SECONDS

    @property
    def written_folders(self) -> list[str]:
        """Folders of the container that are written to and may be lost with it."""
        return ["/tmp", _LOGS]  # noqa: S108  (in a container of its own)

    @property
    def worker_command(self) -> list[str]:
        return ["dockrion", "worker", f"{HOME}/{self.path.name}"]

    def described(self) -> Iterator[tuple[str, str]]:
        """Yield what a person is told of the agent, as it stands in the Dockfile."""
        places = {
            "description": ("agent", "description"),
            "version": ("metadata", "version"),
            "maintainer": ("metadata", "maintainer"),
        }
        yield "agent", self.spec.agent.name
        for name, loc in places.items():
            if text := str(self.spec.as_written(loc) or ""):
                yield name, text_value(text)
        tags = range(len(self.spec.metadata.tags))
        words = [str(self.spec.as_written(("metadata", "tags", number))) for number in tags]
        if words:
            yield "tags", text_value(", ".join(words))


def plan_of(
    path: Path,
    dockfile: Dockfile,
    target: Target,
    *,
    replicas: int | None = None,
    tag: str = "dev",
    image: str | None = None,
    env_file: Path | None = None,
) -> Plan:
    """Raise `ValidationError`, or `DeploymentError`, where the platform could not run the agent."""
    spec = dockfile.spec
    beside = spec.folder / ".env"
    env_files = [] if beside.is_dir() else [beside]  # a virtual environment may have that name
    if env_file is not None and env_file.suffix not in (".yaml", ".yml"):
        env_files.append(env_file)  # a later one wins
    variables = variables_of(dockfile, files=(".env", str(env_file)))
    streaming = spec.streaming
    shared = "redis" if target == "kubernetes" else "sqlite or redis"
    one_machine = streaming.backend == "sqlite" and target == "kubernetes"
    count = replicas or (2 if streaming.backend == "redis" and target == "kubernetes" else 1)
    refuse_without_shared_runs(spec, count, named="replica", shared=shared)
    if one_machine and count > 1:
        raise _one_machine(count)
    own_redis = variable_for_own_redis(dockfile) if target == "compose" else None
    return Plan(
        path=path,
        spec=spec,
        name=object_name(spec.agent.name),
        image=image or image_name(spec.agent.name, tag),
        image_is_own=image is None,
        replicas=count,
        grows=not one_machine
        and not (streaming.backend == "memory" and settings_that_keep_runs(spec)),
        works=streaming.async_runs
        and (streaming.backend == "redis" or (streaming.backend == "sqlite" and not one_machine)),
        database=_database(spec, target) if streaming.backend == "sqlite" else None,
        own_redis=own_redis,
        env_files=tuple(env_files),
        variables=variables,
        environment=dockfile.environment.values,
        warnings=tuple(_warnings(dockfile, own_redis)),
    )


def _one_machine(count: int) -> ValidationError:
    error = ValidationError(
        f"{count} replicas cannot share runs with `streaming.backend: sqlite`: its file is on one machine, and pods are not; "
        "set streaming.backend to redis"
    )
    error.add_note("or deploy one replica")
    return error


def _database(spec: DockSpec, target: Target) -> str:
    """Return the folder that is kept; raise where keeping it would hide the agent, or not work."""
    path = PurePosixPath(HOME, spec.streaming.sqlite.path)
    folder = path.parent
    if ".." in path.parts or folder in (PurePosixPath(HOME), *PurePosixPath(HOME).parents):
        raise _bad_place(spec, "must be in a folder of its own below the Dockfile's")
    here = spec.folder / PurePosixPath(spec.streaming.sqlite.path).parent
    if not folder.is_relative_to(HOME):
        if target == "compose":
            raise _bad_place(
                spec, "must be below the Dockfile's folder, where the image lets it write"
            )
    elif others := _others_in(here, path.name):
        raise _bad_place(spec, f"its folder is kept in a volume, which would hide {others[0]}")
    return str(folder)


def _others_in(folder: Path, database: str) -> list[str]:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []
    return [name for name in names if not name.startswith((database, "."))]


def _bad_place(spec: DockSpec, complaint: str) -> ValidationError:
    error = ValidationError(
        f"streaming.sqlite.path: {complaint}, got {spec.streaming.sqlite.path!r}"
    )
    error.add_note("the default, .dockrion/runs.db, is such a place")
    return error


def _warnings(dockfile: Dockfile, own_redis: str | None) -> Iterator[str]:
    yield from dockfile.spec.warnings
    if dockfile.missing_secrets:
        yield MissingSecretError(dockfile.missing_secrets).message
    auth, values = dockfile.spec.auth, dockfile.environment.values
    by_key = auth is not None and auth.mode == "api_key" and not auth.is_open
    if by_key and not any(map(values.get, keys_of(dockfile.spec))):
        yield "auth.api_keys: no key is set here, and a server does not start without one"
    if own_redis is not None and not values.get(PASSWORD):
        yield f"{PASSWORD} is not set: the Redis that comes with it needs one, of letters and digits, in .env"
