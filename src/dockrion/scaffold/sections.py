"""Sections of a Dockfile as YAML text with comments, for new files and for those that get one more.

Every section is valid as it stands, with no variable set: what has to be somebody's own is an example to replace.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from dockrion.spec.document import core_scalar
from dockrion.spec.fields import is_list

_REDIS_URL: Final = "${REDIS_URL:-redis://localhost:6379/0}"
# Words that other YAML readers, of version 1.1, take for a flag.
_FLAGS: Final = ("y", "n", "yes", "no", "on", "off")
ISSUER: Final = "https://issuer.example.com"


def streaming_section(
    *,
    backend: str | None = None,
    events: str | Sequence[str] | None = None,
    async_runs: bool = False,
    heartbeat: float | None = None,
    max_duration: float | None = None,
) -> str:
    lines = ["streaming:"]
    if async_runs:
        lines.append("  async_runs: true # POST /runs, and what is below it")
    lines.append(f"  backend: {backend or 'memory'} {_BACKENDS[backend or 'memory']}")
    if backend == "redis":
        lines += ["  redis:", f'    url: "{_REDIS_URL}"']
    below: list[str] = []
    if events is not None or (heartbeat is None and max_duration is None):
        below.append(
            f"    allowed: {as_yaml(events or 'all')} # a preset, or a list of event types"
        )
    if heartbeat is not None:
        below.append(f"    heartbeat_interval: {heartbeat} # seconds of silence")
    if max_duration is not None:
        below.append(f"    max_run_duration: {max_duration} # seconds that a run may take")
    return _text([*lines, "  events:", *below])


_BACKENDS: Final = {
    "memory": "# of this process; sqlite: of this machine, redis: of many",
    "sqlite": "# a file beside this one, .dockrion/runs.db",
    "redis": "# shared by all servers and workers",
}


def auth_section(mode: str, *, env_var: str = "DOCKRION_API_KEY", header: str = "X-API-Key") -> str:
    lines = ["auth:", f"  mode: {mode}"]
    if mode == "api_key":
        lines += [
            "  api_keys:",
            f"    env_var: {as_yaml(env_var)} # the variable that holds the key, or sha256:<hex> of it",
            f"    header: {as_yaml(header)} # Authorization: Bearer works, too",
        ]
    elif mode == "jwt":
        lines += [
            "  jwt: # the three of your identity provider",
            f"    jwks_url: {ISSUER}/.well-known/jwks.json",
            f"    issuer: {ISSUER}/",
            "    audience: my-api",
            "    algorithms: [RS256]",
        ]
    elif mode == "oauth2":
        lines += [
            "  oauth2:",
            f"    introspection_url: {ISSUER}/oauth2/introspect # of your identity provider",
            "    client_id_env: OAUTH2_CLIENT_ID # variables with what this server proves itself with",
            "    client_secret_env: OAUTH2_CLIENT_SECRET",
        ]
    else:
        lines[1] += " # everybody may call"
    return _text(lines)


def secrets_section(names: Sequence[str], *, key: str = "required") -> str:
    return _text(["secrets:", f"  {key}:", *(f"    - name: {as_yaml(name)}" for name in names)])


def as_yaml(value: Any) -> str:
    """Return a value on one line; text stands without quotes where every reader takes it for text."""
    if is_list(value):
        return f"[{', '.join(map(as_yaml, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    plain = value.replace("-", "").replace("_", "").replace(":", "").replace(".", "")
    is_word = plain.isascii() and plain.isalnum() and not value.endswith(":") and value[0].isalpha()
    if is_word and core_scalar(value) == value and value.lower() not in _FLAGS:
        return value
    return json.dumps(value, ensure_ascii=False)


def _text(lines: Sequence[str]) -> str:
    return "\n".join([*lines, ""])
