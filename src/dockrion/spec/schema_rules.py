"""What dockrion asks of a JSON Schema: that it is one (draft 2020-12), fetches nothing, and says enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urldefrag, urljoin

from pydantic_core import PydanticUndefined

from dockrion.spec.fields import is_list, is_mapping
from dockrion.spec.schema_walk import DATA, NAMED
from dockrion.spec.shape import Loc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema_rs import ValidationError

ROOT_TYPES: Final = ("object", "string", "number", "integer", "boolean", "array", "null")
_META_SCHEMA: Final = {"$ref": "https://json-schema.org/draft/2020-12/schema"}


class Complaint(NamedTuple):
    loc: Loc
    message: str
    value: Any


def complaints(schema: dict[str, Any]) -> list[Complaint]:
    """Return all that is wrong; what is no schema at all is not looked at further."""
    return (
        _malformed(schema)
        or [*_root_type(schema), *_rules(schema, ()), *_remote_references(schema)]
        or _dangling_reference(schema)
    )


def _malformed(schema: dict[str, Any]) -> list[Complaint]:
    import jsonschema_rs

    validator = jsonschema_rs.Draft202012Validator(
        _META_SCHEMA, validate_formats=True, offline=True
    )
    try:
        errors = list(validator.iter_errors(schema))
    except ValueError as exc:
        return [_no_json(exc, schema)]
    # The meta-schema is made of vocabularies, several of which find the same fault.
    found = {tuple(error.instance_path): error for error in errors}
    return [
        Complaint(loc, f"is no valid JSON Schema: {_in_words(loc, error)}", error.instance)
        for loc, error in found.items()
    ]


def _in_words(loc: Loc, error: ValidationError) -> str:
    from jsonschema_rs import ValidationErrorKind as Kind

    match error.kind:
        case Kind.Type(types=types):
            return f"must be of type {' or '.join(types)}"
        case Kind.AnyOf() if loc[-1:] == ("type",):
            quotes = ' ("null" in quotes)' if error.instance is None else ""
            return f"must be one of {', '.join(ROOT_TYPES)}, or a list of these{quotes}"
        case Kind.UniqueItems():
            return "must not have duplicates"
        case Kind.Format(format=name):
            return f"must be a {'regular expression' if name == 'regex' else name}"
        case Kind.PropertyNames():
            return "each key must be a regular expression"
        case Kind.Minimum(limit=limit):
            return f"must be {limit} or more"
        case Kind.ExclusiveMinimum(limit=limit):
            return f"must be greater than {limit}"
        case Kind.MinItems():
            return "must not be empty"
        case kind:
            return f"breaks the rule `{kind.name}` of the meta-schema"


def _root_type(schema: dict[str, Any]) -> Iterator[Complaint]:
    kind = schema.get("type", "object")
    if kind not in ROOT_TYPES:
        yield Complaint(("type",), f"must be one of {', '.join(ROOT_TYPES)}", kind)


def _rules(schema: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    if "array" in _types(schema) and "items" not in schema:
        yield Complaint((*loc, "items"), "is required where `type` is array", PydanticUndefined)
    properties: dict[str, Any] | None = schema.get("properties")
    if properties is not None:
        yield from _property_rules(schema, properties, loc)
    items = schema.get("items")
    if is_mapping(items):
        yield from _rules(items, (*loc, "items"))


def _property_rules(
    schema: dict[str, Any], properties: dict[str, Any], loc: Loc
) -> Iterator[Complaint]:
    if "object" in _types(schema):
        for index, name in enumerate(schema.get("required", ())):
            if name not in properties:
                yield Complaint((*loc, "required", index), "must be one of `properties`", name)
    for name, below in properties.items():
        if not name.strip():
            yield Complaint((*loc, "properties", name), "a property's name must not be blank", name)
        if is_mapping(below):
            yield from _rules(below, (*loc, "properties", name))


def _types(schema: dict[str, Any]) -> list[str]:
    types = schema.get("type", "object")
    return [types] if isinstance(types, str) else types


class _Reference(NamedTuple):
    loc: Loc
    ref: str
    uri: str
    """What it refers to, without the fragment; empty for the schema itself."""


def _remote_references(schema: dict[str, Any]) -> Iterator[Complaint]:
    references: list[_Reference] = []
    ids = {""}
    _collect(schema, (), "", references, ids)
    for loc, ref, uri in references:
        if uri not in ids:
            yield Complaint(
                loc,
                "must not lead out of this schema, nothing is fetched; put what it names under `$defs`",
                ref,
            )


def _collect(node: Any, loc: Loc, base: str, references: list[_Reference], ids: set[str]) -> None:
    """Gather every `$ref` below, and every `$id`, resolved against what surrounds it."""
    if is_list(node):
        for index, item in enumerate(node):
            _collect(item, (*loc, index), base, references, ids)
        return
    if not is_mapping(node):
        return
    if isinstance(node.get("$id"), str):
        base = urljoin(base, node["$id"])
        ids.add(urldefrag(base).url)
    for key, value in node.items():
        if key in ("$ref", "$dynamicRef") and isinstance(value, str):
            uri = urldefrag(urljoin(base, value)).url
            references.append(_Reference((*loc, key), value, uri))
        elif key in NAMED and is_mapping(value):
            for name, below in value.items():
                _collect(below, (*loc, key, name), base, references, ids)
        elif key not in DATA:
            _collect(value, (*loc, key), base, references, ids)


def _dangling_reference(schema: dict[str, Any]) -> list[Complaint]:
    import jsonschema_rs

    try:
        jsonschema_rs.Draft202012Validator(schema, offline=True)
    except jsonschema_rs.ValidationError as exc:
        references: list[_Reference] = []
        _collect(schema, (), "", references, set())
        # The error tells what was not found, not where it was asked for.
        fragments = {urldefrag(ref).fragment: (loc, ref) for loc, ref, _ in references}
        named = [fragment for fragment in fragments if fragment and fragment in exc.message]
        if not named:
            return [Complaint((), "is no valid JSON Schema: it cannot be compiled", schema)]
        loc, ref = fragments[max(named, key=len)]
        return [Complaint(loc, "leads nowhere in this schema", ref)]
    except ValueError as exc:
        return [_no_json(exc, schema)]
    return []


def _no_json(exc: ValueError, schema: dict[str, Any]) -> Complaint:
    return Complaint((), f"must be JSON: {exc}", schema)
