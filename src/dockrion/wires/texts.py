"""Many tokens in one go: the frames of texts that differ in nothing else. The hot path of every protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dockrion.events.jsonable import encode_text, encode_texts


def frames_of(frame: bytes, texts: Sequence[str], first: int | None = None) -> bytes:
    """Return the frame once for each text: it has a place for the text and, with `first`, one for its number behind it."""
    if len(texts) == 1:
        # As models write them.
        text = encode_text(texts[0])
        return frame % (text if first is None else (text, first))
    said = encode_texts(texts)
    if first is None:
        return frame * len(said) % tuple(said)
    places: list[Any] = [None] * (2 * len(said))
    places[::2] = said
    places[1::2] = range(first, first + len(said))
    return frame * len(said) % tuple(places)
