"""What is wrong with a Dockfile, in its final form: path, what is allowed, what was found, line and column."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic_core import ErrorDetails, PydanticUndefined
from pydantic_core import ValidationError as PydanticValidationError

from dockrion.errors import ValidationError
from dockrion.spec.fields import BROKEN_RULE, Kind, is_list, is_mapping, shown
from dockrion.spec.shape import Loc, Shape, shape_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SCALARS: Final = ("integer", "number", "boolean")


@dataclass(frozen=True)
class Problem:
    path: str
    message: str
    line: int | None = None
    column: int | None = None

    def line_of(self, name: str) -> str:
        """Return the problem on one line, as compilers write them."""
        words = f"{self.path}: {self.message}" if self.path else self.message
        place = ":".join(str(part) for part in (name, self.line, self.column) if part)
        return f"{place}: {words}" if place else words


class Place(NamedTuple):
    """Where a key and its value stand in the file, counted from 1."""

    key: tuple[int, int]
    value: tuple[int, int]


class Origin(NamedTuple):
    """How a text that held variables came to its value.

    `told` says where they are set. A `hidden` value is never shown; `quoted` is what would be a number, or a
    flag, were it not for its quotes.
    """

    told: str
    hidden: bool
    quoted: bool


@dataclass
class Source:
    """What a spec is read from: how its parts are found in the file, and how they were written.

    `written` has the text of every value that a variable filled in: it is shown in place of the value.
    Problems and warnings gather here while the file is read.
    """

    name: str = ""
    folder: Path | None = None
    places: dict[Loc, Place] = field(default_factory=dict[Loc, Place])
    written: dict[Loc, str] = field(default_factory=dict[Loc, str])
    origins: dict[Loc, Origin] = field(default_factory=dict[Loc, "Origin"])
    # Every variable that stands in the file, and whether it does so anywhere without a default.
    variables: dict[str, bool] = field(default_factory=dict[str, bool])
    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[str] = field(default_factory=list[str])
    # Values of the declared secrets, which must not be shown to anybody.
    secrets: list[str] = field(default_factory=list[str], repr=False)
    # What the file was read in; None for a spec that was not read from one.
    environ: Mapping[str, str] | None = field(default=None, repr=False)

    def add(self, loc: Loc, message: str) -> None:
        self.problems.append(Problem(path_of(loc), message, *self.place(loc)))

    def warn(self, loc: Loc, message: str, *, at_key: bool = False) -> None:
        problem = Problem(path_of(loc), message, *self.place(loc, at_key=at_key))
        self.warnings.append(problem.line_of(self.name))

    def place(self, loc: Loc, *, at_key: bool = False) -> tuple[int, int] | tuple[()]:
        """Return line and column of a value; of the nearest key above it when it is not there."""
        if loc in self.places:
            return self.places[loc].key if at_key else self.places[loc].value
        for length in range(len(loc) - 1, -1, -1):
            if loc[:length] in self.places:
                return self.places[loc[:length]].key
        return ()

    def as_written(self, loc: Loc, value: Any) -> Any:
        """Return the value with every part that came from a variable as it stands in the file."""
        if loc in self.written:
            return self.written[loc]
        if is_mapping(value):
            return {k: self.as_written((*loc, k), v) for k, v in value.items()}
        if is_list(value):
            return [self.as_written((*loc, i), v) for i, v in enumerate(value)]
        return value


def path_of(loc: Loc) -> str:
    """Return a path as messages write it: `auth.roles[0].name`."""
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part if part.isprintable() else repr(part)}"
        for part in loc
    )
    return path.removeprefix(".")


def invalid(source: Source) -> ValidationError:
    """Return the one error for all problems, in the order in which they stand in the file."""
    found = sorted(dict.fromkeys(source.problems), key=lambda p: (p.line or 0, p.column or 0))
    error = ValidationError(
        "\n".join(problem.line_of(source.name) for problem in found),
        details=[asdict(problem) for problem in found],
    )
    if source.name:
        error.add_note("each line starts with where it is: file, line, column")
    return error


def add_problems(error: PydanticValidationError, root: Shape, source: Source) -> None:
    """Translate what pydantic found into problems of the source."""
    for details in error.errors(include_url=False):
        loc = details["loc"]
        at = (details.get("ctx") or {}).get("at")
        if at is not None:
            loc = (*loc[:-1], *(at.split(".") if at else ()))
        if loc[-1:] == ("[key]",):
            loc = loc[:-2]
        source.add(loc, _in_words(details, root, source))


def _in_words(details: ErrorDetails, root: Shape, source: Source) -> str:
    found = _found(details, root, source)
    match details["type"]:
        case "missing":
            return f"is required{_shortest(details['loc'], root)}"
        case "model_type" | "dict_type":
            return f"must be a mapping{found}"
        case "tuple_type":
            return f"must be a list{found}"
        case "string_type" | "invalid_key":
            return "keys must be text"
        case kind if kind == BROKEN_RULE:
            return details["msg"]
        case _:
            return f"{details['msg']}{found}"


def _shortest(loc: Loc, root: Shape) -> str:
    """Return how to write a section that is required and may be empty."""
    shape = shape_at(root, loc)
    if not isinstance(shape, type) or any(f.is_required() for f in shape.model_fields.values()):
        return ""
    return f"; `{loc[-1]}: {{}}` takes the defaults"


def _found(details: ErrorDetails, root: Shape, source: Source) -> str:
    loc, value = details["loc"], details["input"]
    if value is PydanticUndefined:
        return ""
    shape = shape_at(root, loc)
    if loc in source.written:
        return f", got {_from_variables(loc, value, shape, source)}"
    if isinstance(shape, Kind) and shape.secret:
        return ", got a value that is not shown"
    return f", got {shown(source.as_written(loc, value))}"


def _from_variables(loc: Loc, value: Any, shape: Shape, source: Source) -> str:
    """Return what was found where variables stand: never a text, which could be anybody's password."""
    written = " ".join(source.written[loc].split())
    origin = source.origins[loc]
    if origin.quoted and isinstance(shape, Kind) and shape.schema.get("type") in _SCALARS:
        return f"text: its quotes make it that; write {written} without them"
    secret = isinstance(shape, Kind) and shape.secret
    if secret or origin.hidden or isinstance(value, str):
        return f"{written} ({origin.told})"
    return f"{shown(value)} from {written} ({origin.told})"
