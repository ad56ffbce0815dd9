"""The `expose` section: what the server offers, where, and within which limits."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from dockrion.spec.fields import (
    anything,
    broken_rule,
    checked_text,
    flag,
    is_list,
    matching,
    one_of,
    positive,
    text,
    whole,
)
from dockrion.spec.section import Section

MIB: Final = 1 << 20

PROTOCOLS: Final = ("openai", "ag-ui", "ai-sdk", "a2a", "mcp")
TRANSPORTS: Final = ("sse", "websocket")

Transport = Literal["sse", "websocket"]
Text = Annotated[str, text()]


def _is_streaming(value: Any) -> bool:
    if is_list(value):
        return all(item in TRANSPORTS for item in value)
    return value == "none" or value in TRANSPORTS


Streaming = Annotated[
    tuple[Transport, ...],
    anything(
        "sse, websocket, none, or a list of sse and websocket",
        _is_streaming,
        {
            "anyOf": [
                {"type": "string", "enum": [*TRANSPORTS, "none"]},
                {"type": "array", "items": {"type": "string", "enum": list(TRANSPORTS)}},
            ]
        },
    ),
]


def _complain_of_origin(value: str) -> str | None:
    if value == "*" or "*" not in value:
        return None
    return "must be * alone, or one origin such as https://app.example.com, without a * in it"


class CorsSpec(Section):
    origins: tuple[Annotated[str, checked_text(_complain_of_origin)], ...] = Field(
        default=("*",), description="Origins that may call; * is all."
    )
    methods: tuple[Text, ...] = Field(default=("*",), description="HTTP methods; * is all.")
    headers: tuple[Text, ...] = Field(default=("*",), description="Request headers; * is all.")
    credentials: Annotated[bool, flag()] = Field(
        default=False, validate_default=True, description="Whether browsers may send credentials."
    )

    @field_validator("credentials", mode="after")
    @classmethod
    def _credentials_need_named_origins(cls, credentials: bool, info: ValidationInfo) -> bool:
        if credentials is True and "*" in info.data.get("origins", ()):
            raise broken_rule("cannot be true while `origins` has *; name the origins")
        return credentials


class LimitsSpec(Section):
    max_body_bytes: Annotated[int, whole()] = Field(
        default=10 * MIB, description="Bytes of a request body; over it: 413."
    )
    max_concurrency: Annotated[int, whole(0)] = Field(
        default=0, description="Runs at once in this process, 0 is unlimited; the next ones queue."
    )
    max_queue: Annotated[int, whole()] = Field(
        default=1000, description="Runs that wait for their turn; past it: 503."
    )
    threads: Annotated[int, whole()] = Field(
        default=512, description="Worker threads for sync agents, nodes and tools."
    )
    write_timeout: Annotated[float, positive()] = Field(
        default=60, description="Seconds after which a caller that takes nothing counts as gone."
    )
    max_output_bytes: Annotated[int, whole()] = Field(
        default=10 * MIB, description="Bytes of one output; past it the output is cut."
    )
    block_warning_ms: Annotated[float, positive()] = Field(
        default=100,
        description="Milliseconds for which agent code may block the event loop unlogged.",
    )


class ChatSpec(Section):
    input: Text | None = Field(
        default=None, description="Property of the payload that takes the user's text."
    )
    output: Text | None = Field(
        default=None, description="Property of the output that is the reply."
    )


class ExposeSpec(Section):
    rest: Annotated[bool, flag()] = Field(default=True, description="Registers POST /invoke.")
    protocols: tuple[Annotated[str, one_of(*PROTOCOLS)], ...] = Field(
        default=(), description="Other protocols that serve the agent."
    )
    streaming: Streaming = Field(
        default="sse",
        validate_default=True,
        description="sse registers POST /invoke/stream, websocket GET /invoke/ws.",
    )
    port: Annotated[int, whole(1, 65535)] = Field(default=8080, description="TCP port.")
    host: Text = Field(default="0.0.0.0", description="Address to listen on.")  # noqa: S104
    cors: CorsSpec = Field(
        default={}, validate_default=True, description="Which pages in browsers may call."
    )
    limits: LimitsSpec = Field(
        default={}, validate_default=True, description="Bounds of bodies, queues, threads, outputs."
    )
    shutdown_grace: Annotated[float, positive()] = Field(
        default=30, description="Seconds that streams in flight get after SIGTERM."
    )
    root_path: (
        Annotated[
            str,
            matching(r"(?:/[^/\s?#]+)+", "a path such as /agents/echo, without a slash at its end"),
        ]
        | None
    ) = Field(default=None, description="Prefix under which a proxy serves the app.")
    chat: ChatSpec | None = Field(
        default=None,
        description="Which properties chat protocols use; found by itself when absent.",
    )
    error_details: Annotated[bool, flag()] = Field(
        default=True, description="Whether callers see class and message of what the agent raised."
    )

    @field_validator("protocols", mode="after")
    @classmethod
    def _each_protocol_once(cls, protocols: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(protocols))

    @field_validator("streaming", mode="after")
    @classmethod
    def _as_tuple(cls, value: Any, info: ValidationInfo) -> tuple[Transport, ...]:
        given: Any = (value,) if isinstance(value, str) else value
        streaming: tuple[Transport, ...] = tuple(dict.fromkeys(t for t in given if t != "none"))
        nothing_else = info.data.get("rest") is False and info.data.get("protocols") == ()
        if nothing_else and not streaming:
            raise broken_rule(
                "nothing is exposed: `rest` is false, `streaming` is none, and there is no protocol",
                at="",
            )
        return streaming

    @property
    def sse(self) -> bool:
        return "sse" in self.streaming

    @property
    def websocket(self) -> bool:
        return "websocket" in self.streaming
