"""What one field of the Dockfile may hold: the check, the words for it and its JSON Schema, in one object."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError, core_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

_SHOWN_LENGTH: Final = 80

BAD_VALUE = "dockfile_value"
BROKEN_RULE = "dockfile_rule"

VARIABLE: Final = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
"""What may stand in the file in place of any value that is no mapping and no list."""


class Unresolved(str):
    """Text with a variable that has no value: any field takes it, so that it is no second problem."""

    __slots__ = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Kind:
    """Annotated beside a field's type; it alone decides what the field takes, nothing is coerced.

    `complain` gives the words that follow the field's path, or None when the value is fine; the value that was
    found is added by whoever shows the problem, since it may have come from a variable. In a `text` field the
    value of a variable is never read as a number. What a `secret` field holds is never shown.
    """

    complain: Callable[[Any], str | None]
    schema: Mapping[str, Any]
    text: bool = False
    secret: bool = False

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self._schema_for_editors()

    @property
    def _takes_variable(self) -> bool:
        return self.schema.get("type") != "object"

    def _schema_for_editors(self) -> dict[str, Any]:
        """Return the schema of what may be written, which is a variable, too, wherever text is no mapping."""
        takes_any_text = self.schema.get("type") == "string" and not {"enum", "pattern"} & {
            *self.schema
        }
        if takes_any_text or not self._takes_variable:
            return dict(self.schema)
        choices: list[Any] = self.schema.get("anyOf", [dict(self.schema)])
        return {"anyOf": [*choices, VARIABLE]}

    def _check(self, value: Any) -> Any:
        if self._takes_variable and holds_unresolved(value):
            return value
        complaint = self.complain(value)
        if complaint is not None:
            raise PydanticCustomError(BAD_VALUE, "{message}", {"message": complaint})
        return value


def broken_rule(message: str, *, at: str | None = None) -> PydanticCustomError:
    """Return the error of a rule between fields, to be raised by the validator of the last of them.

    It is shown at the field itself, or at its sibling `at`, which may be dotted; `at=""` is the section.
    """
    return PydanticCustomError(BROKEN_RULE, "{message}", {"message": message, "at": at})


def bad_values(found: Iterable[tuple[tuple[str | int, ...], str, Any]]) -> ValidationError:
    """Return one error for several places below a field: each its path from there, the words, the value.

    `PydanticUndefined` as the value says that there is none to show.
    """
    return ValidationError.from_exception_data(
        "Dockfile",
        [
            InitErrorDetails(
                type=PydanticCustomError(BAD_VALUE, "{message}", {"message": message}),
                loc=loc,
                input=value,
            )
            for loc, message, value in found
        ],
    )


def refuse_duplicates(names: Sequence[str], field: str, *, taken: Iterable[str] = ()) -> None:
    """Raise when the `field` of an item of a list is one of an earlier item, or is taken elsewhere."""
    seen = set(taken)
    again: list[tuple[tuple[str | int, ...], str, Any]] = []
    for index, name in enumerate(names):
        if name in seen:
            again.append(((index, field), "must be unique", name))
        seen.add(name)
    if again:
        raise bad_values(again)


def _must_be(says: str, accepts: Callable[[Any], bool]) -> Callable[[Any], str | None]:
    return lambda value: None if accepts(value) else f"must be {says}"


def is_mapping(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def holds_unresolved(value: Any) -> bool:
    if is_mapping(value):
        return any(map(holds_unresolved, value.values()))
    return isinstance(value, Unresolved) or (is_list(value) and any(map(holds_unresolved, value)))


def without_unresolved(value: Any) -> Any:
    """Return the data with plain text in place of what has no value."""
    if is_mapping(value):
        return {key: without_unresolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_unresolved(item) for item in cast("list[Any]", value)]
    return str(value) if isinstance(value, Unresolved) else value


def is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def text(*, blank: bool = False) -> Kind:
    """Text; without `blank` at least one character of it is no white space."""
    if not blank:
        return checked_text(lambda _: None)
    return Kind(complain=_complain_of_no_text, schema={"type": "string"}, text=True)


def _complain_of_no_text(value: Any) -> str | None:
    if isinstance(value, str):
        return None
    return "must be text, in quotes" if isinstance(value, int | float) else "must be text"


def matching(pattern: str, says: str) -> Kind:
    """Text that the pattern matches as a whole."""
    fullmatch = re.compile(pattern).fullmatch
    return Kind(
        complain=_must_be(says, lambda v: isinstance(v, str) and fullmatch(v) is not None),
        schema={"type": "string", "pattern": f"^(?:{pattern})$"},
        text=True,
    )


def checked_text(complain: Callable[[str], str | None]) -> Kind:
    """Text that is not blank and of which a function has no complaint."""

    def check(value: Any) -> str | None:
        if is_text(value):
            return complain(value)
        return _complain_of_no_text(value) or "must be text that is not blank"

    return Kind(complain=check, schema={"type": "string", "minLength": 1}, text=True)


def secret(kind: Kind) -> Kind:
    return replace(kind, secret=True)


def one_of(*choices: str) -> Kind:
    return Kind(
        complain=_must_be(f"one of {', '.join(choices)}", lambda v: v in choices),
        schema={"type": "string", "enum": list(choices)},
        text=True,
    )


def flag() -> Kind:
    return Kind(
        complain=_must_be("true or false", lambda v: isinstance(v, bool)),
        schema={"type": "boolean"},
    )


def whole(at_least: int = 1, at_most: int | None = None) -> Kind:
    return Kind(
        complain=_must_be(
            f"a whole number {_range(at_least, at_most)}",
            lambda v: _is_whole(v) and at_least <= v and (at_most is None or v <= at_most),
        ),
        schema={"type": "integer", "minimum": at_least} | _maximum(at_most),
    )


def number(at_least: float, at_most: float | None = None) -> Kind:
    return Kind(
        complain=_must_be(
            f"a number {_range(at_least, at_most)}",
            lambda v: _is_number(v) and at_least <= v and (at_most is None or v <= at_most),
        ),
        schema={"type": "number", "minimum": at_least} | _maximum(at_most),
    )


def positive() -> Kind:
    return Kind(
        complain=_must_be("a number greater than 0", lambda v: _is_number(v) and v > 0),
        schema={"type": "number", "exclusiveMinimum": 0},
    )


def anything(says: str, accepts: Callable[[Any], bool], schema: Mapping[str, Any]) -> Kind:
    """For the few fields that take more than one type; one sentence says them all."""
    return Kind(complain=_must_be(says, accepts), schema=schema)


def free_mapping(says: str = "a mapping") -> Kind:
    """A mapping whose content is the user's own."""
    return anything(says, is_mapping, {"type": "object"})


def target() -> Kind:
    """`module.path:name`."""
    return Kind(
        complain=_must_be("module.path:name", _is_target),
        schema={"type": "string", "pattern": r"^[^:\s]+:[^:\s.]+$"},
        text=True,
    )


def _is_target(value: Any) -> bool:
    if not isinstance(value, str) or value.count(":") != 1:
        return False
    module, name = value.split(":")
    return name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def variable_name() -> Kind:
    return matching(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")


def url(*schemes: str) -> Kind:
    says = f"a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    return matching(rf"(?:{'|'.join(schemes)})://\S+", says)


def shown(value: Any) -> str:
    """Return a value as a message shows it: short, on one line."""
    if is_mapping(value):
        return "a mapping"
    if is_list(value) and any(is_mapping(v) or is_list(v) for v in value):
        return "a list"
    try:
        words = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        words = f"a {type(value).__name__}"
    return words if len(words) <= _SHOWN_LENGTH else f"{words[: _SHOWN_LENGTH - 1]}…"


def _range(at_least: float, at_most: float | None) -> str:
    if at_most is not None:
        return f"from {at_least} to {at_most}"
    return f"of {at_least} or more"


def _maximum(at_most: float | None) -> dict[str, Any]:
    return {} if at_most is None else {"maximum": at_most}
