"""What an adapter of a framework is told of the Dockfile beside `agent`."""

from __future__ import annotations

from typing import Any

import msgspec

from dockrion.spec.dockspec import DockSpec
from dockrion.spec.io_schema import properties_of, text_key


class Shapes(msgspec.Struct, frozen=True, kw_only=True):
    """How payloads and outputs look, and whose tokens are wanted.

    `input_key` is the one property of the input schema, if it has just one; `output_keys` are the properties
    of the output schema; `text_key` is where text goes that is the whole output, none when it stands alone.
    `nodes` are the graph nodes whose tokens are sent, none: all.
    """

    input_key: str | None = None
    output_keys: tuple[str, ...] = ()
    text_key: str | None = "content"
    nodes: frozenset[str] | None = None

    def output_of_text(self, text: str) -> Any:
        """Return the output that is nothing but `text`, where joined tokens go."""
        return text if self.text_key is None else {self.text_key: text}


def shapes_of(spec: DockSpec) -> Shapes:
    inputs = properties_of(spec.io_schema.input)
    output = spec.io_schema.output
    nodes = spec.streaming.events.nodes
    return Shapes(
        input_key=next(iter(inputs)) if len(inputs) == 1 else None,
        output_keys=tuple(properties_of(output)),
        text_key=None
        if output is not None and output.get("type") == "string"
        else text_key(output),
        nodes=None if nodes is None else frozenset(nodes),
    )
