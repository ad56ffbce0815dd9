"""The compose file that runs an agent on one machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from dockrion.build.manifests.gateway import configuration_of
from dockrion.build.manifests.plan import Plan
from dockrion.build.manifests.redis import PASSWORD, SERVICE

Part = dict[str, Any]

_REDIS_IMAGE: Final = "redis:8-alpine"
_GATEWAY_IMAGE: Final = "nginx:1.29-alpine"
_GATEWAY_PORT: Final = 8080
_RESOURCES: Final = {
    "limits": {"memory": "1g"},
    "reservations": {"cpus": "0.25", "memory": "256m"},
}
# Asks as a caller would, with what every image has; `localhost` is either kind of address.
_ASK: Final = (
    "import http.client, sys; "
    "c = http.client.HTTPConnection('localhost', {port}, timeout=4); "
    "c.request('GET', '/ready'); sys.exit(c.getresponse().status != 200)"
)
# The password stands in a file in memory: arguments of a process are for all to see.
_START_REDIS: Final = (
    'umask 077 && printf "requirepass %s\\n" "$REDISCLI_AUTH" > /run/redis.conf && '
    "exec redis-server /run/redis.conf --appendonly yes --maxmemory-policy noeviction"
)


def compose_of(plan: Plan, *, folder: Path) -> Part:
    """Return the file, which is to stand in the folder."""
    services: Part = {"agent": _server(plan, folder)}
    if plan.works:
        services["worker"] = _worker(plan, folder)
    if plan.replicas > 1:
        services["gateway"] = _gateway(plan)
    if plan.own_redis is not None:
        services[SERVICE] = _redis()
    kept = [
        *(["runs"] if plan.database is not None else []),
        *([SERVICE] if plan.own_redis is not None else []),
    ]
    return {
        # Not the agent's name alone: its folder is often called like that, and so another file's project.
        "name": f"dockrion-{plan.name}",
        "services": services,
        **({"volumes": {name: {} for name in kept}} if kept else {}),
        **(
            {"configs": {"gateway": {"content": _literal(configuration_of(plan, _GATEWAY_PORT))}}}
            if plan.replicas > 1
            else {}
        ),
    }


def _server(plan: Plan, folder: Path) -> Part:
    port = plan.spec.expose.port
    ask = ["CMD", "python", "-I", "-c", _ASK.format(port=port)]
    return {
        **_container(plan, folder),
        **({"ports": [f"{port}:{port}"]} if plan.replicas == 1 else {"expose": [str(port)]}),
        "healthcheck": {
            "test": ask,
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            # Loading an agent may take minutes.
            "start_period": "300s",
            "start_interval": "1s",
        },
        "deploy": {"replicas": plan.replicas, "resources": _RESOURCES},
    }


def _worker(plan: Plan, folder: Path) -> Part:
    container = _container(plan, folder)
    return {
        "image": container["image"],
        "entrypoint": [_literal(word) for word in plan.worker_command],
        **container,
        # It listens on no port, which the image's own check asks.
        "healthcheck": {"disable": True},
        "deploy": {"resources": _RESOURCES},
    }


def _container(plan: Plan, folder: Path) -> Part:
    kept = {} if plan.database is None else {"volumes": [f"runs:{_literal(plan.database)}"]}
    waits = {"depends_on": {SERVICE: {"condition": "service_healthy"}}}
    labels = {f"dockrion.{key}": _literal(text) for key, text in plan.described()}
    return {
        "image": plan.image,
        # What has this name in a registry is somebody else's.
        "pull_policy": "never" if plan.image_is_own else "missing",
        "labels": labels,
        "env_file": [_env_file(file, folder) for file in plan.env_files],
        "environment": _environment(plan),
        **_hardened(plan.written_folders),
        **kept,
        **(waits if plan.own_redis is not None else {}),
        "restart": "unless-stopped",
        "stop_grace_period": f"{plan.end_seconds}s",
    }


def _env_file(file: Path, folder: Path) -> Part:
    path = Path(os.path.relpath(file.absolute(), folder.absolute())).as_posix()
    # It may be made later; what is missing then, the agent says.
    return {"path": _literal(path), "required": False}


def _environment(plan: Plan) -> dict[str, str | None]:
    """Return the variables; one without a value takes what it has where Compose is started."""
    variables = plan.variables
    environment: dict[str, str | None] = {
        name: _literal(value) for name, value in variables.fixed.items()
    }
    environment |= dict.fromkeys(variables.elsewhere)
    if plan.own_redis is not None:
        environment[plan.own_redis] = f"redis://:{_password()}@{SERVICE}:6379/0"
    return environment


def _redis() -> Part:
    return {
        "image": _REDIS_IMAGE,
        "user": "redis",
        "command": ["sh", "-c", _literal(_START_REDIS)],
        "environment": {"REDISCLI_AUTH": _password()},
        **_hardened(["/run"]),
        "volumes": [f"{SERVICE}:/data"],
        "healthcheck": {
            "test": ["CMD-SHELL", "redis-cli ping | grep -q PONG"],
            "interval": "5s",
            "timeout": "3s",
            "retries": 10,
        },
        "restart": "unless-stopped",
        "stop_grace_period": "30s",
    }


def _gateway(plan: Plan) -> Part:
    return {
        "image": _GATEWAY_IMAGE,
        "user": "nginx",
        "configs": [{"source": "gateway", "target": "/etc/nginx/nginx.conf"}],
        "ports": [f"{plan.spec.expose.port}:{_GATEWAY_PORT}"],
        **_hardened(["/tmp"]),  # noqa: S108  (in a container of its own)
        "depends_on": {"agent": {"condition": "service_healthy"}},
        "restart": "unless-stopped",
        # It ends when the streams that go through it have.
        "stop_signal": "SIGQUIT",
        "stop_grace_period": f"{plan.end_seconds}s",
    }


def _hardened(written: list[str]) -> Part:
    return {
        "read_only": True,
        "tmpfs": [f"{path}:mode=1777" for path in written],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "init": True,
    }


def _password() -> str:
    return f"${{{PASSWORD}:?set {PASSWORD} in .env, of letters and digits}}"


def _literal(text: str) -> str:
    """Return the text for a file in which Compose fills variables in."""
    return text.replace("$", "$$")
