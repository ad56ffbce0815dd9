"""The first contact: whether there is a dockrion server at the address, and what it says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2

from dockrion.doctor.base import Finding, error, info, ok, warning
from dockrion.doctor.reason import certificate_error, reason_of
from dockrion.doctor.stream.target import Found, StreamCheck, Target, code_of, described, json_of
from dockrion.spec.fields import is_mapping

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_MOST_REDIRECTS: Final = 5
# A POST that gets one of these is sent again as a GET, without its body, by browsers and most clients.
POST_BECOMES_GET: Final = (301, 302, 303)
_NOTHING_BEHIND: Final = (502, 503, 504)


@dataclass(frozen=True)
class Contact:
    """What the server says of itself; of what is closed, nothing."""

    target: Target
    agent: str
    input_schema: Mapping[str, Any] | None
    knows_schema: bool


async def reach(
    client: httpx2.AsyncClient, target: Target, key: str | None
) -> tuple[Found, Contact | None]:
    """Return what was found, and no contact where it makes no sense to go on."""
    found: Found = []
    try:
        response = await client.get(target.at("/health"))
        for _ in range(_MOST_REDIRECTS):
            if response.status_code not in _REDIRECTS:
                break
            moved = _moved(target, response)
            if moved is None:
                return [*found, ("server", _elsewhere(response))], None
            found.append(("redirect", _redirected(target, moved, response.status_code)))
            if moved.url.host != target.url.host:
                # Nobody but the host that was named gets the key.
                return found, None
            target = moved
            response = await client.get(target.at("/health"))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        return [*found, _unreachable(exc, target)], None
    agent = json_of(response).get("agent")
    if not isinstance(agent, str) or json_of(response).get("service") != f"runtime:{agent}":
        return [*found, ("server", _no_server(target, response))], None
    version = json_of(response).get("version")
    found.append(("server", ok(f"{target} is the agent {agent!r}, served by dockrion {version}")))
    if target.url.scheme == "https":
        found.append(("TLS", ok("the certificate is trusted")))
    contact, more = await _ask(client, target, agent, key)
    return [*found, *more], contact


def _moved(target: Target, response: httpx2.Response) -> Target | None:
    """Return where the agent is; None when the way leads to something else, a login page for example."""
    try:
        place = response.url.join(response.headers.get("location", ""))
    except httpx2.InvalidURL:
        return None
    path = place.path.rstrip("/")
    if not path.endswith("/health"):
        return None
    moved = place.copy_with(path=path.removesuffix("/health") or "/", query=None, fragment=None)
    return replace(target, url=moved)


def _redirected(target: Target, moved: Target, status: int) -> Finding:
    hint = f"give callers {moved} itself"
    if status in POST_BECOMES_GET:
        return error(
            f"{target} redirects to {moved} ({status}), and clients repeat a POST there as a GET",
            f"{hint}, or redirect with 308",
        )
    return warning(
        f"{target} redirects to {moved} ({status}); clients drop credentials on the way to another host",
        hint,
    )


def _elsewhere(response: httpx2.Response) -> Finding:
    return error(
        f"/health is redirected to {response.headers.get('location', 'nowhere')} ({response.status_code})",
        "something in front of the server sends callers elsewhere, to a login perhaps: let the agent's paths pass",
    )


def _unreachable(exc: Exception, target: Target) -> tuple[StreamCheck, Finding]:
    cause = certificate_error(exc)
    if cause is not None:
        return "TLS", error(
            f"the certificate of {target.url.host} is not trusted: {cause}",
            "serve the whole chain (nginx: ssl_certificate with intermediates), for this name, renewed;"
            " of an authority of your own, name its file in SSL_CERT_FILE",
        )
    if "SSL" in str(exc):
        return "TLS", error(
            f"no TLS with {target.url.host}: {exc}",
            "is this the port that speaks TLS? else give an http:// address",
        )
    if isinstance(exc, httpx2.TimeoutException):
        return "server", error(
            f"{target} does not answer in time",
            "is a firewall in between, or the server overloaded?",
        )
    return "server", error(
        f"{target} cannot be reached: {reason_of(exc)}",
        "is it running, is the address right, does it listen on the address that is asked (expose.host: 0.0.0.0)?",
    )


def _no_server(target: Target, response: httpx2.Response) -> Finding:
    what = described(response)
    if code_of(response) == "NOT_FOUND" and target.prefix:
        return error(
            f"the server gets the whole path, {target.prefix}/health, and knows nothing below {target.prefix}",
            f"expose.root_path: {target.prefix} in the Dockfile; or let the proxy cut it off"
            " (nginx: proxy_pass http://server:8080/; with the slash, ingress-nginx: rewrite-target)",
        )
    if response.status_code in _NOTHING_BEHIND:
        return error(
            f"something answers in front, but reaches no server behind it ({what})",
            "is the agent running, and is the upstream of the proxy its address and port?",
        )
    if response.status_code in (401, 403):
        asks = response.headers.get("www-authenticate", "").partition(" ")[0]
        return error(
            f"something in front asks for credentials of its own{f' ({asks})' if asks else ''}: {what}",
            "/health is open on a dockrion server: let it pass, and leave authentication to the agent",
        )
    return error(
        f"{target} is no dockrion server: /health answers {what}",
        "is it the right host, port and path prefix?",
    )


async def _ask(
    client: httpx2.AsyncClient, target: Target, agent: str, key: str | None
) -> tuple[Contact, Found]:
    # Which header is looked at is not known yet.
    headers = credentials_for(None, key)
    names = ("/openapi.json", "/schema", "/info", "/ready", "/health/")
    answers = await asyncio.gather(*(_get(client, target, name, headers) for name in names))
    document, schema, about = map(_told, answers[:3])
    ready = json_of(answers[3])
    found: Found = []
    if ready.get("status") not in ("ready", None):
        found.append(("server", _not_ready(ready)))
    found += _prefix(target, answers[-1])
    contact = Contact(
        target=replace(target, credentials=credentials_for(_headers_of(document), key)),
        agent=agent,
        input_schema=schema.get("input_schema"),
        knows_schema="input_schema" in schema,
    )
    adapter = about.get("adapter")
    if is_mapping(adapter) and adapter.get("streaming") is False:
        found.append(
            (
                "server",
                info(
                    "the agent cannot stream: all of it comes at its end, whatever stands before it",
                    "give it .stream or .astream, or serve it with a handler that yields",
                ),
            )
        )
    return contact, found


def _told(answer: httpx2.Response | None) -> Mapping[str, Any]:
    """Return what was answered; nothing where that is closed."""
    return json_of(answer) if answer is not None and answer.status_code == 200 else {}


async def _get(
    client: httpx2.AsyncClient, target: Target, path: str, headers: Mapping[str, str]
) -> httpx2.Response | None:
    try:
        return await client.get(target.at(path), headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
        return None


def _not_ready(ready: Mapping[str, Any]) -> Finding:
    return error(
        f"it is {ready.get('status')}, and serves nobody: {ready.get('error')}",
        "see its log; where it runs, `dockrion doctor` looks for what is wrong",
    )


def _prefix(target: Target, slashed: httpx2.Response | None) -> Found:
    """Whether the server knows the prefix, of which its own redirects tell."""
    if not target.prefix or slashed is None or slashed.status_code != 307:
        return []
    path = httpx2.URL(slashed.headers.get("location", "")).path
    if path.startswith(f"{target.prefix}/"):
        return [("path", ok(f"the server knows that it stands below {target.prefix}"))]
    return [
        (
            "path",
            warning(
                f"the proxy cuts {target.prefix} off, and the server does not know: its redirects and its pages"
                " lead past it",
                f"expose.root_path: {target.prefix} in the Dockfile",
            ),
        )
    ]


def _headers_of(document: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the headers that carry credentials, the preferred one first; None where nobody tells."""
    if not document:
        return None
    schemes: Mapping[str, Any] = document.get("components", {}).get("securitySchemes", {})
    found: list[str] = []
    if "APIKeyHeader" in schemes:
        found.append(schemes["APIKeyHeader"]["name"])
    if "BearerAuth" in schemes:
        found.append("Authorization")
    return tuple(found)


def credentials_for(headers: tuple[str, ...] | None, key: str | None) -> dict[str, str]:
    """Return the first of the headers with the key; both usual ones where it is not known which one counts."""
    if key is None:
        return {}
    chosen = ("X-API-Key", "Authorization") if headers is None else headers[:1]
    return {name: f"Bearer {key}" if name == "Authorization" else key for name in chosen}
