"""The parts of the document put together: the paths that are on, and the components that these need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final, NamedTuple

from dockrion.errors import DockrionError, RateLimitError
from dockrion.runtime.openapi.agent import SCHEMAS_AT, agent_names, agent_schemas
from dockrion.runtime.openapi.events import event_schemas
from dockrion.runtime.openapi.failures import ERROR_SCHEMAS, failures
from dockrion.runtime.openapi.operations import OPERATIONS
from dockrion.runtime.openapi.parts import COUNT, RUN_METADATA, Operation
from dockrion.runtime.openapi.protocols import PROTOCOL_OPERATIONS, PROTOCOL_SCHEMAS
from dockrion.runtime.openapi.run_operations import RUN_OPERATIONS, run_schemas
from dockrion.spec import DockSpec
from dockrion.spec.fields import is_list, is_mapping
from dockrion.version import VERSION


class Security(NamedTuple):
    """How protected operations are opened: by any one of the schemes, `APIKeyHeader` or `BearerAuth`.

    `errors` are what callers get who have not, may not, or call too often; `also` are paths that are protected
    beside those that always are.
    """

    schemes: Mapping[str, Any]
    errors: tuple[type[DockrionError], ...]
    also: frozenset[str] = frozenset()


OPEN: Final = Security({}, ())

_TAGS: Final = [
    {"name": "agent", "description": "Run the agent."},
    {"name": "runs", "description": "Runs that nobody waits for."},
    {"name": "server", "description": "Ask the server."},
]
_HEADERS: Final[dict[str, Any]] = {
    "RequestId": {"description": "The id of this request.", "schema": {"type": "string"}},
    "Location": {"description": "Where the run is.", "schema": {"type": "string"}},
    "RunId": {"description": "The id of the run.", "schema": {"type": "string"}},
    "RetryAfter": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_RATE_HEADERS: Final[dict[str, Any]] = {
    "RateLimitLimit": {
        "description": "Calls that are allowed in one stretch of time.",
        "schema": COUNT,
    },
    "RateLimitRemaining": {"description": "Calls that are left of them.", "schema": COUNT},
    "RateLimitReset": {
        "description": "Seconds until the oldest of the calls counts no more.",
        "schema": COUNT,
    },
}


def document(spec: DockSpec, paths: Iterable[str], security: Security = OPEN) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an app that serves `paths`; those that are pages are not in it."""
    served = set(paths)
    described: dict[str, dict[str, Any]] = {}
    for operation in (*OPERATIONS, *RUN_OPERATIONS, *PROTOCOL_OPERATIONS):
        if operation.path in served:
            methods = described.setdefault(operation.path, {})
            methods[operation.method] = _operation(operation, spec, security)
    headers = {**_HEADERS, **_RATE_HEADERS} if _has_limits(spec) else _HEADERS
    components: dict[str, Any] = {"schemas": _schemas(spec, described), "headers": headers}
    if security.schemes:
        components["securitySchemes"] = dict(security.schemes)
    # A copy, because users change the documents of their apps, and parts of it stand in tables of ours.
    return deepcopy(
        {
            "openapi": "3.1.0",
            "info": _info(spec),
            "tags": _TAGS,
            "paths": described,
            "components": components,
        }
    )


def joined(ours: dict[str, Any], users: dict[str, Any]) -> dict[str, Any]:
    """Return our document with the paths and components of routes that the user has added to the app."""
    if not users.get("paths"):
        return ours
    components: dict[str, Any] = {**ours["components"]}
    for kind, named in users.get("components", {}).items():
        components[kind] = {**named, **components.get(kind, {})}
    return {
        **ours,
        "paths": {**users["paths"], **ours["paths"]},
        "components": components,
    }


def _operation(operation: Operation, spec: DockSpec, security: Security) -> dict[str, Any]:
    described = operation.describe(spec)
    errors = operation.errors
    if spec.streaming.connection.holds_runs:
        errors = (*errors, *operation.held_errors)
    if security.schemes and (operation.protected or operation.path in security.also):
        described["security"] = [{name: []} for name in security.schemes]
        errors = (*errors, *security.errors)
    if operation.protected and operation.counted and _has_limits(spec):
        errors = (*errors, RateLimitError)
    responses: dict[str, Any] = {
        **described["responses"],
        **failures(errors, schema=operation.error_schema),
    }
    for response in responses.values():
        request_id = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
        response["headers"] = {**response.get("headers", {}), **request_id}
    return {**described, "responses": responses}


def _has_limits(spec: DockSpec) -> bool:
    return spec.auth is not None and bool(spec.auth.rate_limits)


def _info(spec: DockSpec) -> dict[str, Any]:
    info = {"title": spec.agent.name, "version": spec.metadata.version or VERSION}
    if spec.agent.description:
        info["description"] = spec.agent.description
    return info


def _schemas(spec: DockSpec, paths: dict[str, Any]) -> dict[str, Any]:
    """Return the agent's schemas, and those of ours that something refers to."""
    ours = {
        **ERROR_SCHEMAS,
        **event_schemas(spec),
        **run_schemas(spec),
        **PROTOCOL_SCHEMAS,
        "RunMetadata": RUN_METADATA,
    }
    schemas = agent_schemas(spec)
    wanted = _references([paths, schemas[agent_names(spec).invoke_response]])
    while new := wanted & ours.keys() - schemas.keys():
        schemas |= {name: ours[name] for name in ours if name in new}
        wanted = _references([ours[name] for name in new])
    return schemas


def _references(node: Any) -> set[str]:
    if is_list(node):
        return set[str]().union(*map(_references, node))
    if not is_mapping(node):
        return set()
    found = set[str]().union(*map(_references, node.values()))
    target = node.get("$ref")
    if isinstance(target, str) and target.startswith(SCHEMAS_AT):
        found.add(target.removeprefix(SCHEMAS_AT))
    return found
