"""The keys that callers prove themselves with, and the identity provider that is asked about tokens."""

from __future__ import annotations

from typing import Final

from dockrion.auth import make_authenticator
from dockrion.auth.endpoint import Endpoint, NoAnswerError
from dockrion.doctor.base import Case, Finding, error, info, ok, warning
from dockrion.errors import DockrionError
from dockrion.runtime.banner import WILDCARD_HOSTS
from dockrion.spec.auth import AuthSpec, JwtSpec, OAuth2Spec

_UNREACHABLE: Final = (
    "until it answers, callers get 503; is the URL right, and may this machine reach it?"
)


async def look_at_auth(case: Case) -> list[Finding]:
    spec = case.spec
    auth = spec.auth
    if auth is None or auth.is_open:
        return [_open(case)]
    try:
        make_authenticator(auth, spec.environ)
    except DockrionError as exc:
        notes: list[str] = getattr(exc, "__notes__", [])
        return [error(exc.message, notes[0] if notes else "see docs/auth.md")]
    if auth.jwt is not None and auth.mode == "jwt":
        return await _jwt(auth.jwt)
    if auth.oauth2 is not None and auth.mode == "oauth2":
        return await _oauth2(case, auth.oauth2)
    return [_keys(case, auth)]


def _open(case: Case) -> Finding:
    expose = case.spec.expose
    if expose.host in WILDCARD_HOSTS and "*" in expose.cors.origins:
        return warning(
            "open: anybody who reaches this machine, and every web page that its users open, may call the agent",
            "`dockrion add auth`; or set expose.cors.origins, or expose.host: 127.0.0.1",
        )
    return info("open: whoever reaches it may call the agent")


def _keys(case: Case, auth: AuthSpec) -> Finding:
    sources = auth.api_keys.sources(
        name for name, value in case.spec.environ.items() if value.strip()
    )
    return ok(f"API keys: {', '.join(source.variable for source in sources)}")


async def _jwt(jwt: JwtSpec) -> list[Finding]:
    if jwt.jwks_url is None:
        return [ok(f"jwt: the key in {jwt.public_key_env} is sound")]
    from dockrion.auth.jwt_keys import keys_from_set

    endpoint = Endpoint(jwt.jwks_url, field="auth.jwt.jwks_url")
    endpoint.start()
    try:
        keys = keys_from_set(await endpoint.get(), jwt.algorithms)
    except NoAnswerError as exc:
        return [error(f"jwt: {_without_login(jwt.jwks_url)} gives no keys: {exc}", _UNREACHABLE)]
    finally:
        await endpoint.close()
    if not len(keys):
        return [
            error(
                f"jwt: no key of {_without_login(jwt.jwks_url)} fits {', '.join(jwt.algorithms)}",
                "auth.jwt.algorithms is to name what the issuer signs with",
            )
        ]
    return [ok(f"jwt: {_without_login(jwt.jwks_url)} has {len(keys)} keys that fit")]


async def _oauth2(case: Case, oauth2: OAuth2Spec) -> list[Finding]:
    from dockrion.auth.oauth2 import credentials

    where = _without_login(oauth2.introspection_url)
    form, headers = credentials(oauth2, case.spec.environ)
    endpoint = Endpoint(oauth2.introspection_url, field="auth.oauth2.introspection_url")
    endpoint.start()
    try:
        # No token of anybody: a sound answer is that it is not active.
        answer = await endpoint.post({"token": "dockrion-doctor", **form}, headers=headers)
    except NoAnswerError as exc:
        hint = _UNREACHABLE
        if "status 401" in str(exc) or "status 403" in str(exc):
            hint = "auth.oauth2.client_id_env and client_secret_env are to hold what the provider gave this server"
        return [error(f"oauth2: {where} does not answer as it should: {exc}", hint)]
    finally:
        await endpoint.close()
    if not isinstance(answer, dict) or "active" not in answer:
        return [
            error(
                f"oauth2: {where} answers, but not as RFC 7662 says: there is no `active`",
                "auth.oauth2.introspection_url is to be the provider's introspection endpoint",
            )
        ]
    return [ok(f"oauth2: {where} answers")]


def _without_login(url: str) -> str:
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
