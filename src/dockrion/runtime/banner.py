"""What a person reads when the server is ready: the agent, its address, a curl line that works."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from dockrion.spec import DockSpec

# Samples that pass the format check of the input schema.
_FORMATS = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
WILDCARD_HOSTS = ("", "0.0.0.0", "::")  # noqa: S104  (compared with, not bound to)
_MAX_DEPTH = 8


def banner(spec: DockSpec, *, host: str, port: int, seconds: float) -> str:
    url = base_url(host, port)
    lines = [
        f"{spec.agent.name} is ready after {seconds:.2f} s",
        "",
        f"  page    {url}/",
        f"  call    {curl_line(spec, url)}",
        "  stop    Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def base_url(host: str, port: int) -> str:
    """Return the address that a caller on this machine uses."""
    if host in WILDCARD_HOSTS:
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def curl_line(spec: DockSpec, url: str) -> str:
    """Return the command that streams, or, where nothing streams, that asks and waits."""
    payload = json.dumps(sample_payload(spec.io_schema.input), ensure_ascii=False)
    path, flag = ("/invoke/stream", "-N ") if spec.expose.sse else ("/invoke", "")
    body = shlex.quote(payload)
    return f"curl {flag}-X POST {url}{path} -H 'Content-Type: application/json' -d {body}"


def sample_payload(schema: Mapping[str, Any] | None) -> Any:
    """Return a small value that `schema` most likely accepts: of an object, the required properties."""
    return {} if schema is None else _sample(schema, root=schema, depth=0)


def _sample(schema: Any, *, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return {}
    known = cast("Mapping[str, Any]", schema)
    for said in ("const", "default"):
        if said in known:
            return known[said]
    for choices in ("examples", "enum"):
        if known.get(choices):
            return known[choices][0]
    for target in _indirections(known, root):
        return _sample(target, root=root, depth=depth + 1)
    match _type_of(known, is_root=depth == 0):
        case "object":
            properties: Mapping[str, Any] = known.get("properties", {})
            return {
                name: _sample(properties.get(name, {"type": "string"}), root=root, depth=depth + 1)
                for name in known.get("required", [])
            }
        case "array":
            count = known.get("minItems", 0)
            return [_sample(known.get("items"), root=root, depth=depth + 1)] * count
        case "integer" | "number":
            return known.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _FORMATS.get(known.get("format", ""), "hello")


def _indirections(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Sequence[Any]:
    """Return what stands for `schema`, best first: the target of a local `$ref`, else its alternatives."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target: Any = root
        for key in reference[2:].split("/"):
            name = key.replace("~1", "/").replace("~0", "~")
            target = cast("Any", target).get(name) if isinstance(target, Mapping) else None
        return [target]
    return [*schema.get("anyOf", []), *schema.get("oneOf", [])]


def _type_of(schema: Mapping[str, Any], *, is_root: bool) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        names = cast("list[str]", declared)
        return next((name for name in names if name != "null"), "null")
    if declared is None:
        return "object" if is_root or "properties" in schema else "string"
    return declared
