"""LangChain: any Runnable as an agent."""

from __future__ import annotations

from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from dockrion.adapters.base import refuse_answers
from dockrion.adapters.callbacks import FrameworkEvents
from dockrion.adapters.objects import Closer, run_config
from dockrion.adapters.shapes import Shapes
from dockrion.adapters.tools import gate_tools
from dockrion.errors import InvalidAgentError
from dockrion.events.context import StreamContext
from dockrion.events.model import Token
from dockrion.events.tools import ToolFilter


class RunnableAgent:
    """A Runnable, run with `astream` on the event loop; its sync parts run in worker threads.

    Tokens are those of its models. Where none has any, and none is tagged `nostream`, the text that the Runnable
    itself streams is.
    """

    framework = "langchain"
    in_thread = False
    gates_tools = True

    def __init__(
        self,
        runnable: Runnable[Any, Any],
        *,
        name: str,
        shapes: Shapes,
        closer: Closer | None = None,
        tools: ToolFilter | None = None,
    ) -> None:
        self._runnable = runnable
        self._name = name
        self._shapes = shapes
        self._closer = closer
        self._ungate = None if tools is None else gate_tools(tools)

    @classmethod
    async def load(
        cls,
        runnable: Any,
        *,
        name: str,
        shapes: Shapes,
        closer: Closer | None = None,
        tools: ToolFilter | None = None,
    ) -> RunnableAgent:
        """Take what the entrypoint gave; raise `InvalidAgentError` when that is no Runnable."""
        if not isinstance(runnable, Runnable):
            raise InvalidAgentError(
                f"agent.entrypoint: {name} must give a LangChain Runnable, "
                f"got an object of {type(runnable).__name__}"
            )
        return cls(
            cast("Runnable[Any, Any]", runnable),
            name=name,
            shapes=shapes,
            closer=closer,
            tools=tools,
        )

    async def call(self, payload: Any, context: StreamContext, *, streams: bool) -> Any:  # noqa: ARG002
        refuse_answers(payload)
        outbox = context.outbox
        config = run_config(context)
        # The name that `RunnableWithMessageHistory` has for the conversation.
        config["configurable"]["session_id"] = context.thread_id
        handler = None if outbox is None else FrameworkEvents(context, outbox)
        if handler is not None:
            config["callbacks"] = [handler]
        whole: Any = None
        try:
            async for piece in self._runnable.astream(self._input(payload), cast("Any", config)):
                # As LangChain puts them together. Here and not in a function, so that text grows in its place.
                try:
                    whole = piece if whole is None else whole + piece
                except TypeError:
                    whole = piece
                if outbox is not None and handler is not None and not handler.has_models_text:
                    text = _text(piece)
                    if text:
                        outbox.put(Token(text), len(text))
                    if outbox.turn_due:
                        await outbox.turn()
        finally:
            if handler is not None:
                handler.release()
        return self._shapes.output_of_text(whole) if isinstance(whole, str) else whole

    def _input(self, payload: Any) -> Any:
        key = self._shapes.input_key
        fields: Any = payload
        alone = key is not None and isinstance(payload, dict) and list(fields) == [key]
        return fields[key] if alone else fields

    def describe(self) -> dict[str, Any]:
        return {
            "type": "entrypoint",
            "entrypoint": self._name,
            "class": type(self._runnable).__name__,
            "streaming": True,
        }

    async def close(self) -> None:
        if self._ungate is not None:
            self._ungate()
        if self._closer is not None:
            await self._closer()


def _text(piece: Any) -> str:
    if isinstance(piece, BaseMessage):
        return piece.content if isinstance(piece.content, str) else ""
    return str.__str__(piece) if isinstance(piece, str) else ""
