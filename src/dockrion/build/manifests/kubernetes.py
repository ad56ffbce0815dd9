"""The objects of a Kubernetes cluster that run an agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dockrion.build.manifests.names import WORKER, label_value
from dockrion.build.manifests.plan import MAX_REPLICAS, Plan
from dockrion.build.manifests.pods import PORT_NAME, pod_of

Object = dict[str, Any]

# How many replicas more than are asked for come when there is much to do, and how busy they are to be.
_GROWTH: Final = 5
_BUSY_PERCENT: Final = 70
# Streams go on for minutes: a replica that is not needed for so long may go.
_CALM_SECONDS: Final = 300
_DATABASE_SIZE: Final = "5Gi"


def objects_of(plan: Plan, *, host: str | None = None) -> list[Object]:
    """Return the objects in the order in which they are made. `host` is the name that callers use."""
    return list(_objects(plan, host))


def _objects(plan: Plan, host: str | None) -> Iterator[Object]:
    if plan.database is not None:
        yield _volume_claim(plan)
    yield from _network_policies(plan)
    yield _deployment(plan, _server(plan))
    yield _service(plan)
    yield _ingress(plan, host)
    if plan.grows:
        yield from _elastic(plan, _server(plan), plan.replicas)
    if plan.works:
        yield _deployment(plan, _worker(plan))
        yield from _elastic(plan, _worker(plan), 1)


def _server(plan: Plan) -> tuple[str, str]:
    return plan.name, "server"


def _worker(plan: Plan) -> tuple[str, str]:
    return f"{plan.name}{WORKER}", "worker"


def _object(
    plan: Plan,
    api: str,
    kind: str,
    name: str,
    spec: Mapping[str, Any],
    annotations: Mapping[str, str] | None = None,
) -> Object:
    metadata: Object = {"name": name, "labels": _labels(plan)}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": dict(spec)}


def _labels(plan: Plan) -> dict[str, str]:
    version = label_value(_tag_of(plan.image))
    return {
        "app.kubernetes.io/name": plan.name,
        **({"app.kubernetes.io/version": version} if version else {}),
        "app.kubernetes.io/managed-by": "dockrion",
    }


def _tag_of(image: str) -> str:
    return image.rpartition("/")[2].partition("@")[0].partition(":")[2]


def _selector(plan: Plan, component: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": plan.name, "app.kubernetes.io/component": component}


def _deployment(plan: Plan, part: tuple[str, str]) -> Object:
    name, component = part
    # Two processes of one SQLite file must not meet on two machines.
    alone = {"type": "Recreate"}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    spec: Object = {
        # An autoscaler says how many there are; a number here would undo what it said, each time it is applied.
        **({} if plan.grows else {"replicas": plan.replicas}),
        "strategy": rolling if plan.database is None else alone,
        "selector": {"matchLabels": _selector(plan, component)},
        "template": pod_of(plan, component, labels={**_labels(plan), **_selector(plan, component)}),
    }
    told = {f"dockrion/{key}": text for key, text in plan.described()}
    return _object(plan, "apps/v1", "Deployment", name, spec, told)


def _service(plan: Plan) -> Object:
    spec = {
        "selector": _selector(plan, "server"),
        "ports": [{"name": PORT_NAME, "port": 80, "targetPort": PORT_NAME}],
    }
    return _object(plan, "v1", "Service", plan.name, spec)


def _ingress(plan: Plan, host: str | None) -> Object:
    """Lead callers in so that streams arrive as they are sent; the annotations are those of ingress-nginx."""
    seconds = str(plan.silent_seconds)
    nginx = {
        "proxy-body-size": str(plan.spec.expose.limits.max_body_bytes),
        "proxy-buffering": "off",
        "proxy-http-version": "1.1",
        "proxy-read-timeout": seconds,
        "proxy-request-buffering": "off",
        "proxy-send-timeout": seconds,
    }
    backend = {"service": {"name": plan.name, "port": {"name": PORT_NAME}}}
    path = {"path": plan.spec.expose.root_path or "/", "pathType": "Prefix", "backend": backend}
    rule: Object = {**({"host": host} if host else {}), "http": {"paths": [path]}}
    annotations = {f"nginx.ingress.kubernetes.io/{key}": value for key, value in nginx.items()}
    spec = {"ingressClassName": "nginx", "rules": [rule]}
    return _object(plan, "networking.k8s.io/v1", "Ingress", plan.name, spec, annotations)


def _network_policies(plan: Plan) -> Iterator[Object]:
    """Let in what comes to the server's port. What agents call is anywhere, so nothing is said of what goes out."""
    allowed = [{"ports": [{"port": PORT_NAME, "protocol": "TCP"}]}]
    yield _policy(plan, plan.name, "server", allowed)
    if plan.works:
        yield _policy(plan, f"{plan.name}{WORKER}", "worker", [])


def _policy(plan: Plan, name: str, component: str, ingress: list[Object]) -> Object:
    spec = {
        "podSelector": {"matchLabels": _selector(plan, component)},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    }
    return _object(plan, "networking.k8s.io/v1", "NetworkPolicy", name, spec)


def _elastic(plan: Plan, part: tuple[str, str], least: int) -> Iterator[Object]:
    name, component = part
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    target = {"type": "Utilization", "averageUtilization": _BUSY_PERCENT}
    scaler = {
        "scaleTargetRef": scaled,
        "minReplicas": least,
        "maxReplicas": min(least * _GROWTH, MAX_REPLICAS),
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": _CALM_SECONDS}},
    }
    yield _object(plan, "autoscaling/v2", "HorizontalPodAutoscaler", name, scaler)
    # One at a time, also where there is but one: a node that is emptied must not wait for ever.
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": _selector(plan, component)}}
    yield _object(plan, "policy/v1", "PodDisruptionBudget", name, budget)


def _volume_claim(plan: Plan) -> Object:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": _DATABASE_SIZE}},
    }
    return _object(plan, "v1", "PersistentVolumeClaim", plan.name, spec)
