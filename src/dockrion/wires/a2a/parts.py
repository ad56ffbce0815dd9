"""What a message of A2A holds: texts, data and files, in the words of 1.0 and of 0.3."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any, Final, cast

import msgspec

from dockrion.events.jsonable import encode
from dockrion.wires.a2a.fields import object_of, optional_text_of, text_of
from dockrion.wires.a2a.rpc import Kind, RefusedError
from dockrion.wires.chat import Message, kind_of, wrong

_USERS: Final = frozenset({"user", "ROLE_USER", 1})


class Part(msgspec.Struct, frozen=True):
    """`kind`: text, data, url or raw (base64)."""

    kind: str
    value: Any
    media_type: str | None = None
    filename: str | None = None

    def in_chats(self) -> Message:
        """Return it with the names that agents know from chats."""
        if self.kind == "text":
            return {"type": "text", "text": self.value}
        if self.kind == "data":
            return {"type": "text", "text": encode(self.value).decode()}
        kind = self.media_type or "application/octet-stream"
        url = self.value if self.kind == "url" else f"data:{kind};base64,{self.value}"
        if kind.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": url}}
        named = {} if self.filename is None else {"filename": self.filename}
        where = "file_url" if self.kind == "url" else "file_data"
        return {"type": "file", "file": {**named, where: url}}


def parts_of(message: dict[str, Any]) -> list[Part]:
    """Read the parts of a user's message; raise `ValidationError`, also for what is no such message."""
    text_of(message, "messageId", "message")
    role: Any = message.get("role")
    # A number is how Protocol Buffers may write it, and true is none.
    if not isinstance(role, str | int) or isinstance(role, bool) or role not in _USERS:
        raise wrong("message.role", "must be that of the user (`ROLE_USER`; `user` in 0.3)")
    parts: Any = message.get("parts")
    if not isinstance(parts, list) or not parts:
        raise wrong("message.parts", f"must be a list with at least one part, got {kind_of(parts)}")
    return [_part(part, number) for number, part in enumerate(cast("list[Any]", parts))]


def _part(part: Any, number: int) -> Part:
    text = cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else None
    # Before all else, since there may be very many.
    if isinstance(text, str):
        return Part("text", text)
    return _other_part(part, f"message.parts[{number}]")


def _other_part(part: Any, at: str) -> Part:
    match part:
        case {"data": value}:
            return Part("data", _unwrapped(value, cast("dict[str, Any]", part).get("metadata")))
        case {"kind": "file", "file": dict()}:
            return _file(
                object_of(cast("dict[str, Any]", part), "file"),
                f"{at}.file",
                ("uri", "bytes"),
                "mimeType",
            )
        case {"url": str()} | {"raw": str()}:
            return _file(cast("dict[str, Any]", part), at, ("url", "raw"), "mediaType")
        case _:
            raise wrong(at, "must have one of `text`, `data`, `url`, `raw` (0.3: `file`)")


def _file(file: dict[str, Any], at: str, names: tuple[str, str], type_name: str) -> Part:
    media_type = optional_text_of(file, type_name, at)
    filename = optional_text_of(file, "filename" if type_name == "mediaType" else "name", at)
    url, raw = file.get(names[0]), file.get(names[1])
    if isinstance(url, str):
        return Part("url", url, media_type, filename)
    if not isinstance(raw, str):
        raise wrong(at, f"must have `{names[0]}` or `{names[1]}`")
    try:
        b64decode(raw, validate=True)
    except (Base64Error, ValueError):
        raise wrong(f"{at}.{names[1]}", "must be Base64") from None
    return Part("raw", raw, media_type, filename)


def _unwrapped(value: Any, metadata: Any) -> Any:
    """Return data of 0.3 that was no object before a client that knows both has made it one."""
    match metadata, value:
        case {"data_part_compat": True}, {"value": inner}:
            return inner
        case _:
            return value


def answer_in(parts: list[Part]) -> Any:
    """Return what answers a question; raise `RefusedError` for files."""
    match parts:
        case [Part(kind="data", value=value)]:
            return value
        case _ if all(part.kind == "text" for part in parts):
            return "".join(part.value for part in parts)
        case _:
            says = "message.parts: an answer is texts, or one part with `data`"
            raise RefusedError(Kind.CONTENT_TYPE, says)
