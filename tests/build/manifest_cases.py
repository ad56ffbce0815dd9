"""Dockfiles of every kind that is deployed, and reading what became of them as platforms do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dockrion.build.manifests.compose import compose_of
from dockrion.build.manifests.kubernetes import objects_of
from dockrion.build.manifests.plan import Plan, Target, plan_of
from dockrion.build.manifests.text import as_yaml
from dockrion.spec import read_dockfile
from tests.spec.kit import dockfile

NOTHING_KEPT = {"streaming.async_runs": False}
REDIS = {"streaming.backend": "redis"}
SQLITE = {"streaming.backend": "sqlite"}
# As a value, a label, or a name it would do something, were it not data.
NASTY = "it's {{ .Values.x }}: #no\n--- \nkind: Pod\t$(id) ${HOME} $$x `id` \x00\u2028é"


class Case(NamedTuple):
    name: str
    parts: Mapping[str, Any]
    environ: Mapping[str, str] = {}
    replicas: int | None = None


CASES = [
    Case("nothing but what is needed", {}),
    Case("three servers that keep no runs", NOTHING_KEPT, replicas=3),
    Case("Redis", REDIS),
    Case(
        "Redis on another machine", REDIS, {"REDIS_URL": "rediss://u:hush@cache.example.com:6380/1"}
    ),
    Case("Redis on this machine", REDIS, {"REDIS_URL": "redis://localhost:6379"}),
    Case("Redis by its URL", {**REDIS, "streaming.redis.url": "redis://cache:6379/0"}),
    Case("servers that only serve", {**REDIS, "streaming.worker": False}, replicas=40),
    Case("Redis without async runs", {**REDIS, "streaming.async_runs": False}),
    Case("SQLite", SQLITE),
    Case("SQLite elsewhere", {**SQLITE, "streaming.sqlite.path": "state/of it/$runs.db"}),
    Case("SQLite with a worker", {**SQLITE, "streaming.worker": False}),
    Case("below a prefix", {"expose.root_path": "/agents/echo"}),
    Case("a low port", {"expose.port": 80}),
    Case("a port from a variable", {"expose.port": "${PORT:-9000}"}, {"PORT": "7000"}),
    Case("a long grace", {"expose.shutdown_grace": 1e300}),
    Case("a short grace", {"expose.shutdown_grace": 0.2}),
    Case("a name at its longest", {"agent.name": "a" * 230}),
    Case("a name with hyphens", {"agent.name": "a--b-worker"}),
    Case(
        "texts that look like syntax",
        {
            "agent.description": NASTY,
            "metadata": {"maintainer": NASTY, "version": "1e3", "tags": ["on", NASTY]},
        },
        {"HOME": "/home/hush"},
    ),
    Case("keys", {"auth.mode": "api_key", "auth.protect": ["metrics"]}),
    Case(
        "keys with a prefix",
        {"auth.api_keys.prefix": "prod"},
        {"PROD_API_KEY": "hush", "PROD_API_KEY_CI": "hush"},
    ),
    Case("tokens", {"auth.mode": "jwt", "auth.jwt": {"public_key_env": "PEM"}}),
    Case(
        "introspection",
        {
            "auth.mode": "oauth2",
            "auth.oauth2": {
                "introspection_url": "https://h/ask",
                "client_id_env": "CLIENT",
                "client_secret_env": "CLIENT_SECRET",
            },
        },
    ),
    Case(
        "secrets and variables",
        {
            "secrets": {
                "required": [{"name": "MODEL_KEY"}, {"name": "WITH_DEFAULT", "default": "hush"}],
                "optional": [{"name": "NICE"}],
            },
            "arguments": {"a": "${TEAM}", "b": "${REGION:-eu}", "c": "$${NOT_ONE}"},
        },
        {"TEAM": "hush", "MODEL_KEY": "hush"},
    ),
]


def planned(folder: Path, case: Case, target: Target) -> Plan:
    """Write the case's Dockfile, read it in the case's environment alone, and plan it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "Dockfile.yaml"
    path.write_text(as_yaml([dockfile(dict(case.parts))]))
    read = read_dockfile(path, environ=case.environ, tolerated=["REDIS_URL"])
    return plan_of(path, read, target, replicas=case.replicas)


def manifest(plan: Plan, target: Target, folder: Path | None = None) -> str:
    where = folder or plan.path.parent / ".dockrion_runtime" / "deploy" / target
    return as_yaml([compose_of(plan, folder=where)] if target == "compose" else objects_of(plan))


def read_all(text: str) -> list[dict[str, Any]]:
    """Split and read as kubectl does: by lines first, then YAML 1.1."""
    return [yaml.safe_load(part) for part in f"\n{text}".split("\n---\n")]


def filled_in(text: str, environ: Mapping[str, str]) -> str:
    """Fill in `$$`, `${NAME}` and `${NAME:?words}` as Compose does."""
    out, rest = "", text
    while "$" in rest:
        before, _, rest = rest.partition("$")
        out += before
        if rest.startswith("$"):
            out, rest = out + "$", rest[1:]
        else:
            assert rest.startswith("{"), f"Compose would take this for a variable: ${rest[:20]}"
            name, _, rest = rest[1:].partition("}")
            out += environ[name.partition(":")[0]]
    return out + rest


def relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
