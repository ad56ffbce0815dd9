"""Where traces go: what the Dockfile says, and the variables of OpenTelemetry where it says nothing."""

from __future__ import annotations

import base64
import ssl
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from dockrion.errors import ValidationError
from dockrion.spec import process_setting
from dockrion.spec.observability import LangfuseSpec, ObservabilitySpec, OtlpSpec

TRACES: Final = "/v1/traces"
_LOCAL: Final = "http://localhost:4318"
_LANGFUSE: Final = "/api/public/otel"
_EXPORTER: Final = "OTEL_EXPORTER_OTLP"


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A server that takes OTLP over HTTP; `name` is the section that says so."""

    name: str
    url: str
    headers: dict[str, str]
    timeout_seconds: float
    compresses: bool = False
    authority_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    @property
    def shown_url(self) -> str:
        """The URL without what may be a secret in it."""
        url = urlsplit(self.url)
        return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))

    def tls_context(self) -> ssl.SSLContext | bool:
        """Return what certificates are checked with; raise `OSError` for a file that is none."""
        if self.authority_file is None and self.certificate_file is None:
            return True
        context = ssl.create_default_context(cafile=self.authority_file)
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def is_disabled(observability: ObservabilitySpec) -> bool:
    disabled = (process_setting("OTEL_SDK_DISABLED") or "").strip().lower() == "true"
    return disabled or not observability.tracing


def destinations_of(observability: ObservabilitySpec) -> list[Destination]:
    """Return where traces go; raise `ValidationError` for a variable that asks for what there is not."""
    found: list[Destination] = []
    otlp = observability.otlp
    if otlp is not None or is_asked_for_by_variables():
        found.append(_otlp(otlp or OtlpSpec()))
    if observability.langfuse is not None:
        found.append(_langfuse(observability.langfuse))
    return found


def is_asked_for_by_variables() -> bool:
    """Whether the environment names a collector; other exporters than that of OTLP are none of ours."""
    if (process_setting("OTEL_TRACES_EXPORTER") or "otlp").strip() != "otlp":
        return False
    return any(process_setting(name) for name in (f"{_EXPORTER}_ENDPOINT", _named("ENDPOINT")))


def _otlp(spec: OtlpSpec) -> Destination:
    protocol = _variable("PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        raise ValidationError(
            f"{_EXPORTER}_PROTOCOL: must be http/protobuf (mostly port 4318), got {protocol!r}"
        )
    if spec.endpoint is not None:
        url = _with_path(spec.endpoint)
    else:
        whole = process_setting(_named("ENDPOINT"))
        url = whole or _with_path(process_setting(f"{_EXPORTER}_ENDPOINT") or _LOCAL)
    return Destination(
        name="otlp",
        url=url,
        headers={**_headers(_variable("HEADERS") or ""), **spec.headers},
        timeout_seconds=_seconds(),
        compresses=_compresses(),
        authority_file=_variable("CERTIFICATE"),
        certificate_file=_variable("CLIENT_CERTIFICATE"),
        key_file=_variable("CLIENT_KEY"),
    )


def _langfuse(spec: LangfuseSpec) -> Destination:
    credentials = base64.b64encode(f"{spec.public_key}:{spec.secret_key}".encode()).decode()
    return Destination(
        name="langfuse",
        url=f"{spec.host.rstrip('/')}{_LANGFUSE}{TRACES}",
        headers={"Authorization": f"Basic {credentials}", "x-langfuse-ingestion-version": "4"},
        timeout_seconds=_seconds(),
    )


def _with_path(endpoint: str) -> str:
    base = endpoint.rstrip("/")
    return base if base.endswith(TRACES) else base + TRACES


def _named(name: str) -> str:
    return f"{_EXPORTER}_TRACES_{name}"


def _variable(name: str) -> str | None:
    """Return what the variable for traces says, or that for everything."""
    value = process_setting(_named(name)) or process_setting(f"{_EXPORTER}_{name}")
    return None if value is None else value.strip() or None


def _headers(text: str) -> dict[str, str]:
    """Read `name=value,name=value`, with what is special written as in URLs."""
    headers: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            # Not what was found: it is where credentials stand.
            raise ValidationError(f"{_EXPORTER}_HEADERS: must be name=value, separated by commas")
        headers[unquote(name.strip())] = unquote(value.strip())
    return headers


def _seconds() -> float:
    said = _variable("TIMEOUT")
    if said is None:
        return 10.0
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise ValidationError(f"{_EXPORTER}_TIMEOUT: must be seconds above 0, got {said!r}")
    return seconds


def _compresses() -> bool:
    said = _variable("COMPRESSION") or "none"
    if said not in ("none", "gzip"):
        raise ValidationError(f"{_EXPORTER}_COMPRESSION: must be none or gzip, got {said!r}")
    return said == "gzip"
