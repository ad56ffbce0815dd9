"""Semantic conventions of generative AI (v0.1.0, https://github.com/open-telemetry/semantic-conventions-genai).

What prompts, outputs, arguments and results say is not recorded. Attributes of our own begin with `dockrion.`; one is
of neither: `gen_ai.usage.cost`, which the conventions do not have, and Langfuse and others read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dockrion.telemetry.base import Attributes, Shared, Usage

RUN_ID: Final = "dockrion.run.id"
REQUEST_ID: Final = "dockrion.request.id"
STATUS: Final = "dockrion.run.status"
# What a reader finds a run by, and in no log line redacted.
IDS: Final = frozenset(
    {
        REQUEST_ID,
        RUN_ID,
        "gen_ai.conversation.id",
        "gen_ai.response.id",
        "gen_ai.tool.call.id",
        "session.id",
    }
)

# Where LangChain's names of providers (`ls_provider`) are not those of the conventions.
_PROVIDERS: Final[Mapping[str, str]] = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}


def agent_attributes(agent: str, *, framework: str, version: str | None) -> Shared:
    return Shared(
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": agent,
            "gen_ai.agent.version": version,
            "dockrion.framework": framework,
        }
    )


def run_attributes(run_id: str, *, thread_id: str, attempt: int) -> Attributes:
    return {
        "gen_ai.conversation.id": thread_id,
        RUN_ID: run_id,
        "dockrion.run.attempt": attempt if attempt > 1 else None,
    }


def langfuse_attributes(agent: str, *, session: str, user: str | None) -> Attributes:
    """What Langfuse shows of a trace (https://langfuse.com/integrations/native/opentelemetry)."""
    return {"langfuse.trace.name": agent, "session.id": session, "user.id": user}


def model_attributes(
    operation: str, *, model: str | None, provider: str | None, asked: Mapping[str, Any]
) -> Attributes:
    """`asked` are the parameters of the call, under the names that LangChain has for them."""
    given = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider) if provider else "_OTHER",
        "gen_ai.request.model": model,
        "gen_ai.request.temperature": _number(asked.get("temperature")),
        "gen_ai.request.max_tokens": _number(asked.get("max_tokens")),
        "gen_ai.request.top_p": _number(asked.get("top_p")),
        "gen_ai.request.stream": True if asked.get("stream") is True else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def tool_attributes(tool: str, call_id: str | None) -> Attributes:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": call_id,
    }


def node_attributes(node: str) -> Attributes:
    """Of a node of a graph, which the conventions do not have."""
    return {"dockrion.node.name": node}


def usage_attributes(usage: Usage) -> Attributes:
    return {
        "gen_ai.usage.input_tokens": usage.input or None,
        "gen_ai.usage.output_tokens": usage.output or None,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read or None,
        "gen_ai.usage.cache_write.input_tokens": usage.cache_write or None,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning or None,
        "gen_ai.usage.cost": usage.cost or None,
    }


def _number(value: Any) -> float | int | None:
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_one else None
