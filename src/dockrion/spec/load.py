"""From a path to a `DockSpec`: file, env files, variables, secrets; the one reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dockrion.errors import MissingSecretError, ValidationError
from dockrion.spec.dockspec import DockSpec
from dockrion.spec.document import Document, read_document
from dockrion.spec.env import DEFAULT, SHELL, Environment, parse_env_file
from dockrion.spec.fields import Unresolved, is_list, is_mapping
from dockrion.spec.observability import LOG_LEVELS
from dockrion.spec.problems import Source, invalid
from dockrion.spec.streaming import REDIS_URL as DEFAULT_REDIS_URL
from dockrion.spec.variables import Filler

_REDIS_URL: Final = ("streaming", "redis", "url")
_ENV_FILES: Final = (".env", "env.yaml", "env.yml")
_DOCKFILE_HINT: Final = "a Dockfile is a text file that you may read, in UTF-8"
_ENV_FILE_HINT: Final = "env files are NAME=value lines or flat YAML, in UTF-8: .env beside the Dockfile, and --env-file"


@dataclass(frozen=True)
class Dockfile:
    """A Dockfile that is valid but for its secrets, and the environment that it was read in.

    Where a missing secret fills a field, the field still holds the variable.
    """

    spec: DockSpec
    environment: Environment
    missing_secrets: list[str]


def load_dockspec(
    path: str | Path,
    env_file: str | Path | None = None,
    validate_secrets: bool = True,
    strict_secrets: bool = True,
) -> DockSpec:
    """Read a Dockfile, and leave the environment of the process as it is.

    Raises `ValidationError` with all problems, a line each, and `MissingSecretError` for required secrets that are not set: not
    `strict_secrets` makes that one of the spec's `warnings`, not `validate_secrets` nothing at all.
    """
    source = Source()
    dockfile = read_dockfile(path, env_file=env_file, source=source)
    if validate_secrets and dockfile.missing_secrets:
        missing = MissingSecretError(dockfile.missing_secrets)
        if strict_secrets:
            raise missing
        source.warnings.append(missing.message)
    return dockfile.spec


def load_environment(path: str | Path, env_file: str | Path | None = None) -> Environment:
    """Return the environment that the Dockfile's agent is to see."""
    return read_dockfile(path, env_file=env_file).environment


def validate_dockspec(path: str | Path, env_file: str | Path | None = None) -> dict[str, Any]:
    """Return `{valid, errors, warnings, spec, message}`; whatever the file holds, nothing is raised.

    `errors` and `warnings` are lists of texts, each with its place in the file; `spec` is a `DockSpec`, None where there are errors.
    """
    source = Source()
    try:
        dockfile = read_dockfile(path, env_file=env_file, source=source)
    except ValidationError as exc:
        spec, message, errors = None, "Dockfile is invalid", exc.message.split("\n")
    else:
        spec, message, errors = dockfile.spec, "Dockfile is valid", list[str]()
        if dockfile.missing_secrets:
            source.warnings.append(MissingSecretError(dockfile.missing_secrets).message)
    return {
        "valid": spec is not None,
        "errors": errors,
        "warnings": list(source.warnings),
        "spec": spec,
        "message": message,
    }


def expand_env_vars(data: Any) -> Any:
    """Return a copy of the data with `${VAR}` and `${VAR:-default}` in all its strings filled in from the environment.

    Raises one `ValidationError` for all that are missing.
    """
    source = Source()
    expanded = Filler(os.environ, source).fill(data)
    if source.problems:
        raise invalid(source)
    return expanded


def read_dockfile(
    path: str | Path,
    *,
    env_file: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    source: Source | None = None,
    text: str | None = None,
    tolerated: Iterable[str] = (),
) -> Dockfile:
    """Read a Dockfile with the environment around it; `environ` stands for the shell's.

    `text` is what the file is to hold, where that is not in it yet. Variables that are `tolerated` may be missing, as
    secrets may. Raises `ValidationError` with all problems at once; missing secrets are in the result.
    """
    path = Path(path)
    source = source or Source()
    source.name = path.name or str(path)
    # Not resolve(): the folder of a linked Dockfile is the one that the link stands in.
    source.folder = Path(os.path.abspath(path)).parent  # noqa: PTH100
    if text is None:
        text = text_of_dockfile(path)
    document = read_mapping(text, source)
    shell = os.environ if environ is None else environ
    environment = _with_env_files(
        Environment(dict(shell), dict.fromkeys(shell, SHELL)), source, env_file
    )
    data, environment, missing = _fill_in(document, environment, source, frozenset(tolerated))
    source.environ = environment.values
    spec = DockSpec.model_validate(data, context=source)
    return Dockfile(_with_log_level(spec, environment, source), environment, missing)


def read_mapping(text: str, source: Source) -> Document:
    """Read the YAML of a Dockfile; raise `ValidationError` where it is no mapping."""
    document = read_document(text)
    source.places.update(document.places)
    source.problems.extend(document.problems)
    if is_mapping(document.data):
        return document
    if not document.problems:
        found = _instead_of_mapping(document.data)
        source.add((), f"{found}; a Dockfile has version, agent, io_schema and expose")
    raise invalid(source)


def _instead_of_mapping(data: Any) -> str:
    if data is None:
        return "is empty"
    # Not the value: the path of another file, one of passwords, may have been given.
    return f"must be a mapping, got {'a list' if is_list(data) else 'one value'}"


def text_of_dockfile(path: Path, *, exactly: bool = False) -> str:
    """Return what a Dockfile holds; `exactly` with its byte order mark and its own line ends."""
    return _text(path, path.name or str(path), hint=_DOCKFILE_HINT, exactly=exactly)


def _text(path: Path, name: str, *, hint: str, exactly: bool = False) -> str:
    try:
        if exactly:
            return path.read_bytes().decode()
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        complaint = f"{name} not found"
    except UnicodeDecodeError as exc:
        complaint = f"{name} is not UTF-8: byte {exc.start}"
    except OSError as exc:
        complaint = f"{name} cannot be read: {exc.strerror}"
    error = ValidationError(complaint)
    error.add_note(hint)
    raise error


def _with_env_files(
    environment: Environment, source: Source, env_file: str | Path | None
) -> Environment:
    """Put the files below the shell, in the order in which they win."""
    files = [] if env_file is None else [(str(env_file), Path(env_file))]
    files += _files_beside(source)
    wrong: list[str] = []
    for name, path in files:
        text = _text(path, name, hint=_ENV_FILE_HINT)
        values, problems = parse_env_file(text, yaml=path.suffix in (".yaml", ".yml"))
        wrong += [problem.line_of(name) for problem in problems]
        environment = environment.below(values, name)
    if wrong:
        error = ValidationError("\n".join(wrong))
        error.add_note(_ENV_FILE_HINT)
        raise error
    return environment


def _files_beside(source: Source) -> Iterator[tuple[str, Path]]:
    assert source.folder is not None, "a file has one"
    for name in _ENV_FILES:
        path = source.folder / name
        if not path.is_dir():
            if path.exists():
                yield name, path
        elif not (path / "pyvenv.cfg").exists():  # a virtual environment of that name is no mistake
            source.warnings.append(f"{name} is a folder; nothing is read from it")


def _fill_in(
    document: Document, environment: Environment, source: Source, tolerated: frozenset[str]
) -> tuple[dict[str, Any], Environment, list[str]]:
    """Fill in the variables; return the data, the environment with the secrets' defaults, missing secrets.

    The defaults of secrets fill the rest of the file, so the secrets come first.
    """
    filler = Filler(
        environment.values,
        source,
        root=DockSpec,
        plain=document.plain,
        sources=environment.sources,
    )
    data: dict[str, Any] = dict(document.data)
    if "secrets" in data:
        data["secrets"] = filler.fill(data["secrets"], ("secrets",))
    required, optional = (_secrets(data.get("secrets"), key) for key in ("required", "optional"))
    defaults = {name: value for name, value in (required | optional).items() if value is not None}
    environment = environment.below(defaults, DEFAULT)
    source.secrets += [environment.values.get(name, "") for name in required | optional]
    missing = environment.missing(required)
    filler = replace(
        filler,
        environment={k: v for k, v in environment.values.items() if k not in missing},
        tolerated=tolerated.union(missing),
        hidden=frozenset(required | optional),
        sources=environment.sources,
    )
    data = filler.fill(data, but={("secrets",), _REDIS_URL})
    _fill_in_redis_url(data.get("streaming"), filler)
    return data, environment, missing


def _secrets(section: Any, key: str) -> dict[str, str | None]:
    """Return names and defaults of one list of secrets, as far as it is sound."""
    items = section.get(key) if is_mapping(section) else None
    found: dict[str, str | None] = {}
    for item in items if is_list(items) else ():
        if is_mapping(item) and isinstance(item.get("name"), str):
            default: Any = item.get("default")
            found[item["name"]] = default if isinstance(default, str) else None
    return found


def _fill_in_redis_url(streaming: Any, filler: Filler) -> None:
    """Look the URL up with `backend: redis` alone; for other backends it may hold what is not set."""
    if not is_mapping(streaming):
        return
    redis: Any = streaming.get("redis")
    if redis is None:
        redis = {}
    if not is_mapping(redis):
        return
    if streaming.get("backend") == "redis":
        url = DEFAULT_REDIS_URL if redis.get("url") is None else redis["url"]
        streaming["redis"] = {**redis, "url": filler.fill(url, _REDIS_URL)}
    elif isinstance(redis.get("url"), str) and "${" in redis["url"]:
        streaming["redis"] = {**redis, "url": Unresolved(redis["url"])}


def _with_log_level(spec: DockSpec, environment: Environment, source: Source) -> DockSpec:
    """Let LOG_LEVEL win; other programs use that name, too, so a value that is none of ours is no error."""
    given = environment.values.get("LOG_LEVEL", "").lower()
    if not given:
        return spec
    level = "warn" if given == "warning" else given
    if level not in LOG_LEVELS:
        source.warnings.append(f"LOG_LEVEL in the environment is none of {', '.join(LOG_LEVELS)}")
        return spec
    observability = spec.observability.model_copy(update={"log_level": level})
    return spec.model_copy(update={"observability": observability})
