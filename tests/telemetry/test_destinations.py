"""Where traces go, as the Dockfile and the variables of OpenTelemetry say."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from dockrion.errors import ValidationError
from dockrion.telemetry.destinations import Destination, destinations_of, is_disabled
from tests.spec.kit import spec_of

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "HEADERS", "TIMEOUT", "PROTOCOL"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)


def found(**observability: Any) -> list[Destination]:
    return destinations_of(spec_of({"observability": observability}).observability)


def test_nothing_is_sent_anywhere_unless_somebody_says_where() -> None:
    assert found() == []
    assert found(tracing=True) == []


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp", "https://c/otlp/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
    ],
)
def test_the_endpoint_is_that_of_a_collector(endpoint: str, url: str) -> None:
    [otlp] = found(otlp={"endpoint": endpoint, "headers": {"x-team": "a"}})
    assert (otlp.url, otlp.headers) == (url, {"x-team": "a"})


def test_a_section_without_an_endpoint_means_the_local_collector() -> None:
    assert [one.url for one in found(otlp={})] == ["http://localhost:4318/v1/traces"]


def test_the_variables_work_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://c:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1%202, x-b = b ,")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip")

    [otlp] = found()

    assert otlp.url == "http://c:1/v1/traces"
    assert otlp.headers == {"x-a": "1 2", "x-b": "b"}
    assert (otlp.timeout_seconds, otlp.compresses) == (3.0, True)


def test_the_variable_of_traces_is_the_whole_url_and_the_section_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://c:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:2/here")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1,x-b=1")
    assert [one.url for one in found()] == ["http://c:2/here"]

    [otlp] = found(otlp={"endpoint": "http://c:3", "headers": {"x-b": "2"}})
    assert otlp.url == "http://c:3/v1/traces"
    assert otlp.headers == {"x-a": "1", "x-b": "2"}


def test_an_exporter_that_is_not_ours_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://c:1")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert found() == []


def test_langfuse_is_a_collector_with_its_keys() -> None:
    [langfuse] = found(
        langfuse={"public_key": "pk", "secret_key": "sk", "host": "https://lf.example/"}
    )
    assert langfuse.url == "https://lf.example/api/public/otel/v1/traces"
    scheme, credentials = langfuse.headers["Authorization"].split()
    assert (scheme, base64.b64decode(credentials)) == ("Basic", b"pk:sk")


def test_both_get_everything() -> None:
    names = [
        one.name
        for one in found(otlp={}, langfuse={"public_key": "pk-long", "secret_key": "sk-long"})
    ]
    assert names == ["otlp", "langfuse"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf"),
        ("TIMEOUT", "soon", "OTEL_EXPORTER_OTLP_TIMEOUT: must be seconds above 0, got 'soon'"),
        ("COMPRESSION", "br", "OTEL_EXPORTER_OTLP_COMPRESSION: must be none or gzip, got 'br'"),
        ("HEADERS", "s3cret", "OTEL_EXPORTER_OTLP_HEADERS: must be name=value"),
    ],
)
def test_a_variable_that_cannot_be_followed_is_refused(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://c:1")
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    with pytest.raises(ValidationError) as refused:
        found()
    assert says in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_tracing_is_off_where_the_dockfile_or_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on = spec_of({}).observability
    assert not is_disabled(on)
    assert is_disabled(spec_of({"observability": {"tracing": False}}).observability)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    assert is_disabled(on)


def test_a_log_line_has_no_password_of_the_url() -> None:
    [otlp] = found(otlp={"endpoint": "https://user:pw@c:1/x?key=1"})
    assert otlp.shown_url == "https://c:1/x"
