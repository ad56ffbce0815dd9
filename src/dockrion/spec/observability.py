"""The `observability` section: logs, metrics, traces."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from dockrion.spec.fields import flag, one_of, secret, text, url
from dockrion.spec.section import Section

LOG_LEVELS: Final = ("debug", "info", "warn", "error")

LogLevel = Literal["debug", "info", "warn", "error"]
Credential = Annotated[str, secret(text())]
Url = Annotated[str, url("https", "http")]


class MetricsSpec(Section):
    latency: Annotated[bool, flag()] = Field(default=True, description="Requests' latency.")
    tokens: Annotated[bool, flag()] = Field(default=True, description="Tokens of models.")
    cost: Annotated[bool, flag()] = Field(default=True, description="Cost of models.")


class LangfuseSpec(Section):
    public_key: Credential = Field(repr=False, description="Public key of the project.")
    secret_key: Credential = Field(repr=False, description="Secret key of the project.")
    host: Url = Field(default="https://cloud.langfuse.com", description="Where Langfuse is.")


class OtlpSpec(Section):
    endpoint: Url | None = Field(
        default=None, description="Where traces go; OTEL_EXPORTER_OTLP_ENDPOINT when absent."
    )
    headers: dict[str, Credential] = Field(
        default={}, repr=False, description="Headers that go with them."
    )


class ObservabilitySpec(Section):
    log_level: Annotated[LogLevel, one_of(*LOG_LEVELS)] = Field(
        default="info", description="Least level that is logged; LOG_LEVEL in the environment wins."
    )
    tracing: Annotated[bool, flag()] = Field(default=True, description="Whether runs are traced.")
    metrics: MetricsSpec = Field(
        default={}, validate_default=True, description="Families of /metrics."
    )
    langfuse: LangfuseSpec | None = Field(default=None, description="Traces to Langfuse.")
    otlp: OtlpSpec | None = Field(
        default=None, description="Traces to any OpenTelemetry collector."
    )
