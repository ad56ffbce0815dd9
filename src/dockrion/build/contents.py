"""What an image holds of a project: the Dockfile, the agent's code, what it includes, what it imports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dockrion.build.import_graph import Reached, follow_imports
from dockrion.build.modules import Modules
from dockrion.build.selection import OUTSIDE, SECRET, Selection
from dockrion.errors import BuildConflictError, DeploymentError, ModuleMissingError, ValidationError
from dockrion.spec import DockSpec

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


@dataclass(frozen=True)
class Contents:
    """`files` maps places in the project, with slashes, to what stands there; `folders` are there if empty, too.

    `detected` are the files and packages that only imports led to.
    """

    files: dict[str, Path]
    folders: set[str]
    detected: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])


def contents_of(
    spec: DockSpec, dockfile: Path, *, private: Mapping[Path, str], needs_agent: bool = True
) -> Contents:
    """Return what the Dockfile asks for; raise `DockrionError` where that cannot be had.

    An agent that is not there is a warning where it is not needed.
    """
    root = dockfile.absolute().parent
    exclude = exclusions(spec)
    selection = Selection(root, exclude, private)
    modules = Modules(root)
    own: list[_Own] = []
    warnings: list[str] = []
    for field_name, target in _targets(spec):
        try:
            own.append(_find(target.partition(":")[0], field_name, root, modules))
        except ModuleMissingError as exc:
            if needs_agent:
                raise
            warnings.append(exc.message)
    for one in own:
        if one.files:
            selection.add(one.files[-1].partition("/")[0])
    warnings += _include(spec, selection, root)
    reached = follow_imports(root, modules, dict.fromkeys(one.module for one in own))
    before = _with_folders(selection.files)
    if spec.build.auto_detect_imports:
        for unit in reached.units:
            selection.add(unit)
    _check_agent_is_there(own, selection)
    warnings += _warnings(spec, selection, reached)
    files = {**selection.files, dockfile.name: dockfile.absolute()}
    detected = sorted(reached.units.keys() & (_with_folders(files) - before))
    return Contents(dict(sorted(files.items())), selection.folders, detected, warnings)


def exclusions(spec: DockSpec) -> GitIgnoreSpec | None:
    if not spec.build.exclude:
        return None
    from pathspec import GitIgnoreSpec

    for index, pattern in enumerate(spec.build.exclude):
        try:
            GitIgnoreSpec.from_lines([pattern])
        except ValueError as exc:
            raise ValidationError(
                f"build.exclude[{index}]: {pattern} is no gitignore pattern: {exc}"
            ) from exc
    return GitIgnoreSpec.from_lines(spec.build.exclude)


@dataclass(frozen=True)
class _Own:
    """A module that the Dockfile names; `files` are those that Python runs to import it, none of an installed one."""

    field: str
    module: str
    files: list[str]


def _targets(spec: DockSpec) -> Iterator[tuple[str, str]]:
    safety = spec.policies.safety
    targets = {
        "agent.handler": spec.agent.handler,
        "agent.entrypoint": spec.agent.entrypoint,
        "streaming.id_generator.handler": spec.streaming.id_generator.handler,
        "policies.safety.classifier": safety and safety.classifier,
    }
    yield from ((name, target) for name, target in targets.items() if target is not None)


def _find(name: str, field_name: str, root: Path, modules: Modules) -> _Own:
    chain = modules.chain(name)
    if chain and chain[-1].name == name and not modules.is_hidden(chain[0]):
        if chain[-1].path is None:
            raise ModuleMissingError(f"{field_name}: {name} is a folder without an __init__.py")
        return _Own(field_name, name, [m.path for m in chain if m.path is not None])
    top = name.partition(".")[0]
    if modules.is_installed(top) and (not chain or modules.is_hidden(chain[0])):
        return _Own(field_name, name, [])
    missing = name.split(".")[len(chain)]
    folder = chain[-1].folder if chain else ""
    near = get_close_matches(missing, modules.names_in(folder or ""), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    error = ModuleMissingError(f"{field_name}: no module {name!r} in {root}{hint}")
    error.add_note(
        "modules are looked up from the Dockfile's folder; one of an installed package has to be installed here, too"
    )
    raise error


def _include(spec: DockSpec, selection: Selection, root: Path) -> list[str]:
    """Take what is included; raise for all that is not there, and return what exclusions take away again."""
    include = spec.build.include
    wrong: list[str] = []
    taken_away: list[str] = []
    for kind, entries in (("directories", include.directories), ("files", include.files)):
        for index, entry in enumerate(entries):
            where = f"build.include.{kind}[{index}]: {entry}"
            path = _normal(entry)
            complaint = _complaint(root, path, selection, is_folder=kind == "directories")
            if complaint is not None:
                wrong.append(f"{where} {complaint}")
                continue
            selection.add(path)
            if selection.excludes(path):
                taken_away.append(f"{where} is kept out by build.exclude")
    for index, pattern in enumerate(include.patterns):
        matched = list(_matching(_normal(pattern), selection, root))
        if not matched:
            wrong.append(f"build.include.patterns[{index}]: {pattern} matches no file")
        for path in matched:
            selection.add(path)
    if wrong:
        error = DeploymentError("\n".join(wrong), details=wrong)
        error.add_note(f"includes are taken from {root}")
        raise error
    return taken_away


def _normal(entry: str) -> str:
    path = PurePosixPath(entry).as_posix()
    return "" if path == "." else path


def _complaint(root: Path, path: str, selection: Selection, *, is_folder: bool) -> str | None:
    whole = root / path
    try:
        if not whole.exists():
            return "not found"
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    if whole.is_dir() != is_folder:
        kinds = ("a file: list it under files", "a folder: list it under directories")
        return f"is {kinds[whole.is_dir()]}"
    refusal = selection.refusal(path)
    if refusal == SECRET:
        return "never goes into an image: it may hold secrets"
    return refusal if refusal == OUTSIDE else refusal and "never goes into an image"


def _matching(pattern: str, selection: Selection, root: Path) -> Iterator[str]:
    parts = pattern.split("/")
    fixed = next((i for i, part in enumerate(parts) if set("*?[") & set(part)), len(parts))
    base = "/".join(parts[:fixed])
    if not (root / base).is_dir():
        if (root / base).is_file() and fixed == len(parts):
            yield base
        return
    for path in selection.walk(base):
        below = path.removeprefix(f"{base}/") if base else path
        if fixed == len(parts) or _matches(below.split("/"), parts[fixed:]):
            yield path


def _matches(path: list[str], pattern: list[str]) -> bool:
    """Match as the standard library's `glob` does: `**` is any number of folders, a star takes no leading dot."""
    if not pattern:
        return not path
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        if not rest:
            return not any(part.startswith(".") for part in path)
        return any(
            _matches(path[count:], rest)
            for count in range(len(path))
            if not any(part.startswith(".") for part in path[:count])
        )
    if not path or (path[0].startswith(".") and not first.startswith(".")):
        return False
    return fnmatchcase(path[0], first) and _matches(path[1:], rest)


def _check_agent_is_there(own: list[_Own], selection: Selection) -> None:
    missing = [
        f"{one.field}: {file} is the agent's own module, and {_obstacle(file, selection)}"
        for one in own
        for file in one.files
        if file not in selection.files
    ]
    if missing:
        error = BuildConflictError("\n".join(missing), conflicts=missing)
        error.add_note("narrow the pattern under build.exclude, or move the module")
        raise error


def _obstacle(file: str, selection: Selection) -> str:
    for path, reason in selection.kept_out.items():
        if file == path or file.startswith(f"{path}/"):
            return f"{path} {reason}"
    return "build.exclude keeps it out"


def _warnings(spec: DockSpec, selection: Selection, reached: Reached) -> Iterator[str]:
    for path, reason in sorted(selection.kept_out.items()):
        yield f"{path} is not in the image: it {reason}"
    if spec.build.auto_detect_imports:
        for path, reason in sorted(reached.unreadable.items()):
            yield f"{path} is no Python that could be read ({reason}): what it imports is not looked for"
        return
    there = _with_folders(selection.files)
    for unit, importer in sorted(reached.units.items()):
        if unit not in there and not selection.excludes(unit):
            yield (
                f"{importer} imports {unit}, which is not in the image: "
                "list it under build.include, or set build.auto_detect_imports"
            )


def _with_folders(files: Iterable[str]) -> set[str]:
    """Return the files and all folders on their ways."""
    found = set(files)
    for file in files:
        folder = file.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found
