"""The JSON Schema of the Dockfile, for editors: what may be written, before variables are filled in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dockrion.spec.dockspec import DockSpec

_NULL = {"type": "null"}


def generate_json_schema() -> dict[str, Any]:
    """Return a schema that takes every Dockfile the loader takes; rules between fields are not in it."""
    schema = DockSpec.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        section.pop("title", None)
        required = section.get("required", ())
        section["properties"] = {
            name: _property(field, optional=name not in required)
            for name, field in section["properties"].items()
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Dockfile",
        **schema,
        "description": "One agent, and how it is served.",
    }


def write_json_schema(path: str | Path) -> None:
    """Write it into a file, in UTF-8, for editors. Raises `OSError`."""
    text = json.dumps(generate_json_schema(), indent=2, ensure_ascii=False)
    Path(path).write_text(f"{text}\n", encoding="utf-8")


def _property(field: dict[str, Any], *, optional: bool) -> dict[str, Any]:
    """Let null stand for what is not given, and say what the field is for first."""
    notes = {key: field[key] for key in ("description", "default") if field.get(key) is not None}
    schema = {
        key: value for key, value in field.items() if key not in ("description", "default", "title")
    }
    choices: list[Any] = schema.get("anyOf", [schema])
    # `X | None` has null already, around alternatives of its own.
    flat = [one for choice in choices for one in choice.get("anyOf", [choice]) if one != _NULL]
    if optional:
        flat.append(_NULL)
    return {**notes, **(flat[0] if len(flat) == 1 else {"anyOf": flat})}
