"""docs/events.md has every event with the fields that the API document says."""

from __future__ import annotations

import re
from pathlib import Path

from dockrion.runtime.openapi.events import _EVENTS as EVENTS

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "events.md").read_text()
ROW = re.compile(r"(?m)^\| `([a-z_:<>]+)` \|([^|]*)\|")


def test_every_event_is_there_with_its_fields() -> None:
    rows = {
        name.removesuffix(":<name>"): set(re.findall(r"`(\w+)`", fields))
        for name, fields in ROW.findall(PAGE)
    }
    shown = {name: fields for name, fields in rows.items() if name in EVENTS}

    assert shown == {name: set(fields) for name, (_, fields, _) in EVENTS.items()}
