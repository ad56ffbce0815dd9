"""Trace context of W3C, as far as it is needed where nothing is traced: which trace a caller is in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from dockrion.telemetry.base import Carrier, Cause

FIELDS: Final = ("traceparent", "tracestate", "baggage")
# What W3C lets a `baggage` have; a `tracestate` is shorter.
MAX_CHARS: Final = 8192
_PARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)


def carrier_in(headers: Mapping[bytes, bytes], fields: Iterable[str] = FIELDS) -> Carrier | None:
    """Return what the headers of a request say of its place in a trace."""
    carrier: Carrier = {}
    for name in fields:
        value = headers.get(name.encode())
        if value is not None and len(value) <= MAX_CHARS:
            carrier[name] = value.decode("latin-1")
    return carrier or None


def trace_id_of(cause: Cause) -> str | None:
    if cause is None:
        return None
    if not isinstance(cause, dict):
        return cause.trace_id
    found = _PARENT.fullmatch(cause.get("traceparent", "").strip(" \t"))
    return None if found is None else found[1]
