"""Requests as they should not be, each with its whole answer: the rows of `test_bad_input_http.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .rawhttp import request

if TYPE_CHECKING:
    from collections.abc import Iterable

MIB = 1 << 20


class Row(NamedTuple):
    """A request and its answer: `says` is the whole message of an error, `output` that of the agent."""

    name: str
    sent: bytes
    status: int
    code: str = ""
    says: str = ""
    output: Any = None
    header: tuple[bytes, bytes] | None = None


def post(
    body: bytes,
    path: str = "/invoke",
    *,
    media: str = "application/json",
    headers: Iterable[str] = (),
) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a.test", f"Content-Length: {len(body)}", *headers]
    if media:
        lines.append(f"Content-Type: {media}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(data: bytes) -> bytes:
    head = request("POST", "/invoke", headers=["Transfer-Encoding: chunked"])
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)


ANSWER = b'{"do": "answer"}'
FINE = {"answer": "fine"}
LARGE = b'"' + b"x" * (11 * MIB) + b'"'
RUN_ID = "run_id: must be 1 to 128 letters, digits, `-` or `_`, a letter or digit first, got "
NOT_HTTP = "This is no HTTP request that can be read."
TOO_LARGE = "The body is larger than 10485760 bytes (expose.limits.max_body_bytes)."
CURL = """-H 'Content-Type: application/json' -d '{"key": "value"}'"""
FORM = "Content-Type: must be application/json, got 'application/x-www-form-urlencoded'; with curl: curl -N -X POST <url>"

INVALID, MEDIA, LARGER = "VALIDATION_ERROR", "UNSUPPORTED_MEDIA_TYPE", "PAYLOAD_TOO_LARGE"
METHOD, UNKNOWN = "METHOD_NOT_ALLOWED", "NOT_FOUND"
EMPTY = "The body is empty; send the agent's input as JSON."
DEEP = "The body is nested over 128 deep."
HALF = "The body has half of a surrogate pair (\\ud800 to \\udfff) by itself."

# fmt: off
BODIES = [
    Row("no body", post(b""), 400, INVALID, EMPTY),
    Row("white space", post(b" \r\n"), 400, INVALID, EMPTY),
    Row("cut off", post(b'{"do":'), 400, INVALID, "The body is not JSON: Input data was truncated"),
    Row("single quotes", post(b"{'do': 1}"), 400, INVALID, "The body is not JSON: object keys must be strings (byte 1)"),
    Row("comma at the end", post(b'{"do": "",}'), 400, INVALID, "The body is not JSON: trailing comma in object (byte 10)"),
    Row("text behind", post(b'{"do": ""} x'), 400, INVALID, "The body is not JSON: trailing characters (byte 12)"),
    Row("NUL in a text", post(b'{"do": "\0"}'), 400, INVALID, "The body is not JSON: invalid character (byte 8)"),
    Row("NaN", post(b'{"do": NaN}'), 400, INVALID, "The body is not JSON: it has no NaN; send null."),
    Row("infinity", post(b'{"do": -Infinity}'), 400, INVALID, "The body is not JSON: it has no -Infinity; send null."),
    Row("over any float", post(b'{"do": 1e999}'), 400, INVALID, "The body has a number that is too large."),
    Row("5000 digits", post(b"1" * 5000), 400, INVALID, "The body has a number that is too large."),
    Row("not UTF-8", post(b'{"do": "\xff"}'), 400, INVALID, "The body is not UTF-8: byte 8."),
    Row("UTF-16", post('{"do": ""}'.encode("utf-16")), 400, INVALID, "The body is not UTF-8: byte 0."),
    Row("half a pair", post(b'{"do": "\\ud800"}'), 400, INVALID, HALF),
    Row("200 lists deep", post(b"[" * 200 + b"]" * 200), 400, INVALID, DEEP),
    Row("200 objects deep", post(b'{"a":' * 200 + b"1" + b"}" * 200), 400, INVALID, DEEP),
    Row("a million brackets", post(b"[" * 1_000_000), 400, INVALID, DEEP),
    Row("wrong type of all", post(b"null"), 400, INVALID, 'the payload: null is not of type "object"'),
    Row("wrong type of a field", post(b'{"do": 5}'), 400, INVALID, '/do: 5 is not of type "string"'),
    Row("missing field", post(b"{}"), 400, INVALID, 'the payload: "do" is a required property'),
    Row("11 MiB", post(LARGE), 413, LARGER, TOO_LARGE, header=(b"connection", b"close")),
    Row("11 MiB in a chunk", chunked(LARGE), 413, LARGER, TOO_LARGE, header=(b"connection", b"close")),
    Row("no size of a chunk", chunked(ANSWER).replace(b"10\r\n", b"zz\r\n"), 400, INVALID, NOT_HTTP),
    Row("a key twice", post(b'{"do": "block", "do": "answer"}'), 200, output=FINE),
    Row("byte order mark", post(b"\xef\xbb\xbf" + ANSWER), 200, output=FINE),
]
HEADS = [
    Row("wrong media type", post(ANSWER, media="text/plain; a=b"), 415, MEDIA, "Content-Type: must be application/json, got 'text/plain'"),
    Row("what curl -d sends", post(ANSWER, media="application/x-www-form-urlencoded"), 415, MEDIA, f"{FORM}/invoke {CURL}"),
    Row("what curl -d sends to a stream", post(ANSWER, "/invoke/stream", media="application/x-www-form-urlencoded"), 415, MEDIA, f"{FORM}/invoke/stream {CURL}"),
    Row("compressed", post(ANSWER, headers=["Content-Encoding: gzip"]), 415, MEDIA, "Content-Encoding: bodies are taken as they are, not 'gzip'"),
    Row("no media type", post(ANSWER, media=""), 200, output=FINE),
    Row("bad run_id", post(ANSWER, headers=["X-Run-ID: ../etc"]), 400, INVALID, f"{RUN_ID}'../etc'"),
    Row("empty run_id", post(ANSWER, "/invoke?run_id="), 400, INVALID, f"{RUN_ID}''"),
    Row("long run_id", post(ANSWER, f"/invoke?run_id={'a' * 129}"), 400, INVALID, f"{RUN_ID}'{'a' * 77}...'"),
    Row("bad thread_id", post(ANSWER, "/invoke?thread_id=%00"), 400, INVALID, "thread_id: must be 1 to 256 printable characters, got '\\x00'"),
    Row("bad Last-Event-ID", post(ANSWER, "/invoke/stream", headers=["Last-Event-ID: 5"]), 400, INVALID, "Last-Event-ID: must be <run_id>:<sequence>, got '5'"),
    Row("unknown Last-Event-ID", post(ANSWER, "/invoke/stream", headers=["Last-Event-ID: gone:5"]), 410, "GONE", "The run 'gone' is not held here (any more)."),
    Row("GET", request("GET", "/invoke"), 405, METHOD, "/invoke takes POST, not GET.", header=(b"allow", b"POST")),
    Row("DELETE", request("DELETE", "/invoke/stream"), 405, METHOD, "/invoke/stream takes POST, not DELETE.", header=(b"allow", b"POST")),
    Row("OPTIONS", request("OPTIONS", "/invoke"), 405, METHOD, "/invoke takes POST, not OPTIONS.", header=(b"allow", b"POST")),
    Row("POST where one reads", request("POST", "/health", {}), 405, METHOD, "/health does not take POST."),
    Row("HEAD", request("HEAD", "/invoke"), 405, header=(b"allow", b"POST")),
    Row("HEAD where one reads", request("HEAD", "/health"), 200),
    Row("preflight", request("OPTIONS", "/invoke", headers=["Origin: http://a.test", "Access-Control-Request-Method: POST"]), 200, header=(b"access-control-allow-origin", b"*")),
    Row("WebSocket", request("GET", "/invoke/stream", headers=["Connection: Upgrade", "Upgrade: websocket"]), 405, METHOD, "/invoke/stream takes POST, not GET."),
    Row("trailing slash", post(ANSWER, "/invoke/?run_id=a"), 307, header=(b"location", b"/invoke?run_id=a")),
    Row("unknown path", request("GET", "/nothing"), 404, UNKNOWN, "There is nothing at /nothing."),
    Row("path out of here", request("GET", "/docs/../../passwd%00"), 404, UNKNOWN, "There is nothing at /docs/../../passwd\0."),
    Row("path of 10000", request("GET", f"/{'a' * 10_000}"), 404, UNKNOWN, f"There is nothing at /{'a' * 196}...."),
    Row("head of 70 KiB", request("GET", "/health", headers=[f"X-Long: {'a' * 70_000}"]), 431, LARGER, "The head of the request is larger than 65536 bytes."),
    Row("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, INVALID, NOT_HTTP),
    Row("unknown method", request("BREW", "/invoke"), 400, INVALID, NOT_HTTP),
    Row("two lengths", post(b"{}", headers=["Content-Length: 3"]), 400, INVALID, NOT_HTTP),
    Row("length and chunks", chunked(ANSWER).replace(b"\r\n", b"\r\nContent-Length: 5\r\n", 1), 400, INVALID, NOT_HTTP),
]
# fmt: on
