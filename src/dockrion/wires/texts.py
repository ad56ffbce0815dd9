"""Many tokens in one go: the frames of texts that differ in nothing else. The hot path of every protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dockrion.events.jsonable import encode_texts


def frames_of(frame: bytes, texts: Sequence[str], numbers: Iterable[int] | None = None) -> bytes:
    """Return the frame once for each text: it has a place for the text, and with `numbers` one for its number behind it."""
    said = encode_texts(texts)
    if numbers is None:
        return frame * len(said) % tuple(said)
    places: list[Any] = [None] * (2 * len(said))
    places[::2] = said
    places[1::2] = numbers
    return frame * len(said) % tuple(places)
