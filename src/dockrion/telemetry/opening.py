"""Which traces an app has: of its own destinations, with whoever traces in its process already, or none."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

from dockrion._registry import needing_extra
from dockrion.errors import MissingExtraError
from dockrion.spec.observability import ObservabilitySpec
from dockrion.telemetry.base import Tracer
from dockrion.telemetry.destinations import destinations_of, is_disabled
from dockrion.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockrion.telemetry.otel.exporting import Exporting

logger = logging.getLogger(__name__)

# What is left to send gets so long when the process ends.
CLOSING_SECONDS: Final = 1.5


class Tracing:
    """The traces of one app; `tracer` is None where nothing is traced.

    Whoever has set up OpenTelemetry in this process (around a mounted app, or in the agent's module) traces with it: then
    our spans are started there, and the destinations of the Dockfile get those of others, too.
    """

    def __init__(
        self, exporting: Exporting | None, clean: Callable[[str, str], str] | None, *, off: bool
    ) -> None:
        self.tracer: Tracer | None = None if exporting is None else exporting.tracer
        self._exporting = exporting
        self._clean = clean
        self._off = off
        self._joined = False
        self._join_others()

    @property
    def lost(self) -> int:
        """How many spans could not be delivered so far."""
        return 0 if self._exporting is None else self._exporting.lost

    def start(self) -> None:
        if self._exporting is not None:
            self._exporting.start()

    def agent_loaded(self) -> None:
        """Look again who traces: the agent's module may have set it up."""
        self._join_others()
        if self._exporting is not None:
            self._exporting.share()

    async def close(self) -> None:
        if self._exporting is not None:
            await self._exporting.close(CLOSING_SECONDS)

    def _join_others(self) -> None:
        provider = None if self._off or self._joined else _provider_of_others()
        if provider is None:
            return
        from dockrion.telemetry.otel.tracer import OtelTracer, OthersTracer

        self._joined = True
        others = OthersTracer(provider.get_tracer("dockrion", VERSION), self._clean)
        self.tracer = OtelTracer(others, clean=self._clean)
        if self._exporting is not None:
            self._exporting.take_from(provider)


def _provider_of_others() -> Any:
    """Return what somebody else has set up for this process to trace with; who has not imported it, has not."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return None if getattr(provider, "is_dockrions", False) else provider


def open_tracing(
    observability: ObservabilitySpec,
    *,
    service: dict[str, str],
    clean: Callable[[str, str], str] | None,
) -> Tracing:
    """Set up what the Dockfile and the `OTEL_*` variables ask for, and send nothing yet.

    Raises `MissingExtraError` where the Dockfile asks for it and OpenTelemetry is not installed, `ValidationError` for a
    variable that cannot be followed. `service` describes the agent, as attributes of a resource.
    """
    if is_disabled(observability):
        return Tracing(None, None, off=True)
    destinations = destinations_of(observability)
    if not destinations:
        return Tracing(None, clean, off=False)
    asking = [one.name for one in destinations if getattr(observability, one.name) is not None]
    try:
        with needing_extra("otel", f"observability.{asking[0]}:" if asking else "it"):
            from dockrion.telemetry.otel.exporting import Exporting
    except MissingExtraError as exc:
        if asking:
            raise
        # The environment of a process may be made for many others.
        logger.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, and nothing is traced: %s", exc)
        return Tracing(None, None, off=True)
    return Tracing(Exporting(destinations, service, clean), clean, off=False)
