"""Which servers may serve side by side: those that share their runs, or have none to share."""

from __future__ import annotations

from dockrion.errors import ValidationError
from dockrion.spec import DockSpec


def refuse_without_shared_runs(
    spec: DockSpec, count: int, *, named: str, shared: str = "sqlite or redis"
) -> None:
    """Raise `ValidationError` where a run that one of the servers holds would be asked for at another."""
    needed = settings_that_keep_runs(spec)
    if count == 1 or spec.streaming.backend != "memory" or not needed:
        return
    error = ValidationError(
        f"{count} {named}s cannot share runs with `streaming.backend: memory`: each would have its own; "
        f"set streaming.backend to {shared}, or set {' and '.join(needed)}"
    )
    error.add_note(f"or serve with one {named}")
    raise error


def settings_that_keep_runs(spec: DockSpec) -> list[str]:
    """Return what would have to be set so that no run outlives its connection; nothing where that is so."""
    connection = spec.streaming.connection
    settings = {
        "streaming.async_runs: false": spec.streaming.async_runs,
        "streaming.connection.on_disconnect: cancel": connection.on_disconnect != "cancel",
        "streaming.connection.resume_window: 0": connection.resume_window > 0,
    }
    return [setting for setting, is_needed in settings.items() if is_needed]
