"""The traces of a Dockfile's agent, without its secrets and what its rules redact."""

from __future__ import annotations

from collections.abc import Callable

from dockrion.policy.outgoing import Outgoing
from dockrion.spec import DockSpec, Hider
from dockrion.telemetry.genai import IDS
from dockrion.telemetry.opening import Tracing, open_tracing


def tracing_of(spec: DockSpec, secrets: Hider, outgoing: Outgoing) -> Tracing:
    """Return the traces that `observability` asks for; raise `DockrionError` where they cannot be had."""
    service = {"service.name": spec.agent.name, "service.version": spec.metadata.version}
    return open_tracing(
        spec.observability,
        service={name: value for name, value in service.items() if value},
        clean=_cleaner(secrets, outgoing) if spec.secret_values or outgoing.rules else None,
    )


def _cleaner(secrets: Hider, outgoing: Outgoing) -> Callable[[str, str], str]:
    def clean(attribute: str, text: str) -> str:
        text = secrets.hide(text)
        return text if attribute in IDS else outgoing.callers_text(text)

    return clean
