"""Which of dockrion's extras a Dockfile asks for, wherever its agent is to run."""

from __future__ import annotations

from dockrion.spec.dockspec import DockSpec


def extras_of(spec: DockSpec) -> list[str]:
    telemetry = spec.observability
    mode = None if spec.auth is None else spec.auth.mode
    is_traced = telemetry.langfuse is not None or telemetry.otlp is not None
    needed = {
        "jwt": mode == "jwt",
        "langchain": spec.agent.framework == "langchain",
        "langgraph": spec.agent.framework == "langgraph",
        "oauth2": mode == "oauth2",
        "otel": telemetry.tracing and is_traced,
        "redis": spec.streaming.backend == "redis",
    }
    return [extra for extra, is_needed in needed.items() if is_needed]
