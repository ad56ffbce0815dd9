"""Strict JSON from any Python value: the only place that decides what an object becomes."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import re
from collections import UserString, deque
from collections.abc import Mapping
from collections.abc import Sequence as AbstractSequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Final, cast

import msgspec

# What Python code can walk through on any interpreter, in three frames a level.
MAX_DEPTH: Final = 150
TOO_DEEP: Final = "<nested too deep>"
CYCLE: Final = "<cycle>"


def encode(value: Any) -> bytes:
    """Return strict JSON in UTF-8; what a value holds never makes it raise.

    NaN and infinities become null, lone surrogates U+FFFD, a cycle `"<cycle>"`, bytes base64, sets and other
    sequences arrays, mappings and pydantic models objects; numbers that nobody can read back, and what is
    left, become their `str`.
    """
    try:
        data = _encoder.encode(value)
        _check_decimals(data)
    except Exception:  # objects of agents may raise anything; the careful way answers
        return _encode_carefully(value)
    return data


def encode_text(text: str) -> bytes:
    """Return `text` as a JSON string. The hot path of tokens."""
    try:
        return _encoder.encode(text)
    except UnicodeEncodeError:
        return _encoder.encode(well_formed(text))


def encode_texts(texts: AbstractSequence[str]) -> list[bytes]:
    """Return each text as `encode_text` does; many at once are cheaper."""
    try:
        return list(map(_encoder.encode, texts))
    except UnicodeEncodeError:
        return list(map(encode_text, texts))


def plain(value: Any) -> Any:
    """Return a copy of `value` in `dict`, `list`, `str`, `int`, `float`, `bool` and `None` only.

    It is at most `MAX_DEPTH` deep, so that it can be walked through and encoded again anywhere.
    """
    return plain_and_size(value)[0]


def plain_and_size(value: Any) -> tuple[Any, int]:
    """Return what `plain` returns, and how many bytes of JSON that is."""
    data = encode(value)
    if not _is_too_deep(data):
        # A decimal of hundreds of digits and a fraction is JSON, and still more than a float holds.
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(data), len(data)
    data = _encode_carefully(value)
    return msgspec.json.decode(data), len(data)


def well_formed(text: str) -> str:
    """Replace lone surrogates by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _check_decimals(data: bytes) -> None:
    """Raise where a decimal made what is no JSON, as a key or as NaN, or what no float holds.

    The encoder writes decimals, and only them, as their text; an exponent is large only after `E+`.
    """
    _skim(data)
    if b"E+" in data:
        msgspec.json.decode(data)


def _is_too_deep(data: bytes) -> bool:
    if len(data) <= 2 * MAX_DEPTH or data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    # In text, too, brackets mostly come in pairs; where they do not, the text is taken out, which is slow.
    return not _closes(data) and not _closes(_STRING.sub(b"", data))


def _closes(data: bytes) -> bool:
    """Whether all brackets are gone when the innermost pairs have been taken out, `MAX_DEPTH` times."""
    brackets = data.translate(None, delete=_NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        before = len(brackets)
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(brackets) == before:
            break
    return not brackets


_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _foreign(value: Any) -> Any:
    """What the encoder does not know: other packages' objects, and subclasses of what it does know."""
    known = _of_known_kind(value)
    if known is not _UNKNOWN:
        return known
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump()
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    # numpy arrays and scalars, without importing numpy
    to_list = getattr(value, "tolist", None)
    if callable(to_list) and hasattr(value, "dtype"):
        return to_list()
    if isinstance(value, AbstractSequence | AbstractSet | deque) and not isinstance(value, range):
        return list(cast("AbstractSequence[Any]", value))
    return _text_of(value)


_UNKNOWN: Final = object()


def _of_known_kind(value: Any) -> Any:
    """Return the plain value of a built-in kind, or of a subclass of one, as the encoder writes it."""
    match value:
        case UserString():
            return value.data
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case float():
            return float(value)
        case bytes() | bytearray():
            return bytes(value)
        case memoryview():
            return cast("memoryview[int]", value).tobytes()
        case decimal.Decimal():
            return decimal.Decimal(value)
        case datetime.datetime():
            return datetime.datetime.fromisoformat(value.isoformat())
        case datetime.date():
            return datetime.date(value.year, value.month, value.day)
        case datetime.time():
            return datetime.time.fromisoformat(value.isoformat())
        case datetime.timedelta():
            return datetime.timedelta(value.days, value.seconds, value.microseconds)
        case _:
            return _UNKNOWN


def _text_of(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # `__str__` of an agent's object
        return f"<{type(value).__name__}>"


def _encode_carefully(value: Any) -> bytes:
    return _encoder.encode(_careful(value, set(), 0))


def _careful(value: Any, parents: set[int], depth: int) -> Any:
    """Walk in Python, for values that the C encoder refuses: cycles, lone surrogates, odd numbers."""
    match value:
        case None | bool():
            return value
        case enum.Enum():
            return _careful(value.value, parents, depth)
        case str() | UserString():
            return well_formed(str(value))
        case float():
            return float(value) if math.isfinite(value) else None
        case decimal.Decimal():
            return _number(decimal.Decimal(value)) if value.is_finite() else None
        case int():
            return _number(int(value))
        case _:
            known = _of_known_kind(value)
            if known is not _UNKNOWN:
                return known
    if id(value) in parents:
        return CYCLE
    if depth >= MAX_DEPTH:
        return TOO_DEEP
    parents.add(id(value))
    try:
        return _careful_container(value, parents, depth + 1)
    except RecursionError:  # the agent's own code is deep down itself
        return TOO_DEEP
    except Exception:  # `model_dump` or `__getitem__` of an agent's object
        return _text_of(value)
    finally:
        parents.discard(id(value))


def _number(value: int | decimal.Decimal) -> int | decimal.Decimal | str:
    """Return it where it can be written as a number and read back, else its text."""
    try:
        msgspec.json.decode(str(value))
    except (msgspec.MsgspecError, ValueError):
        # The text of an integer is limited to some thousand digits, that of a decimal is not.
        return str(decimal.Decimal(value))
    return value


def _careful_container(value: Any, parents: set[int], depth: int) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return {
            well_formed(_text_of(key)): _careful(item, parents, depth)
            for key, item in items.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        sequence = cast("list[Any]", value)
        return [_careful(item, parents, depth) for item in sequence]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _careful(fields, parents, depth)
    if isinstance(value, msgspec.Struct):
        return _careful(msgspec.structs.asdict(value), parents, depth)
    return _careful(_foreign(value), parents, depth)


_encoder: Final = msgspec.json.Encoder(enc_hook=_foreign, decimal_format="number")
_skim: Final = msgspec.json.Decoder(msgspec.Raw).decode
