"""Where traces go: whether it can be reached, and takes what is sent."""

from __future__ import annotations

import asyncio
from typing import Final

import httpx2

from dockrion.doctor.base import Case, Finding, error, ok
from dockrion.doctor.reason import reason_of
from dockrion.errors import ValidationError
from dockrion.telemetry.destinations import Destination, destinations_of, is_disabled

_SECONDS: Final = 5.0


async def look_at_telemetry(case: Case) -> list[Finding]:
    observability = case.spec.observability
    if is_disabled(observability):
        return [ok("runs are not traced")]
    try:
        destinations = destinations_of(observability)
    except ValidationError as exc:
        return [error(exc.message, "docs/observability.md has the variables that count")]
    if not destinations:
        return [ok("traces go nowhere: neither observability.otlp nor langfuse is set")]
    return await asyncio.gather(*map(_ask, destinations))


async def _ask(destination: Destination) -> Finding:
    """Send no traces, as OTLP writes them: an empty message."""
    where = f"{destination.name}: {destination.shown_url}"
    headers = {**destination.headers, "Content-Type": "application/x-protobuf"}
    try:
        verify = destination.tls_context()
    except OSError as exc:
        return error(
            f"{where} cannot be asked: a file of certificates is none: {reason_of(exc)}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY are to name PEM files",
        )
    try:
        async with httpx2.AsyncClient(timeout=_SECONDS, verify=verify) as client:
            response = await client.post(destination.url, content=b"", headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        return error(
            f"{where} cannot be reached: {reason_of(exc)}",
            "traces are lost until it answers, and runs go on; is the address right, is it OTLP over HTTP (port 4318)?",
        )
    status = response.status_code
    if status in (401, 403):
        what = (
            "langfuse.public_key and secret_key"
            if destination.name == "langfuse"
            else "otlp.headers"
        )
        return error(
            f"{where} refuses the credentials ({status})",
            f"observability.{what} are to be those of the project",
        )
    if status == 404:
        return error(
            f"{where} is nothing there (404)",
            "give the base address of a collector that takes OTLP over HTTP",
        )
    if status >= 500:
        return error(f"{where} answers {status}", "see the collector's own log")
    return ok(f"{where} takes traces")
