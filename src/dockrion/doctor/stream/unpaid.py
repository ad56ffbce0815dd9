"""Requests that run no agent, and what their answers tell of the way: credentials, headers, CORS, sizes, HTTP version.

A POST with a `Last-Event-ID` never starts a run. Its body is no JSON, so none is started either where somebody takes
that header off on the way.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import httpx2

from dockrion.doctor.base import Finding, error, info, ok, skipped, warning
from dockrion.doctor.reason import reason_of
from dockrion.doctor.stream.reach import POST_BECOMES_GET, Contact
from dockrion.doctor.stream.target import (
    USER_AGENT,
    Found,
    Target,
    code_of,
    described,
    message_of,
    unknown_event,
)
from dockrion.runtime.cors import EXPOSED

STREAM_PATH: Final = "/invoke/stream"
ORIGIN: Final = "https://app.example.com"
_NO_JSON: Final = b'{"'
# What a server takes at most, if its Dockfile says nothing else, and less than proxies take by default.
_SIZES: Final = (10 << 20, (1 << 20) + 1, 64 << 10)
_EARLY_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 5.0


async def look_at_reconnecting(
    client: httpx2.AsyncClient, contact: Contact, *, has_key: bool
) -> tuple[Found, bool]:
    """Whether a POST arrives with its credentials and its `Last-Event-ID`; also return whether the agent may be run."""
    target = contact.target
    try:
        response = await client.post(
            target.at(STREAM_PATH),
            content=_NO_JSON,
            headers={
                **target.credentials,
                "Content-Type": "application/json",
                "Last-Event-ID": unknown_event(),
            },
        )
    except (httpx2.HTTPError, OSError) as exc:
        return [("post", _no_answer(exc))], False
    code = code_of(response)
    match response.status_code, code:
        case 410, "GONE":
            return [("last-event-id", ok("Last-Event-ID arrives at the server"))], True
        case 400, "VALIDATION_ERROR":
            lost = error(
                "Last-Event-ID is taken off on the way: a client that comes back cannot go on, and pays for a new run",
                "let the header pass (nginx: no proxy_set_header Last-Event-ID, proxy_pass_request_headers on;"
                " CDN and gateway: add it to the headers that are forwarded)",
            )
            return [("last-event-id", lost)], True
        case 401 | 403, str():
            return [("auth", _refused(target, response, has_key=has_key))], False
        case 404 | 405, str():
            none = error(
                f"there is no POST {STREAM_PATH}: {message_of(response)}",
                "expose.streaming: sse in the Dockfile",
            )
            return [("post", none)], False
        case 429, str():
            return [("auth", _too_often())], False
        case 503, str():
            return [("post", _not_now(response))], False
        case _:
            return [("post", _answered_by_others(response))], False


def _no_answer(exc: Exception) -> Finding:
    return error(
        f"a POST gets no answer, unlike a GET: {reason_of(exc)}",
        "let POST pass to the server; what stands before it may hold the request back (nginx: proxy_request_buffering)",
    )


def _refused(target: Target, response: httpx2.Response, *, has_key: bool) -> Finding:
    said = message_of(response)
    if not has_key:
        return error(
            f"callers have to prove who they are ({said}): the stream is not looked at",
            "--api-key KEY, with a key or a token of the agent",
        )
    names = " and ".join(target.credentials) or "credentials"
    # What the server says where nothing that it looks at has come.
    if response.status_code == 401 and said.endswith(" required"):
        underscores = (
            "; nginx drops headers with an underscore: underscores_in_headers on"
            if "_" in names
            else ""
        )
        return error(
            f"{names} does not arrive at the server ({said}): it is taken off on the way",
            f'let the header pass (nginx: no proxy_set_header {names.partition(" ")[0]} "";'
            f" gateways: forward it){underscores}",
        )
    return error(
        f"the server refuses the key: {said}",
        "--api-key takes the key itself, not its sha256: form; a token may have expired",
    )


def _too_often() -> Finding:
    return error(
        "the server counts too many calls (429): the stream is not looked at",
        "try again later; behind a proxy, auth.trusted_proxies tells callers apart",
    )


def _not_now(response: httpx2.Response) -> Finding:
    return error(
        f"the server takes no calls now: {message_of(response)}",
        "see its log; where it runs, `dockrion doctor` looks for what is wrong",
    )


def _answered_by_others(response: httpx2.Response) -> Finding:
    status = response.status_code
    if status in (*POST_BECOMES_GET, 307, 308):
        place = response.headers.get("location", "nowhere")
        becomes = " and becomes a GET there" if status in POST_BECOMES_GET else ""
        return error(
            f"a POST is redirected to {place} ({status}){becomes}",
            "give callers the address that it leads to, or let POST pass as it is",
        )
    return error(
        f"something before the server answers POST {STREAM_PATH} itself: {described(response)}",
        "let POST with Content-Type: application/json pass to the server",
    )


async def look_at_cors(
    client: httpx2.AsyncClient, contact: Contact, *, origin: str | None
) -> Found:
    """Whether the pages of an origin may call, as a browser sees it."""
    asked = origin or ORIGIN
    wanted = ["content-type", "last-event-id", *(contact.target.credentials or {"x-api-key": ""})]
    try:
        preflight, plain = await asyncio.gather(
            client.options(
                contact.target.at(STREAM_PATH),
                headers={
                    "Origin": asked,
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": ", ".join(wanted).lower(),
                },
            ),
            client.get(contact.target.at("/health"), headers={"Origin": asked}),
        )
    except (httpx2.HTTPError, OSError) as exc:
        return [("cors", _no_preflight(reason_of(exc)))]
    finding = _cors(preflight, plain, asked, wanted, is_given=origin is not None)
    return [("cors", finding)]


def _cors(
    preflight: httpx2.Response,
    plain: httpx2.Response,
    origin: str,
    wanted: Sequence[str],
    *,
    is_given: bool,
) -> Finding:
    doubled = [
        name
        for answer in (preflight, plain)
        for name in ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials")
        if len(_values(answer, name)) > 1
    ]
    if doubled:
        return error(
            f"{doubled[0]} is there twice, and browsers take neither",
            "the server and what stands before it both add it: take add_header Access-Control-* (nginx) or"
            " enable-cors (ingress-nginx) out, or clear the server's with proxy_hide_header",
        )
    if preflight.status_code == 400 and "x-request-id" in preflight.headers:
        if "origin" in preflight.text:
            refusal = f"pages of {origin} may not call"
            return (
                error(refusal, f"expose.cors.origins is to list {origin}")
                if is_given
                else info(f"{refusal}; --origin asks for another one")
            )
        return error(
            f"the server refuses the preflight: {preflight.text[:100]}",
            "expose.cors.methods is to have POST, and expose.cors.headers what callers send",
        )
    if not preflight.is_success:
        return _no_preflight(described(preflight))
    if _values(preflight, "Access-Control-Allow-Origin") not in ([["*"], [origin]]):
        return error(
            "a preflight is answered, but without Access-Control-Allow-Origin",
            "let OPTIONS and Access-Control-* headers pass as they are",
        )
    allowed = [name.lower() for name in _values(preflight, "Access-Control-Allow-Headers")]
    missing = [
        name for name in map(str.lower, wanted) if name not in allowed and "*" not in allowed
    ]
    if missing:
        return error(
            f"pages may not send {', '.join(missing)}",
            "something before the server answers preflights: let OPTIONS pass; or expose.cors.headers is to list them",
        )
    if _values(plain, "Access-Control-Allow-Origin") not in ([["*"], [origin]]):
        return error(
            "the preflight is right, but answers come without Access-Control-Allow-Origin",
            "let Access-Control-* headers of answers pass as they are",
        )
    exposed = [name.lower() for name in _values(plain, "Access-Control-Expose-Headers")]
    hidden = [name for name in EXPOSED if name.lower() not in exposed]
    if hidden:
        return warning(
            f"pages cannot read {', '.join(hidden)}",
            "let Access-Control-Expose-Headers pass as it is",
        )
    return ok(
        f"pages of {origin if is_given else 'other origins'} may call, and read what they need"
    )


def _no_preflight(what: str) -> Finding:
    return error(
        f"a preflight (OPTIONS) does not get through to the server: {what}",
        "let OPTIONS pass, without authentication and limits of its own (nginx: no limit_except, no return for OPTIONS)",
    )


def _values(response: httpx2.Response, name: str) -> list[str]:
    lines = response.headers.get_list(name)
    return [value.strip() for line in lines for value in line.split(",")]


async def look_at_body_size(contact: Contact) -> Found:
    """Whether what stands before the server refuses a large body, of which the head alone is sent."""
    try:
        answers = await asyncio.gather(*(_refusal(contact.target, size) for size in _SIZES))
    except OSError as exc:
        return [("body size", skipped(f"no second connection: {reason_of(exc)}"))]
    refused = {size: said for size, said in zip(_SIZES, answers, strict=True) if said}
    if not refused:
        return [("body size", ok(f"bodies of {_SIZES[0] >> 20} MiB are let in"))]
    least = min(refused)
    size = f"{least / (1 << 20):.2g} MiB"
    if b"PAYLOAD_TOO_LARGE" in refused[least]:
        return [("body size", info(f"the server itself takes less than {size}"))]
    return [
        (
            "body size",
            warning(
                f"bodies of {size} are refused (413) before they come to the server",
                f"nginx: client_max_body_size {_SIZES[0] >> 20}m; ingress-nginx: annotation"
                f' nginx.ingress.kubernetes.io/proxy-body-size: "{_SIZES[0] >> 20}m";'
                " or say as much in expose.limits.max_body_bytes",
            ),
        )
    ]


async def _refusal(target: Target, size: int) -> bytes:
    """Return the 413 that comes before any of the body is sent, or nothing; raise `OSError`."""
    url = target.at(STREAM_PATH)
    head = {
        "Host": url.netloc.decode(),
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
        "Content-Length": str(size),
        "Last-Event-ID": unknown_event(),
        **target.credentials,
    }
    lines = [f"POST {url.raw_path.decode()} HTTP/1.1", *(f"{k}: {v}" for k, v in head.items())]
    context = ssl.create_default_context() if url.scheme == "https" else None
    async with asyncio.timeout(_CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection(url.host, _port(url), ssl=context)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
        said = await _heard(reader)
        if not said.startswith((b"HTTP/1.1 413", b"HTTP/1.0 413")):
            return b""
        # The body, which tells whose answer it is, may be a packet of its own.
        return said + await _heard(reader)
    finally:
        writer.close()


async def _heard(reader: asyncio.StreamReader) -> bytes:
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(_EARLY_SECONDS):
            return await reader.read(4096)
    return b""


def _port(url: httpx2.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


async def look_at_http_version(contact: Contact) -> Found:
    """Whether browsers get HTTP/2, without which a page has six connections to a host."""
    url = contact.target.url
    if url.scheme == "https":
        try:
            if await _offers_http2(url):
                return [("http", ok("HTTP/2 is offered: a page may have many streams open"))]
        except OSError as exc:
            return [("http", skipped(f"no second connection: {reason_of(exc)}"))]
    how = (
        "nginx: http2 on; ingress-nginx has it with TLS"
        if url.scheme == "https"
        else "serve it by HTTPS, with HTTP/2"
    )
    return [
        (
            "http",
            info(
                "HTTP/1.1: a browser opens six connections to a host, so six open streams of one user block all else",
                how,
            ),
        )
    ]


async def _offers_http2(url: httpx2.URL) -> bool:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with asyncio.timeout(_CONNECT_SECONDS):
        _, writer = await asyncio.open_connection(url.host, _port(url), ssl=context)
    try:
        chosen: str | None = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    finally:
        writer.close()
    return chosen == "h2"
