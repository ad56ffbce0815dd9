"""The `auth` section: who may call, with what, how often."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field, ValidationInfo, field_validator

from dockrion.spec.fields import (
    broken_rule,
    checked_text,
    flag,
    matching,
    number,
    one_of,
    positive,
    refuse_duplicates,
    text,
    url,
    variable_name,
    whole,
)
from dockrion.spec.section import Section

MODES: Final = ("none", "api_key", "jwt", "oauth2")
PERMISSIONS: Final = (
    "deploy",
    "rollback",
    "invoke",
    "view_metrics",
    "key_manage",
    "read_logs",
    "read_docs",
)
ALGORITHMS: Final = tuple(
    f"{family}{bits}" for family in ("RS", "ES", "HS") for bits in (256, 384, 512)
)

Text = Annotated[str, text()]
Variable = Annotated[str, variable_name()]
Url = Annotated[str, url("https", "http")]
Claim = Annotated[str, matching(r"[^.\s]+(?:\.[^.\s]+)*", "the name of a claim, or a dotted path")]


class KeySpec(Section):
    name: Text = Field(description="What the key is called in logs; its identity.")
    env_var: Variable = Field(description="Variable that holds the key, or sha256:<hex> of it.")
    role: Text | None = Field(default=None, description="Role of who calls with this key.")


class KeySource(NamedTuple):
    """A variable that holds a key, or should; `name` is what the key is called, if it has a name."""

    variable: str
    name: str | None = None
    role: str | None = None


class ApiKeysSpec(Section):
    env_var: Variable = Field(
        default="DOCKRION_API_KEY", description="Variable that holds the key."
    )
    header: Annotated[
        str,
        matching(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", "the name of a header, 1 to 64 characters"),
    ] = Field(default="X-API-Key", description="Header that carries the key.")
    allow_bearer: Annotated[bool, flag()] = Field(
        default=True, description="Whether `Authorization: Bearer <key>` is accepted as well."
    )
    enabled: Annotated[bool, flag()] = Field(
        default=True, description="false: open, with a warning."
    )
    rotation_days: Annotated[int, whole()] = Field(default=30, description="For your information.")
    prefix: Variable | None = Field(
        default=None, description="Prefix of the variables that hold keys; replaces env_var."
    )
    keys: tuple[KeySpec, ...] | None = Field(
        default=None, description="Named keys, each with its variable and role; replace env_var."
    )

    @field_validator("keys", mode="after")
    @classmethod
    def _names_are_unique(cls, keys: tuple[KeySpec, ...] | None) -> tuple[KeySpec, ...] | None:
        refuse_duplicates([key.name for key in keys or ()], "name")
        return keys

    def sources(self, variables: Iterable[str]) -> list[KeySource]:
        """Return where keys are looked for; of those with the prefix, the ones among `variables`."""
        if self.keys is None and self.prefix is None:
            return [KeySource(self.env_var)]
        sources = [KeySource(key.env_var, key.name, key.role) for key in self.keys or ()]
        listed = {source.variable for source in sources}
        if self.prefix is not None:
            found = sorted(set(variables) - listed)
            sources += [
                KeySource(v, name or None) for v in found if (name := self._named(v)) is not None
            ]
        return sources

    @property
    def prefixes(self) -> tuple[str, str] | None:
        """The variable that holds the prefix's nameless key, and what those of named keys start with."""
        if self.prefix is None:
            return None
        prefix = self.prefix.upper()
        if prefix.endswith("_KEY_"):
            return "", prefix
        whole = f"{prefix.rstrip('_')}_API_KEY"
        return whole, f"{whole}_"

    def _named(self, variable: str) -> str | None:
        """Return the name of the key in a variable, "" for the nameless one; None for a variable that is no key."""
        assert self.prefixes is not None, "it is asked for with a prefix alone"
        nameless, named = self.prefixes
        if variable == nameless:
            return ""
        return variable.removeprefix(named) or None if variable.startswith(named) else None


class ClaimsSpec(Section):
    user_id: Claim = Field(default="sub", description="Claim that identifies the caller.")
    email: Claim = Field(default="email", description="Claim with the e-mail address.")
    name: Claim = Field(default="name", description="Claim with the name.")
    roles: Claim = Field(default="roles", description="Claim with the roles.")
    permissions: Claim = Field(default="permissions", description="Claim with the permissions.")
    scopes: Claim = Field(default="scope", description="Claim with the scopes.")
    tenant_id: Claim | None = Field(default=None, description="Claim with the tenant.")


class JwtSpec(Section):
    jwks_url: Url | None = Field(default=None, description="Where the issuer publishes its keys.")
    public_key_env: Variable | None = Field(
        default=None,
        validate_default=True,
        description="Variable that holds a PEM, or the secret of HS algorithms.",
    )
    issuer: Text | None = Field(default=None, description="`iss` that is required.")
    audience: Text | None = Field(default=None, description="`aud` that is required.")
    algorithms: tuple[Annotated[str, one_of(*ALGORITHMS)], ...] = Field(
        default=("RS256",), description="Signatures that are accepted."
    )
    leeway_seconds: Annotated[float, number(0, 300)] = Field(
        default=30, description="Seconds by which clocks may differ."
    )
    claims: ClaimsSpec = Field(
        default={}, validate_default=True, description="Which claim holds what."
    )

    @field_validator("public_key_env", mode="after")
    @classmethod
    def _exactly_one_source_of_keys(cls, variable: str | None, info: ValidationInfo) -> str | None:
        if "jwks_url" in info.data and (info.data["jwks_url"] is None) == (variable is None):
            raise broken_rule("needs exactly one of `jwks_url`, `public_key_env`", at="")
        return variable

    @field_validator("algorithms", mode="after")
    @classmethod
    def _secrets_and_public_keys_do_not_mix(
        cls, algorithms: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        if not algorithms:
            raise broken_rule("must not be empty")
        symmetric = [name.startswith("HS") for name in algorithms]
        if any(symmetric) and info.data.get("jwks_url") is not None:
            raise broken_rule("HS algorithms need `public_key_env`; a JWKS has public keys")
        if any(symmetric) and not all(symmetric):
            raise broken_rule("HS algorithms cannot stand beside RS or ES ones")
        return algorithms


class OAuth2Spec(Section):
    introspection_url: Url = Field(description="RFC 7662 endpoint that is asked about a token.")
    client_id_env: Variable | None = Field(
        default=None, description="Variable that holds the client id."
    )
    client_secret_env: Variable | None = Field(
        default=None, description="Variable that holds the client secret."
    )
    required_scopes: tuple[Text, ...] = Field(
        default=(), description="Scopes without which it is 403."
    )
    cache_seconds: Annotated[float, positive()] = Field(
        default=30,
        description="Seconds for which an answer is kept, never past the token's expiry.",
    )


class RoleSpec(Section):
    name: Text = Field(description="Name of the role.")
    permissions: tuple[Annotated[str, one_of(*PERMISSIONS)], ...] = Field(
        description="What the role may do."
    )


def _complain_of_proxy(value: str) -> str | None:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return "must be an IP address or a network such as 10.0.0.0/8"
    return None


Rate = Annotated[
    str,
    matching(
        r"[1-9][0-9]{0,8}/(?:second|minute|hour|day)",
        '"<count>/<second|minute|hour|day>", such as 60/minute',
    ),
]


class AuthSpec(Section):
    mode: Annotated[Literal["none", "api_key", "jwt", "oauth2"], one_of(*MODES)] = Field(
        default="api_key", description="How callers prove who they are."
    )
    api_keys: ApiKeysSpec = Field(
        default={}, validate_default=True, description="With mode: api_key."
    )
    jwt: JwtSpec | None = Field(default=None, validate_default=True, description="With mode: jwt.")
    oauth2: OAuth2Spec | None = Field(
        default=None, validate_default=True, description="With mode: oauth2."
    )
    roles: tuple[RoleSpec, ...] = Field(default=(), description="Roles and what each may do.")
    rate_limits: dict[str, Rate] = Field(
        default={}, description="Role to <count>/<second|minute|hour|day>; `default` for the rest."
    )
    trusted_proxies: tuple[Annotated[str, checked_text(_complain_of_proxy)], ...] = Field(
        default=(), description="Addresses and networks whose X-Forwarded-For counts."
    )
    protect: tuple[Annotated[str, one_of("metrics", "docs", "info", "schema")], ...] = Field(
        default=(), description="What is closed beside the ways to run the agent."
    )

    @property
    def is_open(self) -> bool:
        return self.mode == "none" or (self.mode == "api_key" and not self.api_keys.enabled)

    @property
    def bearer(self) -> bool:
        """Whether `Authorization: Bearer` is looked at."""
        return not self.is_open and (self.mode != "api_key" or self.api_keys.allow_bearer)

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers that callers prove themselves with."""
        if self.is_open:
            return ()
        own = (self.api_keys.header,) if self.mode == "api_key" else ()
        return (*own, "Authorization") if self.bearer else own

    def secret_variables(self, variables: Iterable[str]) -> list[str]:
        """Return the variables that hold what callers prove themselves with, or what this server does."""
        found = [source.variable for source in self.api_keys.sources(variables)]
        if self.jwt is not None and self.jwt.public_key_env is not None:
            found.append(self.jwt.public_key_env)
        if self.oauth2 is not None and self.oauth2.client_secret_env is not None:
            found.append(self.oauth2.client_secret_env)
        return found

    @field_validator("jwt", "oauth2", mode="after")
    @classmethod
    def _mode_needs_its_section(cls, section: object, info: ValidationInfo) -> object:
        if section is None and info.data.get("mode") == info.field_name:
            raise broken_rule(f"is required with `mode: {info.field_name}`")
        return section

    @field_validator("roles", mode="after")
    @classmethod
    def _role_names_are_unique(cls, roles: tuple[RoleSpec, ...]) -> tuple[RoleSpec, ...]:
        refuse_duplicates([role.name for role in roles], "name")
        return roles
