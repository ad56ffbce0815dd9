"""The `io_schema` section: what goes in and what comes out, as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator

from dockrion.spec.fields import anything, bad_values, free_mapping, holds_unresolved
from dockrion.spec.schema_rules import complaints
from dockrion.spec.section import Section

JsonSchema = Annotated[dict[str, Any], free_mapping("a mapping (a JSON Schema)")]
Strict = Annotated[
    bool | Literal["enforce"],
    anything(
        "true, false or enforce",
        lambda v: isinstance(v, bool) or v == "enforce",
        {"enum": [True, False, "enforce"]},
    ),
]


class IoSchemaSpec(Section):
    input: JsonSchema | None = Field(
        default=None, description="JSON Schema of the payload; without it any JSON passes."
    )
    output: JsonSchema | None = Field(default=None, description="JSON Schema of the output.")
    strict: Strict = Field(
        default=True,
        description="true: output that does not fit is marked and logged; enforce: it is an error; false: no check.",
    )

    @field_validator("input", "output", mode="after")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is None or holds_unresolved(schema):
            return schema
        if found := complaints(schema):
            raise bad_values(found)
        return schema


def text_key(schema: Mapping[str, Any] | None) -> str:
    """Return the property that takes joined tokens: the one string property of the schema, else `content`."""
    strings = [
        name
        for name, rule in properties_of(schema).items()
        if isinstance(rule, Mapping) and cast("Mapping[str, Any]", rule).get("type") == "string"
    ]
    return strings[0] if len(strings) == 1 else "content"


def properties_of(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", (schema or {}).get("properties") or {})
