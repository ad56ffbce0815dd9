"""Where a page of runs ended: what `next_cursor` says, and what comes of it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple

from dockrion.errors import ValidationError
from dockrion.events.ids import RUN_ID

_TEXT: Final = re.compile(rf"(\d{{1,17}}) ({RUN_ID})")


class Place(NamedTuple):
    """A run's place in the order of creation: newest first, of one moment by id."""

    created_us: int
    run_id: str


def place_of(created_at: float, run_id: str) -> Place:
    return Place(round(created_at * 1_000_000), run_id)


def cursor_to(place: Place) -> str:
    text = f"{place.created_us} {place.run_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_in(cursor: str) -> Place:
    """Raise `ValidationError` for what is no cursor of ours."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        text = ""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValidationError("cursor: must be a next_cursor of GET /runs")
    return Place(int(match[1]), match[2])
