"""Where traces go: whether it can be reached, and takes what is sent."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final, NamedTuple

import httpx2

from dockrion.doctor.base import Case, Finding, error, ok
from dockrion.doctor.reason import reason_of

_SECONDS: Final = 5.0
_TRACES: Final = "/v1/traces"
_LANGFUSE: Final = "/api/public/otel/v1/traces"


class Collector(NamedTuple):
    name: str
    url: str
    headers: Mapping[str, str]


async def look_at_telemetry(case: Case) -> list[Finding]:
    collectors = collectors_of(case)
    if not collectors:
        return [ok("traces go nowhere: neither observability.otlp nor langfuse is set")]
    async with httpx2.AsyncClient(timeout=_SECONDS) as client:
        return [await _ask(client, collector) for collector in collectors]


def collectors_of(case: Case) -> list[Collector]:
    observability = case.spec.observability
    environ = case.spec.environ
    found: list[Collector] = []
    if not observability.tracing:
        return found
    otlp = observability.otlp
    endpoint = None if otlp is None else otlp.endpoint
    whole = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    base = endpoint or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if endpoint or whole or base:
        headers = dict(otlp.headers) if otlp is not None else {}
        url = whole if whole and not endpoint else _traces_url(base or "")
        found.append(Collector("otlp", url, headers))
    langfuse = observability.langfuse
    if langfuse is not None:
        login = f"{langfuse.public_key}:{langfuse.secret_key}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        found.append(Collector("langfuse", f"{langfuse.host.rstrip('/')}{_LANGFUSE}", headers))
    return found


def _traces_url(endpoint: str) -> str:
    return endpoint if endpoint.endswith(_TRACES) else f"{endpoint.rstrip('/')}{_TRACES}"


async def _ask(client: httpx2.AsyncClient, collector: Collector) -> Finding:
    """Send no traces, as OTLP writes them: an empty message."""
    where = f"{collector.name}: {collector.url}"
    headers = {**collector.headers, "Content-Type": "application/x-protobuf"}
    try:
        response = await client.post(collector.url, content=b"", headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        return error(
            f"{where} cannot be reached: {reason_of(exc)}",
            "traces are lost until it answers, and runs go on; is the address right, is it OTLP over HTTP (port 4318)?",
        )
    if response.status_code in (401, 403):
        what = (
            "langfuse.public_key and secret_key" if collector.name == "langfuse" else "otlp.headers"
        )
        return error(
            f"{where} refuses the credentials ({response.status_code})",
            f"observability.{what} are to be those of the project",
        )
    if response.status_code == 404:
        return error(
            f"{where} is nothing there (404)",
            "give the base address of a collector that takes OTLP over HTTP",
        )
    if response.status_code >= 500:
        return error(f"{where} answers {response.status_code}", "see the collector's own log")
    return ok(f"{where} takes traces")
