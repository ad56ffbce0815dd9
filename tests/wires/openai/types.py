"""The types of OpenAI's own package, strictly: what fits them, and has no field that they do not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

CHUNK: TypeAdapter[Any] = TypeAdapter(ChatCompletionChunk)
COMPLETION: TypeAdapter[Any] = TypeAdapter(ChatCompletion)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
MODEL: TypeAdapter[Any] = TypeAdapter(Model)
RESPONSE: TypeAdapter[Any] = TypeAdapter(Response)
# Fields of a response that the API has and the package's types lack.
UNTYPED = {"frequency_penalty", "presence_penalty", "store"}


def unknown(value: Any, at: str = "") -> Iterator[str]:
    """Name the fields that the types do not have."""
    match value:
        case BaseModel():
            for name in value.model_extra or {}:
                if not (isinstance(value, Response) and name in UNTYPED):
                    yield f"{at}.{name}"
            for name in type(value).model_fields:
                yield from unknown(getattr(value, name), f"{at}.{name}")
        case list():
            for number, one in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                yield from unknown(one, f"{at}[{number}]")
        case _:
            return


def check(kind: TypeAdapter[Any], data: str) -> Any:
    read = kind.validate_json(data, strict=True)
    strange = list(unknown(read))
    assert not strange, strange
    return read


def with_a_code_of_theirs(response: dict[str, Any]) -> dict[str, Any]:
    """Take out the one thing that is ours: the codes of `error`, of which theirs is a closed list."""
    if response["error"] is None:
        return response
    return {**response, "error": {**response["error"], "code": "server_error"}}
