"""Strict JSON from any Python value: the only place that decides what an object becomes."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
from collections import UserString, deque
from collections.abc import Mapping
from collections.abc import Sequence as AbstractSequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, cast

import msgspec

# The C encoder stops at about a thousand levels, the walk in Python takes three frames a level.
MAX_DEPTH: Final = 150
TOO_DEEP: Final = "<nested too deep>"
CYCLE: Final = "<cycle>"


def encode(value: Any) -> bytes:
    """Return strict JSON in UTF-8; what a value holds never makes it raise.

    NaN and infinities become null, lone surrogates U+FFFD, a cycle `"<cycle>"`, bytes base64, sets and other
    sequences arrays, mappings and pydantic models objects; what is left becomes its `str`, or the name of its
    class where it has none (an integer of more digits than Python writes).
    """
    try:
        data = _encoder.encode(value)
    except Exception:  # objects of agents may raise anything; the careful way below answers
        return _encoder.encode(_careful(value, set(), 0))
    # Decimals are written as they stand, and only they can write these words outside a string.
    if b"NaN" in data or b"Infinity" in data:
        return _encoder.encode(_careful(value, set(), 0))
    return data


def encode_text(text: str) -> bytes:
    """Return `text` as a JSON string. The hot path of tokens."""
    try:
        return _encoder.encode(text)
    except UnicodeEncodeError:
        return _encoder.encode(well_formed(text))


def plain(value: Any) -> Any:
    """Return a copy of `value` in `dict`, `list`, `str`, `int`, `float`, `bool` and `None` only."""
    return msgspec.json.decode(encode(value))


def well_formed(text: str) -> str:
    """Replace lone surrogates by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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


def _careful(value: Any, parents: set[int], depth: int) -> Any:
    """Walk in Python, for values that the C encoder refuses: cycles, lone surrogates, NaN decimals."""
    match value:
        case None | bool():
            return value
        case enum.Enum():
            return _careful(value.value, parents, depth)
        case str() | UserString():
            return well_formed(str(value))
        case float():
            return float(value) if math.isfinite(value) else None
        case decimal.Decimal() if not value.is_finite():
            return None
        case int():
            return _written(int(value))
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
    finally:
        parents.discard(id(value))


def _written(value: int) -> int | str:
    try:
        str(value)
    except ValueError:
        return _text_of(value)
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
    try:
        replaced = _foreign(value)
    except Exception:  # `model_dump` of an agent's object
        replaced = _text_of(value)
    return _careful(replaced, parents, depth)


_encoder: Final = msgspec.json.Encoder(enc_hook=_foreign, decimal_format="number")
