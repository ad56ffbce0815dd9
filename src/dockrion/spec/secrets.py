"""The `secrets` section: the variables that the agent needs; their values are never in here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from dockrion.spec.fields import matching, refuse_duplicates, secret, text
from dockrion.spec.section import Section


class SecretSpec(Section):
    name: Annotated[
        str,
        matching(
            "[A-Z_][A-Z0-9_]*", "upper-case letters, digits and underscores, with no digit first"
        ),
    ] = Field(description="Name of the variable.")
    description: Annotated[str, text(blank=True)] | None = Field(
        default=None, description="What the secret is for."
    )
    default: Annotated[str, secret(text(blank=True))] | None = Field(
        default=None, repr=False, description="Value where the environment has none."
    )


class SecretsSpec(Section):
    required: tuple[SecretSpec, ...] = Field(
        default=(), description="Without these nothing starts."
    )
    optional: tuple[SecretSpec, ...] = Field(
        default=(), validate_default=True, description="Good to have."
    )

    @field_validator("required", "optional", mode="after")
    @classmethod
    def _names_are_unique(
        cls, secrets: tuple[SecretSpec, ...], info: ValidationInfo
    ) -> tuple[SecretSpec, ...]:
        required: tuple[SecretSpec, ...] = info.data.get("required", ())
        refuse_duplicates(
            [secret.name for secret in secrets], "name", taken=[secret.name for secret in required]
        )
        return secrets

    @property
    def declared(self) -> tuple[SecretSpec, ...]:
        return self.required + self.optional
