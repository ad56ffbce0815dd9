"""Which events a run sends: presets and lists of `streaming.events.allowed`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dockrion.errors import ValidationError
from dockrion.events.model import ALWAYS_SENT, CONFIGURABLE

PRESETS: Final[dict[str, frozenset[str]]] = {
    "minimal": frozenset(),
    "chat": frozenset({"token"}),
    "debug": CONFIGURABLE,
    "all": CONFIGURABLE | {"custom"},
}
CUSTOM_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


class EventsFilter:
    """Says of each event type whether it is sent.

    `allowed` is a preset (`minimal`, `chat`, `debug`, `all`), a list of types, or `None` for all. In a list,
    `custom` allows all custom events and `custom:<name>` one. `started`, the terminal events and `interrupt`
    are always sent. Raises `ValidationError` for a name that is no type.
    """

    __slots__ = ("_all_custom", "_allowed", "heartbeat", "token")

    def __init__(self, allowed: str | Iterable[str] | None = None) -> None:
        names = _resolve(allowed)
        self._all_custom = "custom" in names
        self._allowed = names | ALWAYS_SENT
        self.token: Final = "token" in names
        self.heartbeat: Final = "heartbeat" in names

    @property
    def allowed(self) -> frozenset[str]:
        """The allowed types; `EventsFilter(f.allowed)` allows the same."""
        return self._allowed

    def is_allowed(self, event_type: str) -> bool:
        """`event_type` is a name as clients see it, such as `token`; of a custom event, `custom:<name>`."""
        if event_type in self._allowed:
            return True
        return self._all_custom and event_type.startswith("custom:")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventsFilter) and self._allowed == other._allowed

    def __hash__(self) -> int:
        return hash(self._allowed)

    def __repr__(self) -> str:
        return f"EventsFilter({sorted(self._allowed - ALWAYS_SENT)!r})"


def _resolve(allowed: str | Iterable[str] | None) -> frozenset[str]:
    if allowed is None:
        return PRESETS["all"]
    if isinstance(allowed, str):
        if allowed not in PRESETS:
            raise ValidationError(
                f"streaming.events.allowed: unknown preset {allowed!r}; one of {', '.join(PRESETS)}, or a list"
            )
        return PRESETS[allowed]
    names = frozenset(allowed)
    for name in names:
        prefix, _, custom = name.partition(":")
        known = name in CONFIGURABLE or name in ALWAYS_SENT or name == "custom"
        if not known and not (prefix == "custom" and CUSTOM_NAME.match(custom)):
            raise ValidationError(f"streaming.events.allowed: {name!r} is no event type")
    return names - ALWAYS_SENT
