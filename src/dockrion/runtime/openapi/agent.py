"""The components that are the agent's own: `<Agent>Input`, `<Agent>Output`, `<Agent>InvokeResponse`."""

from __future__ import annotations

from typing import Any, NamedTuple

from dockrion.runs.schema import with_root_type
from dockrion.spec import DockSpec
from dockrion.spec.schema_walk import moved

SCHEMAS_AT = "#/components/schemas/"


class AgentNames(NamedTuple):
    input: str
    output: str
    invoke_response: str


def agent_names(spec: DockSpec) -> AgentNames:
    agent = "".join(part.capitalize() for part in spec.agent.name.split("-"))
    return AgentNames(f"{agent}Input", f"{agent}Output", f"{agent}InvokeResponse")


def agent_schemas(spec: DockSpec) -> dict[str, Any]:
    names = agent_names(spec)
    said = spec.io_schema
    return {
        names.input: {"description": "Any JSON."}
        if said.input is None
        else moved(with_root_type(said.input), SCHEMAS_AT + names.input),
        names.output: {"type": "object"}
        if said.output is None
        else moved(with_root_type(said.output), SCHEMAS_AT + names.output),
        names.invoke_response: {
            "type": "object",
            "properties": {
                "success": {"const": True},
                "output": reference(names.output),
                "metadata": reference("RunMetadata"),
            },
            "required": ["success", "output", "metadata"],
        },
    }


def reference(name: str) -> dict[str, str]:
    return {"$ref": SCHEMAS_AT + name}
