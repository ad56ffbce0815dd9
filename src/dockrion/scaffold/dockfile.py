"""The text of a new Dockfile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from dockrion.scaffold.sections import (
    as_yaml,
    auth_section,
    secrets_section,
    streaming_section,
)
from dockrion.spec.expose import PROTOCOLS

# What a Dockfile names in a module of the agent, by framework.
OBJECTS: Final = {"langgraph": "graph", "langchain": "chain", "custom": "handle"}
DEFAULT_SECRET: Final = "OPENAI_API_KEY"  # noqa: S105


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the author of a new project asked for; the values are valid ones.

    `offers_protocols` names in a comment what could be in `protocols`, where nothing is.

    `is_ours` says that the agent is one of ours: then what goes in and what comes out is known.
    """

    name: str
    framework: str
    target: str
    kind: Literal["handler", "entrypoint"]
    is_ours: bool = True
    streaming: str | tuple[str, ...] = "sse"
    protocols: tuple[str, ...] = ()
    offers_protocols: bool = False
    events: str | tuple[str, ...] | None = None
    async_runs: bool = False
    backend: str = "memory"
    auth: str | None = None
    secrets: tuple[str, ...] = ()
    cors: bool = False
    observability: bool = False
    metadata: bool = False
    policies: bool = False
    build: bool = False


def dockfile_text(choices: Choices) -> str:
    return "\n".join(_sections(choices))


def _sections(choices: Choices) -> Iterator[str]:
    yield _HEAD
    yield _agent(choices)
    yield _IO_SCHEMA if choices.is_ours else _ANY_SCHEMA
    yield _expose(choices)
    streams = choices.events is not None or choices.async_runs or choices.backend != "memory"
    if streams:
        yield streaming_section(
            backend=choices.backend, events=choices.events, async_runs=choices.async_runs
        )
    if choices.auth is not None:
        yield auth_section(choices.auth)
    if choices.policies:
        yield _POLICIES
    if choices.secrets:
        yield secrets_section(choices.secrets)
    if choices.observability:
        yield _OBSERVABILITY
    if choices.build:
        yield _BUILD
    if choices.metadata:
        yield _metadata(choices)


_HEAD: Final = """\
# The agent, and how it is served. `dockrion validate` checks this file, `dockrion add` adds sections to it.
version: "1.0"
"""

_IO_SCHEMA: Final = """\
io_schema: # JSON Schema; what does not fit `input` is refused with 400
  input:
    type: object
    properties:
      query:
        type: string
        minLength: 1
        examples: ["Why is the sky blue?"]
    required: [query]
  output:
    type: object
    properties:
      answer: {type: string}
    required: [answer]
"""

_ANY_SCHEMA: Final = """\
# Any JSON passes. `dockrion inspect -p '<a payload>' --generate-schema` prints a schema that fits your agent.
io_schema: {}
"""

_POLICIES: Final = """\
policies:
  safety:
    block_prompt_injection: true
    redact_patterns: [] # regular expressions; what they match never leaves
    max_output_chars: 20000
"""

_OBSERVABILITY: Final = """\
observability:
  log_level: info # debug, info, warn, error; LOG_LEVEL in the environment wins
  metrics: # of GET /metrics
    latency: true
    tokens: true
"""

_BUILD: Final = """\
build:
  include: # beside the agent's own module or package
    directories: []
    files: []
  exclude: [tests/] # as in .gitignore
"""


def _agent(choices: Choices) -> str:
    where = "called for each request" if choices.kind == "handler" else "loaded once at start"
    return f"""\
agent:
  name: {as_yaml(choices.name)}
  {choices.kind}: {choices.target} # module:name, from this folder; {where}
  framework: {as_yaml(choices.framework)}
"""


def _expose(choices: Choices) -> str:
    shown = as_yaml(choices.streaming)
    text = f"""\
expose:
  rest: true # POST /invoke
  streaming: {shown} # sse: POST /invoke/stream; websocket: GET /invoke/ws
{_protocols(choices)}  port: 8080
"""
    if choices.cors:
        text += """\
  cors: # which pages in browsers may call
    origins: ["*"] # or yours alone: [https://app.example.com]
    methods: ["*"]
    headers: ["*"]
    credentials: false
"""
    return text


def _protocols(choices: Choices) -> str:
    if choices.protocols:
        return (
            f"  protocols: [{', '.join(choices.protocols)}] # the same agent for clients of these\n"
        )
    if choices.offers_protocols:
        return f"  # protocols: [{', '.join(PROTOCOLS)}] # the same agent for clients of these\n"
    return ""


def _metadata(choices: Choices) -> str:
    return f"""\
metadata:
  maintainer: you@example.com
  version: 0.1.0
  tags: [{as_yaml(choices.framework)}]
"""
