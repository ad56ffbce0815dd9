"""From a Dockfile to what the runs of its agent obey: what may leave, how long they take, what is said of their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dockrion.policy.outgoing import Outgoing
from dockrion.runs.output import OutputRules
from dockrion.runs.runner import RunLimits
from dockrion.runs.sentence import ErrorSentences
from dockrion.runs.spans import RunTracing
from dockrion.spec import DockSpec
from dockrion.telemetry.base import Tracer


def outgoing_of(spec: DockSpec) -> Outgoing:
    safety = spec.policies.safety
    if safety is None:
        return Outgoing()
    return Outgoing(
        safety.redact_patterns, max_chars=safety.max_output_chars, halt=safety.halt_on_violation
    )


def output_rules(
    spec: DockSpec, outgoing: Outgoing, *, on_returned: Callable[[Any], None] | None = None
) -> OutputRules:
    return OutputRules(
        spec.io_schema.output,
        strict=spec.io_schema.strict,
        max_bytes=spec.expose.limits.max_output_bytes,
        outgoing=outgoing,
        on_returned=on_returned,
    )


def sentences_of(spec: DockSpec, outgoing: Outgoing) -> ErrorSentences:
    return ErrorSentences(
        reveal=spec.expose.error_details, secrets=spec.secret_values, outgoing=outgoing
    )


def limits_of(spec: DockSpec) -> RunLimits:
    return RunLimits(
        max_seconds=_max_seconds(spec),
        max_concurrency=spec.expose.limits.max_concurrency,
        max_queue=spec.expose.limits.max_queue,
    )


def _max_seconds(spec: DockSpec) -> float:
    limit = float(spec.streaming.events.max_run_duration)
    timeout = spec.arguments.get("timeout_sec")
    if isinstance(timeout, int | float) and not isinstance(timeout, bool):
        return min(limit, float(timeout))
    return limit


def run_tracing(spec: DockSpec, tracer: Tracer | None, *, framework: str) -> RunTracing | None:
    if tracer is None:
        return None
    return RunTracing(
        tracer,
        spec.agent.name,
        framework=framework,
        version=spec.metadata.version,
        for_langfuse=spec.observability.langfuse is not None,
    )
