"""Where in a JSON Schema schemas stand, and where names and data do; and a schema's move into another document."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urldefrag

from dockrion.spec.fields import is_list, is_mapping

# What stands below these keywords is data, and what looks like a `$ref` there is none.
DATA: Final = frozenset({"const", "default", "enum", "examples"})
# Below these stand names of the user's own, each with a schema.
NAMED: Final = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
# With one of these, a reference may mean something else than a place below the root.
_OWN_NAMES: Final = frozenset({"$id", "$anchor", "$dynamicAnchor", "$dynamicRef"})


def moved(schema: dict[str, Any], place: str) -> dict[str, Any]:
    """Return a valid schema as it has to be at `place` of another document (`#/components/schemas/EchoInput`).

    Its references, all of which lead into itself, lead to below `place` then, and the `$id` of its root is gone:
    most readers of OpenAPI look from the root of the document, whatever `$id` says. Only a schema with anchors,
    or with an `$id` further inside, needs readers that know JSON Schema in full: it stays as it is, under an `$id`.
    """
    root = {key: value for key, value in schema.items() if key != "$id"}
    if _has_names(root):
        return {"$id": place.rpartition("/")[2], **schema}
    return _rebased(root, place)


def _has_names(node: Any) -> bool:
    if is_list(node):
        return any(map(_has_names, node))
    if not is_mapping(node):
        return False
    return not _OWN_NAMES.isdisjoint(node) or any(map(_has_names, _below(node)))


def _below(node: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    for key, value in node.items():
        if key in NAMED and is_mapping(value):
            found.extend(value.values())
        elif key not in DATA:
            found.append(value)
    return found


def _rebased(node: Any, place: str) -> Any:
    if is_list(node):
        return [_rebased(item, place) for item in node]
    if not is_mapping(node):
        return node
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key == "$ref":
            reference: str = value
            result[key] = place + urldefrag(reference).fragment
        elif key in NAMED and is_mapping(value):
            result[key] = {name: _rebased(below, place) for name, below in value.items()}
        else:
            result[key] = value if key in DATA else _rebased(value, place)
    return result
