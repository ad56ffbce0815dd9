"""The `agent` section: what serves the requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from dockrion.spec.fields import broken_rule, checked_text, matching, target, text
from dockrion.spec.frameworks import complaint_about_framework
from dockrion.spec.section import Section

_NAME = "[a-z][a-z0-9-]*"
_NAME_SAYS = "lower-case letters, digits and hyphens, with a letter first"


class AgentSpec(Section):
    name: Annotated[str, matching(_NAME, _NAME_SAYS)] = Field(description="The agent's name.")
    handler: Annotated[str, target()] | None = Field(
        default=None, description="module.path:callable, called for each request."
    )
    entrypoint: Annotated[str, target()] | None = Field(
        default=None,
        description="module.path:name, a factory that is called once at start, or the object itself.",
    )
    framework: Annotated[str, checked_text(complaint_about_framework)] = Field(
        default=None,
        validate_default=True,
        description="langgraph, langchain, custom, or the name of an installed adapter.",
    )
    description: Annotated[str, text(blank=True)] | None = Field(
        default=None, description="What the agent does."
    )

    @field_validator("framework", mode="before")
    @classmethod
    def _needs_something_to_serve(cls, value: object, info: ValidationInfo) -> object:
        valid = info.data
        if "handler" not in valid or "entrypoint" not in valid:
            return value if value is not None else "custom"
        if valid["handler"] is None and valid["entrypoint"] is None:
            raise broken_rule("one of `handler`, `entrypoint` must be given", at="")
        if value is not None:
            return value
        if valid["handler"] is None:
            raise broken_rule("is required where `entrypoint` stands without a `handler`")
        return "custom"
