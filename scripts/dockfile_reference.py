"""Write docs/dockfile.md from the models of the Dockfile: `python scripts/dockfile_reference.py [--check]`."""
# ruff: noqa: T201

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dockrion import generate_json_schema

PAGE = Path(__file__).resolve().parent.parent / "docs" / "dockfile.md"
Schema = dict[str, Any]

_HEAD = """\
# The Dockfile

One YAML 1.2 file for each agent, `Dockfile.yaml` by default. `version`, `agent`, `io_schema` and `expose` are required. `null` means
not given. Keys that are not listed here are kept, and `dockrion validate` warns about each one. `${VAR}` and
`${VAR:-default}` are filled in from the environment, in any string. `dockrion schema` writes the same rules for editors.

This page is made of the models that check a Dockfile: `python scripts/dockfile_reference.py`.
"""


def page() -> str:
    schema = generate_json_schema()
    parts = [_HEAD]
    for name, field in schema["properties"].items():
        required = " (required)" if name in schema["required"] else ""
        parts.append(f"\n## {name}{required}\n\n{field['description']}\n")
        rows = list(_rows(name, field, schema["$defs"], required=bool(required)))
        parts.append("\n| field | default | allowed | |\n|---|---|---|---|\n")
        parts.extend(f"| {' | '.join(row)} |\n" for row in rows)
    return "".join(parts)


def _rows(
    path: str, field: Schema, models: Schema, *, required: bool
) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for a field, or for each field of the section that it is."""
    section = _section(field, models)
    if section is not None:
        inner = path + ("[]" if _is_list(field) else "")
        needed = section.get("required", ())
        for name, below in section["properties"].items():
            yield from _rows(f"{inner}.{name}", below, models, required=name in needed)
        return
    default = "required" if required else _default(field)
    yield f"`{path}`", default, _allowed(field), _said(field)


def _section(field: Schema, models: Schema) -> Schema | None:
    for way in _ways(field):
        target = way.get("$ref") or way.get("items", {}).get("$ref")
        if target:
            return models[target.rpartition("/")[2]]
    return None


def _is_list(field: Schema) -> bool:
    return any(way.get("type") == "array" for way in _ways(field))


def _ways(field: Schema) -> list[Schema]:
    """Return the ways in which a field may be written, without `null` and `${VAR}`."""
    ways = field.get("anyOf", [field])
    return [way for way in ways if way.get("type") != "null" and not _is_variable(way)]


def _is_variable(way: Schema) -> bool:
    return str(way.get("pattern", "")).startswith("\\$\\{")


def _default(field: Schema) -> str:
    value = field.get("default")
    return "" if value in (None, {}, []) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _allowed(field: Schema) -> str:
    return " or ".join(dict.fromkeys(_way(way) for way in _ways(field)))


def _way(way: Schema) -> str:
    if "enum" in way:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in way["enum"])
    match way.get("type"):
        case "boolean":
            return "`true`, `false`"
        case "integer" | "number" as kind:
            return f"{'whole number' if kind == 'integer' else 'number'}{_range(way)}"
        case "array":
            items = way.get("items", {})
            return f"list of {_allowed(items)}" if items else "list"
        case "object":
            values = way.get("additionalProperties")
            return f"mapping to {_allowed(values)}" if isinstance(values, dict) else "mapping"
        case "string":
            return _text(way)
        case _:
            return "anything"


def _text(way: Schema) -> str:
    pattern = way.get("pattern")
    if pattern is None:
        return "text"
    bare = re.fullmatch(r"\^(?:\(\?:(.*)\)|(.*))\$", pattern)
    shown = pattern if bare is None else bare[1] or bare[2]
    return "text like `" + _cell(shown) + "`"


def _range(way: Schema) -> str:
    low, high = way.get("minimum"), way.get("maximum")
    if "exclusiveMinimum" in way:
        return f" over {way['exclusiveMinimum']}"
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    return "" if low is None else f", {low:g} or more"


def _said(field: Schema) -> str:
    return _cell(field.get("description", "")).replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when it is stale")
    check = parser.parse_args().check
    made = page()
    if check:
        if PAGE.read_text() == made:
            return 0
        print("docs/dockfile.md is stale: python scripts/dockfile_reference.py", file=sys.stderr)
        return 1
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
