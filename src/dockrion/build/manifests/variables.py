"""Which variables a deployed agent needs, and which of them may stand in a manifest with their value."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from dockrion.errors import DeploymentError
from dockrion.spec import DEFAULT, SHELL, Dockfile, DockSpec
from dockrion.spec.shape import Loc
from dockrion.spec.variables import fill

# A manifest holds what these came to here, so a container has to come to the same.
_BAKED: Final[tuple[Loc, ...]] = (
    ("agent", "name"),
    ("auth", "mode"),
    ("expose", "limits", "max_body_bytes"),
    ("expose", "port"),
    ("expose", "root_path"),
    ("expose", "shutdown_grace"),
    ("streaming", "async_runs"),
    ("streaming", "backend"),
    ("streaming", "connection", "on_disconnect"),
    ("streaming", "connection", "resume_window"),
    ("streaming", "events", "max_run_duration"),
    ("streaming", "sqlite", "path"),
    ("streaming", "worker"),
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Variables:
    """Names, each in one place; only those that are `fixed` have a value, which is no secret.

    Without one that is `needed` the agent does not start. `elsewhere` are those of both kinds whose value is here
    neither in a file for containers nor a default: a container gets it from whoever starts it. `of_callers` are keys that
    only servers need.
    """

    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    of_callers: tuple[str, ...] = ()


def variables_of(dockfile: Dockfile, *, files: Collection[str]) -> Variables:
    """`files` are the names of those that containers read.

    Raises `DeploymentError` where a secret fills in a field that stands in manifests.
    """
    spec, environment = dockfile.spec, dockfile.environment
    declared = {secret.name for secret in spec.secrets.declared}
    of_auth = keys_of(spec)
    credentials = declared.union(of_auth)
    fixed: dict[str, str] = {}
    baked: set[str] = set()
    for loc in _BAKED:
        for name in fill(str(spec.as_written(loc) or ""), {}).used:
            if name in credentials:
                raise _shown(loc, name)
            baked.add(name)
            if environment.sources.get(name, DEFAULT) != DEFAULT:
                fixed[name] = environment.values[name]
    from_files = [n for n, source in environment.sources.items() if source not in (SHELL, DEFAULT)]
    optional = {secret.name for secret in spec.secrets.optional}
    optional |= {secret.name for secret in spec.secrets.required if secret.default}
    wanted = {
        **dict.fromkeys([*_of_traces(spec), *sorted(from_files)], False),
        **spec.variables,
        **dict.fromkeys(of_auth, True),
        **{secret.name: secret.name not in optional for secret in spec.secrets.declared},
    }
    names = {n: needed for n, needed in wanted.items() if n not in baked and _NAME.fullmatch(n)}
    return Variables(
        fixed=fixed,
        needed=tuple(sorted(name for name, is_needed in names.items() if is_needed)),
        optional=tuple(sorted(name for name, is_needed in names.items() if not is_needed)),
        elsewhere=tuple(
            sorted(n for n in names if environment.sources.get(n, DEFAULT) not in {*files, DEFAULT})
        ),
        of_callers=tuple(sorted({*of_auth} - declared - {*spec.variables})),
    )


def keys_of(spec: DockSpec) -> list[str]:
    """Return the variables by which a server knows its callers."""
    auth = spec.auth
    if auth is None or auth.is_open:
        return []
    if auth.mode == "api_key":
        return [source.variable for source in auth.api_keys.sources(spec.environ)]
    names: list[str | None] = []
    if auth.mode == "jwt" and auth.jwt is not None:
        names = [auth.jwt.public_key_env]
    elif auth.oauth2 is not None:
        names = [auth.oauth2.client_id_env, auth.oauth2.client_secret_env]
    return [name for name in names if name is not None]


def _of_traces(spec: DockSpec) -> list[str]:
    """Return the variables that say where traces go, what the Dockfile leaves to them."""
    telemetry = spec.observability
    if not telemetry.tracing or telemetry.otlp is None:
        return []
    return ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"]


def _shown(loc: Loc, name: str) -> DeploymentError:
    path = ".".join(map(str, loc))
    error = DeploymentError(f"{path}: the secret {name} fills it in, and manifests show it")
    error.add_note("use a variable that is no secret, or write the value into the Dockfile")
    return error
