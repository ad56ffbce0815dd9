"""One pod of an agent: its containers, what they may do, how they are looked after and how they end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from dockrion.build.dockerfile import UID
from dockrion.build.manifests.plan import Plan

Part = dict[str, Any]

PORT_NAME: Final = "http"
# Of a balancer that hears of a pod's end: until then it sends calls to a server that takes none any more.
_LEAVE_SECONDS: Final = 5
_FIRST_FREE_PORT: Final = 1024
_LOST_WITH_IT: Final = "256Mi"
_RESOURCES: Final = {
    # No limit of CPU: it would hold tokens back in the middle of a stream.
    "requests": {"cpu": "250m", "memory": "256Mi"},
    "limits": {"memory": "1Gi"},
}


def pod_of(plan: Plan, component: str, *, labels: Mapping[str, str]) -> Part:
    """Return the template of a pod that serves, or of one that works."""
    serves = component == "server"
    containers = [_server(plan) if serves else _worker(plan)]
    if serves and plan.database is not None and _needs_worker_beside(plan):
        containers.append(_worker(plan))
    spec: Part = {
        "terminationGracePeriodSeconds": plan.end_seconds + (_LEAVE_SECONDS if serves else 0),
        # The agent does not talk to the cluster, and variables of other services are none of its own.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _rights(plan),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {
                    "matchLabels": {
                        key: labels[key]
                        for key in ("app.kubernetes.io/name", "app.kubernetes.io/component")
                    }
                },
            }
        ],
        "containers": containers,
        "volumes": _volumes(plan),
    }
    annotations = _scraped(plan) if serves else {}
    metadata: Part = {"labels": dict(labels)}
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": spec}


def _needs_worker_beside(plan: Plan) -> bool:
    streaming = plan.spec.streaming
    return streaming.async_runs and not streaming.worker


def _server(plan: Plan) -> Part:
    return {
        **_container(plan, "server"),
        "ports": [{"name": PORT_NAME, "containerPort": plan.spec.expose.port}],
        # Loading an agent may take minutes; a loop that an agent blocks now and then is no reason to kill it.
        "startupProbe": _probe("/health", period=2, failures=150),
        "livenessProbe": _probe("/health", period=10, failures=6),
        "readinessProbe": _probe("/ready", period=5, failures=2),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_LEAVE_SECONDS)]}}},
    }


def _worker(plan: Plan) -> Part:
    command = {"command": list(map(_literal, plan.worker_command))}
    return _container(plan, "worker", command, unneeded=plan.variables.of_callers)


def _container(
    plan: Plan, name: str, started: Part | None = None, *, unneeded: Collection[str] = ()
) -> Part:
    return {
        "name": name,
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        **(started or {}),
        "env": [part for part in _environment(plan) if part["name"] not in unneeded],
        "resources": _RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in _mounts(plan).items()],
    }


def _environment(plan: Plan) -> list[Part]:
    variables = plan.variables
    fixed = [{"name": name, "value": _literal(value)} for name, value in variables.fixed.items()]
    needed = [_from_secret(plan, name, {}) for name in variables.needed]
    optional = [_from_secret(plan, name, {"optional": True}) for name in variables.optional]
    return [*fixed, *needed, *optional]


def _literal(text: str) -> str:
    """Return the text for a field in which Kubernetes fills `$(NAME)` in."""
    return text.replace("$(", "$$(")


def _from_secret(plan: Plan, name: str, more: Part) -> Part:
    reference = {"name": plan.name, "key": name, **more}
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _probe(path: str, *, period: int, failures: int) -> Part:
    return {
        "httpGet": {"path": path, "port": PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _rights(plan: Plan) -> Part:
    low_port = plan.spec.expose.port < _FIRST_FREE_PORT
    sysctls = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "fsGroup": UID,
        "seccompProfile": {"type": "RuntimeDefault"},
        **({"sysctls": sysctls} if low_port else {}),
    }


def _mounts(plan: Plan) -> dict[str, str]:
    """Return the folders that are written to, by the names of their volumes; nothing else can be."""
    lost = {f"written-{number}": path for number, path in enumerate(plan.written_folders)}
    return lost if plan.database is None else {**lost, "runs": plan.database}


def _volumes(plan: Plan) -> list[Part]:
    lost = {"emptyDir": {"sizeLimit": _LOST_WITH_IT}}
    kept = {"persistentVolumeClaim": {"claimName": plan.name}}
    return [{"name": name, **(kept if name == "runs" else lost)} for name in _mounts(plan)]


def _scraped(plan: Plan) -> dict[str, str]:
    auth = plan.spec.auth
    if auth is not None and "metrics" in auth.protect and not auth.is_open:
        return {}  # a scraper that goes by annotations has no key
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/path": "/metrics",
        "prometheus.io/port": str(plan.spec.expose.port),
    }
