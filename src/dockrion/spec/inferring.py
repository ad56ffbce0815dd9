"""An `io_schema` from one payload and its output: what they are made of, as JSON Schema that a Dockfile takes."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from io import StringIO
from typing import Any, Final

from dockrion.spec.fields import is_list, is_mapping

Schema = dict[str, Any]
# A Dockfile has a bound, too; each level of a value is two of its schema.
_MAX_DEPTH: Final = 30


def io_schema_of(payload: Any, output: Any) -> str:
    """Return the section as YAML; both are plain JSON data."""
    section = {"io_schema": {"input": schema_of(payload), "output": schema_of(output)}}
    yaml: Any = importlib.import_module("ruamel.yaml").YAML()
    yaml.width = 1 << 16  # a long name stays on its line
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    yaml.dump(section, text)
    return text.getvalue()


def schema_of(value: Any, depth: int = 0) -> Schema:
    """Return the narrowest schema that is not about the values themselves; it takes this value."""
    if depth > _MAX_DEPTH:
        return {}
    if is_mapping(value):
        # The rules of a Dockfile have no blank names.
        below = {k: schema_of(v, depth + 1) for k, v in value.items() if k.strip()}
        return _object(below, required=below)
    if is_list(value):
        return {"type": "array", "items": _merged(schema_of(item, depth + 1) for item in value)}
    return {"type": _name_of(value)}


def _name_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case _:
            return "string"


def _object(properties: dict[str, Schema], *, required: Iterable[str]) -> Schema:
    schema: Schema = {"type": "object"}
    if properties:
        schema["properties"] = properties
    names = [_escaped(name) for name in required]
    return {**schema, "required": names} if names else schema


def _escaped(name: str) -> str:
    """Return a name as a value, in which a Dockfile would look for variables."""
    return name.replace("${", "$${")


def _merged(schemas: Iterable[Schema]) -> Schema:
    """Return one schema for all that these take; objects become one, whose common properties are required."""
    kinds: dict[str, list[Schema]] = {}
    for schema in schemas:
        if not schema:
            return {}
        for one in schema.get("anyOf", [schema]):
            for name in one["type"] if is_list(one["type"]) else [one["type"]]:
                kinds.setdefault(name, []).append(one)
    if "number" in kinds:
        kinds.pop("integer", None)
    ways = [_same_kind(name, found) for name, found in kinds.items()]
    if len(ways) < 2:
        return ways[0] if ways else {}
    if all(way.keys() == {"type"} for way in ways):
        return {"type": [way["type"] for way in ways]}
    return {"anyOf": ways}


def _same_kind(name: str, schemas: list[Schema]) -> Schema:
    if name == "array":
        return {"type": "array", "items": _merged(schema["items"] for schema in schemas)}
    if name != "object":
        return {"type": name}
    found: dict[str, list[Schema]] = {}
    for schema in schemas:
        for key, below in schema.get("properties", {}).items():
            found.setdefault(key, []).append(below)
    required = [k for k in found if all(_escaped(k) in s.get("required", ()) for s in schemas)]
    return _object({key: _merged(below) for key, below in found.items()}, required=required)
