"""A first call to try: a payload that the agent's input schema accepts, and the curl line that sends it."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from dockrion.runs.schema import Schema, with_root_type
from dockrion.spec.chat import chat_input

if TYPE_CHECKING:
    from dockrion.spec import DockSpec

_FORMATS: Final = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
# Tried in turn where there is a pattern; then runs of one character, as codes and numbers have them.
_WORDS: Final = ("hello", "Hello", "HELLO", "a1", "A1", "abc-123", "ABC-123", *_FORMATS.values())
_RUNS: Final = ("a", "A", "0", "1")
_LONGEST_RUN: Final = 40
_MAX_DEPTH: Final = 8
_ANY_TYPE: Final = ["object", "array", "string", "number", "boolean", "null"]
_DEFINITIONS: Final = ("$defs", "definitions")


def curl_line(spec: DockSpec, url: str, *, for_strangers: bool = False) -> str:
    """Return the command that streams, or, where nothing streams, that asks and waits, or else that starts a run.

    `for_strangers` keeps what the agent takes to itself where `auth.protect` closes the schema.
    """
    schema = spec.io_schema.input
    payload = _with_a_message(spec, sample_payload(schema))
    is_closed = for_strangers and spec.auth is not None and "schema" in spec.auth.protect
    if not is_closed and (schema is None or Schema(schema).fits(payload)):
        body = shlex.quote(json.dumps(payload, ensure_ascii=False))
    else:
        body = shlex.quote(f"<JSON that fits the input of {url}/schema>")
    path, flag = ("/invoke", "") if spec.expose.rest else ("/runs", "")
    if spec.expose.sse:
        path, flag = "/invoke/stream", "-N "
    where = shlex.quote(f"{url}{path}")
    credentials = _credentials(spec)
    return f"curl {flag}-X POST {where} {credentials}-H 'Content-Type: application/json' -d {body}"


def _with_a_message(spec: DockSpec, payload: Any) -> Any:
    """Put something to answer into a conversation that would be empty, where the schema takes it."""
    place, schema = chat_input(spec), spec.io_schema.input
    if place is None or place.name is None or not place.whole or schema is None:
        return payload
    if not isinstance(payload, dict) or cast("dict[str, Any]", payload).get(place.name):
        return cast("Any", payload)
    spoken: dict[str, Any] = {**payload, place.name: [{"role": "user", "content": "Hello"}]}
    return spoken if Schema(schema).fits(spoken) else cast("Any", payload)


def _credentials(spec: DockSpec) -> str:
    """Return the header that a caller fills in."""
    auth = spec.auth
    if auth is None or auth.is_open:
        return ""
    header = auth.headers[0]
    if auth.mode != "api_key":
        return f"-H '{header}: Bearer <token>' "
    return f"-H {shlex.quote(f'{header}: <key>')} "


def sample_payload(schema: Mapping[str, Any] | None) -> Any:
    """Return a small value that `schema` most likely accepts: of an object, the required properties."""
    if schema is None:
        return {}
    root = with_root_type(schema)
    return _Sampler(root).sample(root, depth=0)


class _Sampler:
    """Offers values for the parts of one schema, and takes the first that the validator accepts."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._definitions = {key: root[key] for key in _DEFINITIONS if key in root}

    def sample(self, schema: Any, *, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return {}
        known = cast("Mapping[str, Any]", schema)
        offers = self._offers(known, depth)
        first = next(offers)
        whole = {"type": _ANY_TYPE, "allOf": [known], **self._definitions}
        try:
            validator = Schema(whole)
        except ValueError:  # a reference that leads nowhere
            return first
        if validator.fits(first):
            return first
        return next(filter(validator.fits, offers), first)

    def _offers(self, schema: Mapping[str, Any], depth: int) -> Iterator[Any]:
        for said in ("const", "default"):
            if said in schema:
                yield schema[said]
        for choices in ("examples", "enum"):
            yield from schema.get(choices) or ()
        for more in self._alternatives(schema):
            yield self.sample(more, depth=depth + 1)
        match _type_of(schema):
            case "object":
                yield self._object(schema, depth)
            case "array":
                yield self._array(schema, depth)
            case "integer" | "number":
                yield from _numbers(schema)
            case "boolean":
                yield from (True, False)
            case "null":
                yield None
            case _:
                yield from _texts(schema)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        return {
            name: self.sample(properties.get(name, {"type": "string"}), depth=depth + 1)
            for name in schema.get("required", [])
        }

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        leading = [self.sample(item, depth=depth + 1) for item in schema.get("prefixItems", [])]
        missing = schema.get("minItems", 0) - len(leading)
        if missing <= 0:
            return leading
        return leading + [self.sample(schema.get("items"), depth=depth + 1)] * missing

    def _alternatives(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Give the schema with what it refers to put in: a local `$ref`, all of `allOf`, one of the others."""
        rest = {k: v for k, v in schema.items() if k not in ("$ref", "allOf", "anyOf", "oneOf")}
        if "$ref" in schema or "allOf" in schema:
            for key in ("anyOf", "oneOf"):
                if key in schema:
                    rest[key] = schema[key]
            parts = [*schema.get("allOf", []), self._target(schema.get("$ref"))]
            for part in parts:
                rest = _merged(rest, part)
            yield rest
            return
        for choice in (*schema.get("anyOf", []), *schema.get("oneOf", [])):
            yield _merged(rest, choice)

    def _target(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        target: Any = self._root
        for key in reference[1:].split("/")[1:]:
            name = key.replace("~1", "/").replace("~0", "~")
            target = cast("Any", target).get(name) if isinstance(target, Mapping) else None
        return target


def _merged(schema: dict[str, Any], part: Any) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        return schema
    more = cast("Mapping[str, Any]", part)
    both = {**schema, **more}
    if "properties" in schema and "properties" in more:
        both["properties"] = {**schema["properties"], **more["properties"]}
    if "required" in schema and "required" in more:
        both["required"] = list(dict.fromkeys([*schema["required"], *more["required"]]))
    return both


def _type_of(schema: Mapping[str, Any]) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        names = cast("list[str]", declared)
        return next((name for name in names if name != "null"), "null")
    if declared is None:
        return "object" if "properties" in schema or "required" in schema else "string"
    return declared


def _numbers(schema: Mapping[str, Any]) -> Iterator[int | float]:
    bounds = [
        schema[key]
        for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
        if key in schema
    ]
    if "minimum" in schema:
        yield schema["minimum"]
    yield from (1, 0)
    step = schema.get("multipleOf", 1)
    for bound in bounds:
        near = math.floor(bound / step) * step
        yield from (bound, near, near + step, near - step)
    yield sum(bounds) / max(len(bounds), 1)
    yield step


def _texts(schema: Mapping[str, Any]) -> Iterator[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    word = _FORMATS.get(schema.get("format", ""), "hello")
    yield word
    yield (word * (least // len(word) + 1))[: max(least, 1) if most is None else most]
    if "pattern" in schema:
        yield from _WORDS
        yield from (run * length for length in range(1, _LONGEST_RUN + 1) for run in _RUNS)
