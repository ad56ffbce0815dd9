"""Spans as OTLP's protobuf (https://github.com/open-telemetry/opentelemetry-proto, `trace.proto`), written directly.

The messages of the `protobuf` package cost ten times as much, as objects that nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any, Final, TypeVar, cast

from opentelemetry.trace import Link, Status, TraceState

from dockrion.telemetry.base import Shared
from dockrion.telemetry.genai import IDS
from dockrion.telemetry.otel.spans import LightSpan

K = TypeVar("K")

# `flags` of a span or link: whether its parent is known to be of another process, and whether it is.
_KNOWS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
_MAX_KNOWN: Final = 2048
_MAX_KNOWN_CHARS: Final = 64
_MAX_KNOWN_NUMBER: Final = 1 << 16

_times = Struct("<BQBQ")
_time = Struct("<BQ")
_fixed32 = Struct("<BI")
_double = Struct("<Bd")


class SpanEncoder:
    """`clean` takes out of a text what may not leave; with `max_chars` longer ones are cut."""

    def __init__(
        self, clean: Callable[[str, str], str] | None = None, *, max_chars: int | None = None
    ) -> None:
        self._clean = clean
        self._max_chars = max_chars
        # Most attributes of most spans are the same ones. Two, since `True` equals 1 where it is a key.
        self._texts: dict[tuple[str, str], bytes] = {}
        self._numbers: dict[tuple[str, int], bytes] = {}
        self._names: dict[str, bytes] = {}

    def request(
        self, resource: Mapping[str, Any], scopes: Mapping[tuple[str, str], Sequence[bytes]]
    ) -> bytes:
        """Return an `ExportTraceServiceRequest` with spans by their scope: a name and a version."""
        content = [_part(0x0A, self._attributes(0x0A, resource))]
        for (name, version), spans in scopes.items():
            scope = _part(0x0A, _text(0x0A, name) + _text(0x12, version))
            content.append(_part(0x12, scope + b"".join([_part(0x12, span) for span in spans])))
        return _part(0x0A, b"".join(content))

    def span(self, span: LightSpan) -> bytes:
        state, parent = span.state, span.parent_id
        remote = _KNOWS_REMOTE | (_IS_REMOTE if span.parent_is_remote else 0)
        return b"".join(
            (
                b"\x0a\x10",
                span.trace_id.to_bytes(16, "big"),
                b"\x12\x08",
                span.span_id.to_bytes(8, "big"),
                _state(state) if state else b"",
                b"\x22\x08" + parent.to_bytes(8, "big") if parent else b"",
                self._names.get(span.name) or self._name(span.name),
                # Ours count from 0, those of the protocol from 1.
                bytes((0x30, span.kind.value + 1)),
                _times.pack(0x39, span.started_ns, 0x41, span.ended_ns),
                b"" if span.shared is None else self._shared(span.shared),
                self._attributes(0x4A, span.attributes),
                b"\x50" + _varint(span.dropped) if span.dropped else b"",
                self._happenings(span) if span.happenings else b"",
                self._links(span.links) if span.links else b"",
                self._status(span.status) if span.status else b"",
                b"\x85\x01",
                remote.to_bytes(4, "little"),
            )
        )

    def _attributes(self, tag: int, attributes: Mapping[str, Any]) -> bytes:
        texts, numbers = self._texts, self._numbers
        parts: list[bytes] = []
        for name, value in attributes.items():
            if type(value) is str:
                parts.append(texts.get((name, value)) or self._string(name, value))
            elif type(value) is int:
                parts.append(numbers.get((name, value)) or self._number(name, value))
            else:
                parts.append(_pair(name, self._value(name, value)))
        lead = bytes((tag,))
        return lead + lead.join(parts) if parts else b""

    def _name(self, name: str) -> bytes:
        part = _text(0x2A, self._shown("", name))
        _remember(self._names, name, part)
        return part

    def _shared(self, shared: Shared) -> bytes:
        if shared.written is None:
            shared.written = self._attributes(0x4A, shared)
        return shared.written

    def _string(self, name: str, value: str) -> bytes:
        part = _pair_of_text(name, self._shown(name, value))
        if name not in IDS and len(value) <= _MAX_KNOWN_CHARS:
            _remember(self._texts, (name, value), part)
        return part

    def _number(self, name: str, value: int) -> bytes:
        part = _pair(name, self._value(name, value))
        if 0 <= value <= _MAX_KNOWN_NUMBER:
            _remember(self._numbers, (name, value), part)
        return part

    def _value(self, name: str, value: Any) -> bytes:
        """Return an `AnyValue`; what is none is its text."""
        match value:
            case str():
                return _text(0x0A, self._shown(name, str.__str__(value)))
            case bool():
                return b"\x10\x01" if value else b"\x10\x00"
            case int() if -(1 << 63) <= value < 1 << 63:
                return b"\x18" + _varint(value & ((1 << 64) - 1))
            case float():
                return _double.pack(0x21, value)
            case bytes():
                return _part(0x3A, value)
            case list() | tuple():
                items = cast("Iterable[Any]", value)
                return _part(0x2A, b"".join([_part(0x0A, self._value(name, one)) for one in items]))
            case _:
                return _text(0x0A, self._shown(name, str(value)))

    def _shown(self, name: str, text: str) -> str:
        if self._clean is not None:
            text = self._clean(name, text)
        return text if self._max_chars is None else text[: self._max_chars]

    def _happenings(self, span: LightSpan) -> bytes:
        return b"".join(
            _part(
                0x5A,
                _time.pack(0x09, time_ns)
                + _text(0x12, self._shown("", name))
                + self._attributes(0x1A, attributes),
            )
            for name, time_ns, attributes in span.happenings or ()
        )

    def _links(self, links: Iterable[Link]) -> bytes:
        return b"".join(_part(0x6A, self._link(link)) for link in links)

    def _link(self, link: Link) -> bytes:
        context = link.context
        remote = _KNOWS_REMOTE | (_IS_REMOTE if context.is_remote else 0)
        return (
            b"\x0a\x10"
            + context.trace_id.to_bytes(16, "big")
            + b"\x12\x08"
            + context.span_id.to_bytes(8, "big")
            + (_state(context.trace_state) if context.trace_state else b"")
            + self._attributes(0x22, link.attributes or {})
            + _fixed32.pack(0x35, remote)
        )

    def _status(self, status: Status) -> bytes:
        message = status.description
        text = b"" if message is None else _text(0x12, self._shown("", message))
        return _part(0x7A, text + bytes((0x18, status.status_code.value)))


def _remember(known: dict[K, bytes], key: K, part: bytes) -> None:
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[key] = part


def _state(state: TraceState) -> bytes:
    return _text(0x1A, state.to_header())


def _pair(name: str, value: bytes) -> bytes:
    """Return a `KeyValue` behind its length, without the tag that says what it belongs to."""
    pair = _text(0x0A, name) + _part(0x12, value)
    return _varint(len(pair)) + pair


def _pair_of_text(name: str, text: str) -> bytes:
    key, value = name.encode("utf-8", "replace"), text.encode("utf-8", "replace")
    keys, values = len(key), len(value)
    if keys + values > 0x70:
        return _pair(name, _text(0x0A, text))
    # As nearly always: each length is one byte.
    return b"%c\x0a%c%b\x12%c\x0a%c%b" % (keys + values + 6, keys, key, values + 2, values, value)


def _text(tag: int, text: str) -> bytes:
    # Half of a surrogate pair has no bytes in UTF-8.
    return _part(tag, text.encode("utf-8", "replace"))


def _part(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    return bytes((tag,)) + _varint(size) + content


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    digits = bytearray()
    while number >= 0x80:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)
