"""JSON Schema checks of payloads and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import jsonschema_rs

from dockrion.errors import ValidationError
from dockrion.events.pointer import pointer_to

MAX_PROBLEMS: Final = 50
MAX_PARTS: Final = 5000
MAX_MESSAGE: Final = 300


class Schema:
    """A compiled JSON Schema (draft 2020-12); without a `type` at the root it means an object."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        whole = with_root_type(schema)
        self.root_type: Final = whole["type"]
        self._validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)

    def fits(self, value: Any) -> bool:
        return self._validator.is_valid(value)

    def problems(self, value: Any) -> list[dict[str, str]]:
        """Return `{pointer, message, type}` of what is wrong, in the order found, the first 50.

        Of a large value the first alone: the validator lists all it can find before it gives any.
        """
        found: list[dict[str, str]] = []
        for error in self._errors(value):
            found.append(
                {
                    "pointer": pointer_to(error.instance_path),
                    "message": _short(error.message),
                    "type": str(getattr(error.kind, "name", type(error.kind).__name__)),
                }
            )
            if len(found) == MAX_PROBLEMS:
                break
        return found

    def _errors(self, value: Any) -> Iterable[jsonschema_rs.ValidationError]:
        if not _is_large(value):
            return self._validator.iter_errors(value)
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return [error]
        return []


def with_root_type(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with the `type` that the Dockfile means when it says none."""
    return dict(schema) if "type" in schema else {"type": "object", **schema}


def _is_large(value: Any) -> bool:
    """Whether it has more than a few thousand parts; stops looking there."""
    pending: list[Any] = [value]
    seen = 0
    while pending and seen <= MAX_PARTS:
        item = pending.pop()
        seen += 1
        if isinstance(item, dict):
            seen += len(cast("dict[str, Any]", item))
            pending.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            seen += len(cast("list[Any]", item))
            pending.extend(cast("list[Any]", item)[:MAX_PARTS])
    return seen > MAX_PARTS


def check_payload(schema: Schema | None, payload: Any) -> None:
    """Raise `ValidationError` when `payload` does not fit."""
    if schema is None or schema.fits(payload):
        return
    problems = schema.problems(payload)
    first = problems[0]
    where = first["pointer"] or "the payload"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise ValidationError(f"{where}: {first['message']}{more}", details=problems)


def _short(message: str) -> str:
    """Messages hold the whole value that is wrong, which may be as large as the payload."""
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 3]}..."
