"""A stand-in for an OpenTelemetry collector: takes OTLP over HTTP and decodes it with the protocol's own package."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

WAIT_SECONDS = 20.0


class Received(NamedTuple):
    """A span, as the collector has it."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: list[str]
    status: str
    message: str
    scope: str
    events: list[str]
    seconds: float
    resource: dict[str, Any]


class Collector:
    """Answers each request with `status`; with `answers` unset it reads and never answers."""

    def __init__(self) -> None:
        self.status = 200
        self.answers = threading.Event()
        self.answers.set()
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.resources: list[dict[str, Any]] = []
        self.spans: list[Received] = []
        self._more = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, *names: str) -> list[Received]:
        """Return all spans, once there is one of each name; several times for several."""

        def there() -> bool:
            found = [span.name for span in self.spans]
            return all(found.count(name) >= names.count(name) for name in names)

        with self._more:
            ok = self._more.wait_for(there, WAIT_SECONDS)
        assert ok, f"{names} wanted, there are {[span.name for span in self.spans]}"
        return list(self.spans)

    def wait_for_requests(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: len(self.paths) >= count, WAIT_SECONDS), self.paths

    def took(self, path: str, headers: dict[str, str], body: bytes) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        with self._more:
            self.paths.append(path)
            self.headers.append(headers)
            if self.status == 200:
                for resource in request.resource_spans:
                    self.resources.append(attributes_of(resource.resource.attributes))
                    self.spans += spans_of(resource)
            self._more.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                named = {name.lower(): value for name, value in self.headers.items()}
                collector.took(self.path, named, body)
                collector.answers.wait()
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler


@contextmanager
def collecting() -> Generator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.serve, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.close()
        thread.join()


def spans_of(resource: Any) -> Iterator[Received]:
    for scope in resource.scope_spans:
        for span in scope.spans:
            yield Received(
                name=span.name,
                kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                attributes=attributes_of(span.attributes),
                links=[f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links],
                status=span.status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
                message=span.status.message,
                scope=scope.scope.name,
                events=[event.name for event in span.events],
                resource=attributes_of(resource.resource.attributes),
                seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
            )


def attributes_of(pairs: Any) -> dict[str, Any]:
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(one) for one in value.array_value.values]
    return getattr(value, kind)


def tree(spans: list[Received]) -> list[Any]:
    """Return names as `[name, [children]]`, in the order in which they are given."""
    known = {span.span_id for span in spans}

    def below(parent: Received) -> list[Any]:
        children = [below(span) for span in spans if span.parent_id == parent.span_id]
        return [parent.name, children] if children else [parent.name]

    return [below(span) for span in spans if span.parent_id not in known]


def one(spans: list[Received], name: str) -> Received:
    [found] = [span for span in spans if span.name == name]
    return found
