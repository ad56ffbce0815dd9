"""Kubernetes objects: each cluster's schemas take them, and a platform engineer finds in them what he looks for."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from dockrion.build.manifests.kubernetes import objects_of
from dockrion.errors import DockrionError
from dockrion.runtime.host import CLOSING_SECONDS
from dockrion.runtime.shutdown import DRAINED_SECONDS

from .manifest_cases import (
    CASES,
    NASTY,
    NOTHING_KEPT,
    REDIS,
    SQLITE,
    Case,
    manifest,
    planned,
    read_all,
)

VERSIONS = ["1.30", "1.33", "1.37"]


@pytest.fixture(autouse=True)
def _read_schemas_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", schema_contents)


schema_contents = cache(kubernetes_validate.utils.schema_contents)


def objects(folder: Path, case: Case) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what stands in the file, by kind and name, without the agent's name in front."""
    plan = planned(folder, case, "kubernetes")
    read = read_all(manifest(plan, "kubernetes"))
    return {
        (one["kind"], one["metadata"]["name"].removeprefix(plan.name).strip("-")): one
        for one in read
    }


def pod(folder: Path, case: Case, name: str = "") -> dict[str, Any]:
    return objects(folder, case)["Deployment", name]["spec"]["template"]["spec"]


def variables(container: dict[str, Any]) -> dict[str, Any]:
    """Return what each variable comes from: a value, or whether its key of the Secret may be missing."""
    return {
        one["name"]: one["value"]
        if "value" in one
        else one["valueFrom"]["secretKeyRef"].get("optional", False)
        for one in container["env"]
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_schemas_of_several_versions_take_every_object(tmp_path: Path, case: Case) -> None:
    read = read_all(manifest(planned(tmp_path, case, "kubernetes"), "kubernetes"))

    assert len(read) >= 4
    for one in read:
        for version in VERSIONS:
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_read_is_what_was_meant(tmp_path: Path, case: Case) -> None:
    plan = planned(tmp_path, case, "kubernetes")
    assert read_all(manifest(plan, "kubernetes")) == json.loads(json.dumps(objects_of(plan)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_names_and_labels_are_such_as_clusters_take(tmp_path: Path, case: Case) -> None:
    for one in objects_of(planned(tmp_path, case, "kubernetes")):
        assert is_label(one["metadata"]["name"])
        for label in all_labels(one):
            assert is_label_value(label), label


def is_label(text: str) -> bool:
    letters = text.replace("-", "")
    return (
        0 < len(text) <= 63
        and text[0].isalpha()
        and text[-1] != "-"
        and letters.isascii()
        and letters.isalnum()
        and letters == letters.lower()
    )


def is_label_value(text: str) -> bool:
    letters = text.replace("-", "").replace("_", "").replace(".", "")
    return len(text) <= 63 and (
        not text or (letters.isascii() and letters.isalnum() and (text[0] + text[-1]).isalnum())
    )


def all_labels(part: Any) -> list[str]:
    if isinstance(part, list):
        return [label for one in part for label in all_labels(one)]
    if not isinstance(part, dict):
        return []
    own = [value for key in ("labels", "matchLabels") for value in part.get(key, {}).values()]
    return own + [label for value in part.values() for label in all_labels(value)]


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        (
            Case("kept in memory", {}),
            {"NetworkPolicy": 1, "Deployment": 1, "Service": 1, "Ingress": 1},
        ),
        (
            Case("nothing kept", NOTHING_KEPT),
            {
                "NetworkPolicy": 1,
                "Deployment": 1,
                "Service": 1,
                "Ingress": 1,
                "HorizontalPodAutoscaler": 1,
                "PodDisruptionBudget": 1,
            },
        ),
        (
            Case("redis", REDIS),
            {
                "NetworkPolicy": 2,
                "Deployment": 2,
                "Service": 1,
                "Ingress": 1,
                "HorizontalPodAutoscaler": 2,
                "PodDisruptionBudget": 2,
            },
        ),
        (
            Case("sqlite", SQLITE),
            {
                "PersistentVolumeClaim": 1,
                "NetworkPolicy": 1,
                "Deployment": 1,
                "Service": 1,
                "Ingress": 1,
            },
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)
def test_each_backend_has_the_objects_that_it_needs(
    tmp_path: Path, case: Case, kinds: dict[str, int]
) -> None:
    found: dict[str, int] = {}
    for kind, _ in objects(tmp_path, case):
        found[kind] = found.get(kind, 0) + 1
    assert found == kinds


def test_selectors_find_the_pods_of_their_own_part(tmp_path: Path) -> None:
    found = objects(tmp_path, Case("", REDIS))
    labels = {
        name: found["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        for name in ("", "worker")
    }

    def chosen(selector: dict[str, str]) -> list[str]:
        return [name for name, own in labels.items() if selector.items() <= own.items()]

    for name in ("", "worker"):
        for kind in ("Deployment", "PodDisruptionBudget"):
            assert chosen(found[kind, name]["spec"]["selector"]["matchLabels"]) == [name]
        policy = found["NetworkPolicy", name]["spec"]
        assert chosen(policy["podSelector"]["matchLabels"]) == [name]
        scaled = found["HorizontalPodAutoscaler", name]["spec"]["scaleTargetRef"]
        assert scaled["name"] == found["Deployment", name]["metadata"]["name"]
    assert chosen(found["Service", ""]["spec"]["selector"]) == [""]


@pytest.mark.parametrize(
    ("replicas", "bounds"), [(None, (2, 10)), (3, (3, 15)), (1, (1, 5)), (1000, (1000, 1000))]
)
def test_the_autoscaler_says_how_many_there_are(
    tmp_path: Path, replicas: int | None, bounds: tuple[int, int]
) -> None:
    found = objects(tmp_path, Case("", REDIS, replicas=replicas))
    scaler = found["HorizontalPodAutoscaler", ""]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == bounds
    assert "replicas" not in found["Deployment", ""]["spec"]


@pytest.mark.parametrize("parts", [{}, SQLITE])
def test_what_cannot_be_shared_is_one_replica(tmp_path: Path, parts: dict[str, Any]) -> None:
    assert objects(tmp_path, Case("", parts))["Deployment", ""]["spec"]["replicas"] == 1


def test_a_pod_has_time_to_leave_the_balancer_and_to_drain(tmp_path: Path) -> None:
    case = Case("", {**REDIS, "expose.shutdown_grace": 59.5})
    server, worker = pod(tmp_path, case), pod(tmp_path, case, "worker")

    [container] = server["containers"]
    leaves = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    needed = 59.5 + DRAINED_SECONDS + CLOSING_SECONDS

    assert leaves == 5
    assert server["terminationGracePeriodSeconds"] >= leaves + needed
    assert worker["terminationGracePeriodSeconds"] >= needed
    assert "lifecycle" not in worker["containers"][0]


def test_probes_ask_the_paths_that_tell(tmp_path: Path) -> None:
    [container] = pod(tmp_path, Case("", {"expose.port": 9000}))["containers"]
    paths = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/health", "liveness": "/health", "readiness": "/ready"}
    assert container["ports"] == [{"name": "http", "containerPort": 9000}]
    [worker] = pod(tmp_path, Case("", REDIS), "worker")["containers"]
    assert not {"ports", "startupProbe", "livenessProbe", "readinessProbe"} & worker.keys()


def test_nothing_runs_as_root_or_writes_where_it_need_not(tmp_path: Path) -> None:
    spec = pod(tmp_path, Case("", SQLITE))
    [container] = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    volumes = {one["name"]: one for one in spec["volumes"]}
    kinds = {
        mount["mountPath"]: next(kind for kind in volumes[mount["name"]] if kind != "name")
        for mount in container["volumeMounts"]
    }
    assert kinds == {
        "/tmp": "emptyDir",
        "/app/.dockrion_runtime/logs": "emptyDir",
        "/app/.dockrion": "persistentVolumeClaim",
    }


def test_a_file_of_runs_is_never_open_in_two_pods(tmp_path: Path) -> None:
    found = objects(tmp_path, Case("", SQLITE))
    assert found["Deployment", ""]["spec"]["strategy"] == {"type": "Recreate"}
    assert found["PersistentVolumeClaim", ""]["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_a_worker_of_a_file_of_runs_is_in_the_servers_pod(tmp_path: Path) -> None:
    spec = pod(tmp_path, Case("", {**SQLITE, "streaming.worker": False}))

    server, worker = spec["containers"]

    assert worker["command"] == ["dockrion", "worker", "/app/Dockfile.yaml"]
    assert worker["volumeMounts"] == server["volumeMounts"]


def test_variables_come_out_of_the_secret_of_the_agent(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "secrets and variables")

    [container] = pod(tmp_path, case)["containers"]

    assert variables(container) == {
        "MODEL_KEY": False,
        "NICE": True,
        "REGION": True,
        "TEAM": False,
        "WITH_DEFAULT": True,
    }
    names = {
        one["valueFrom"]["secretKeyRef"]["name"]: one["valueFrom"]["secretKeyRef"]["key"]
        for one in container["env"]
    }
    assert set(names) == {"echo"}


def test_variables_of_env_files_are_taken_from_the_secret_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FROM_FILE=hush\nwith-hyphen=x\n")
    [container] = pod(tmp_path, Case("", {}, {"OF_THE_SHELL": "x"}))["containers"]
    assert variables(container) == {"FROM_FILE": True}


def test_where_traces_go_may_be_said_by_the_secret(tmp_path: Path) -> None:
    [container] = pod(tmp_path, Case("", {"observability.otlp": {}}))["containers"]
    assert variables(container) == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": True,
        "OTEL_EXPORTER_OTLP_HEADERS": True,
    }


def test_a_worker_needs_no_keys_of_callers(tmp_path: Path) -> None:
    case = Case("", {**REDIS, "auth.mode": "api_key", "secrets.required": [{"name": "MODEL_KEY"}]})
    [server] = pod(tmp_path, case)["containers"]
    [worker] = pod(tmp_path, case, "worker")["containers"]
    assert [*variables(server)] == ["DOCKRION_API_KEY", "MODEL_KEY", "REDIS_URL"]
    assert [*variables(worker)] == ["MODEL_KEY", "REDIS_URL"]


def test_what_a_manifest_holds_a_container_comes_to_as_well(tmp_path: Path) -> None:
    case = Case(
        "", {"expose.port": "${PORT:-9000}", "agent.description": "$PORT"}, {"PORT": "7000"}
    )
    [container] = pod(tmp_path, case)["containers"]
    assert variables(container) == {"PORT": "7000"}
    assert container["ports"][0]["containerPort"] == 7000
    [container] = pod(tmp_path, Case("", case.parts))["containers"]
    assert variables(container) == {}
    assert container["ports"][0]["containerPort"] == 9000


def test_a_value_is_not_filled_in_by_the_cluster(tmp_path: Path) -> None:
    case = Case(
        "",
        {**SQLITE, "streaming.sqlite.path": "${PLACE}/runs.db"},
        {"PLACE": "a$(HOME)b"},
    )
    [container] = pod(tmp_path, case)["containers"]
    assert variables(container) == {"PLACE": "a$$(HOME)b"}
    assert container["volumeMounts"][-1]["mountPath"] == "/app/a$(HOME)b"


def test_the_ingress_lets_streams_through_for_as_long_as_a_run_may_take(tmp_path: Path) -> None:
    parts = {
        "streaming.events.max_run_duration": 600,
        "expose.limits.max_body_bytes": 5000,
        "expose.root_path": "/agents/echo",
    }
    ingress = objects(tmp_path, Case("", parts))["Ingress", ""]

    prefix = "nginx.ingress.kubernetes.io/"
    annotations = {
        key.removeprefix(prefix): value for key, value in ingress["metadata"]["annotations"].items()
    }
    assert annotations["proxy-buffering"] == "off"
    assert annotations["proxy-body-size"] == "5000"
    assert int(annotations["proxy-read-timeout"]) > 600
    assert int(annotations["proxy-send-timeout"]) > 600
    [rule] = ingress["spec"]["rules"]
    assert "host" not in rule
    assert rule["http"]["paths"][0]["path"] == "/agents/echo"


def test_texts_of_the_dockfile_are_annotations_as_they_stand(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "texts that look like syntax")
    annotations = objects(tmp_path, case)["Deployment", ""]["metadata"]["annotations"]
    assert annotations == {
        "dockrion/agent": "echo",
        "dockrion/description": NASTY.replace("\0", ""),
        "dockrion/version": "1e3",
        "dockrion/maintainer": NASTY.replace("\0", ""),
        "dockrion/tags": "on, " + NASTY.replace("\0", ""),
    }


@pytest.mark.parametrize(("protect", "told"), [([], True), (["docs"], True), (["metrics"], False)])
def test_prometheus_is_told_of_metrics_that_it_may_read(
    tmp_path: Path, protect: list[str], told: bool
) -> None:
    case = Case("", {"auth.mode": "api_key", "auth.protect": protect, "expose.port": 81})
    template = objects(tmp_path, case)["Deployment", ""]["spec"]["template"]
    annotations = template["metadata"].get("annotations", {})
    assert annotations == (
        {
            "prometheus.io/scrape": "true",
            "prometheus.io/path": "/metrics",
            "prometheus.io/port": "81",
        }
        if told
        else {}
    )


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (Case("", {}, replicas=2), "2 replicas cannot share runs with `streaming.backend: memory`"),
        (
            Case("", SQLITE, replicas=2),
            "2 replicas cannot share runs with `streaming.backend: sqlite`",
        ),
        (
            Case("", {**SQLITE, "streaming.sqlite.path": "runs.db"}),
            "streaming.sqlite.path: must be in a folder of its own",
        ),
        (
            Case("", {**SQLITE, "streaming.sqlite.path": "a/../../runs.db"}),
            "streaming.sqlite.path: must be in a folder of its own",
        ),
        (
            Case("", {**SQLITE, "streaming.sqlite.path": "/runs.db"}),
            "streaming.sqlite.path: must be in a folder of its own",
        ),
        (
            Case("", {"agent.name": "a-"}),
            "agent.name: 'a-' names no image",
        ),
        (
            Case(
                "", {"agent.name": "${NAME}", "secrets.required": [{"name": "NAME"}]}, {"NAME": "x"}
            ),
            "agent.name: the secret NAME fills it in",
        ),
        (
            Case(
                "",
                {
                    "streaming.connection.resume_window": "${W}",
                    "secrets.required": [{"name": "W"}],
                },
            ),
            "streaming.connection.resume_window: the secret W fills it in",
        ),
        (
            Case("", {"expose.port": "${P}", "secrets.required": [{"name": "P"}]}),
            "expose.port: the secret P fills it in",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_cluster_could_not_run_is_refused(tmp_path: Path, case: Case, words: str) -> None:
    with pytest.raises(DockrionError) as caught:
        planned(tmp_path, case, "kubernetes")
    assert caught.value.message.startswith(words)


def test_a_volume_that_would_hide_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/runs.db-wal").touch()
    case = Case("", {**SQLITE, "streaming.sqlite.path": "app/runs.db"})
    planned(tmp_path, case, "kubernetes")

    (tmp_path / "app/service.py").touch()
    with pytest.raises(DockrionError, match=r"would hide service\.py"):
        planned(tmp_path, case, "kubernetes")


def test_agents_with_long_names_have_objects_of_their_own(tmp_path: Path) -> None:
    names = ["a" * 52, "a" * 53, "a" * 54, "a", "a-worker", "a--worker", f"{'a' * 51}-b"]
    taken = [
        objects_of(
            planned(tmp_path / str(number), Case("", {**REDIS, "agent.name": name}), "kubernetes")
        )
        for number, name in enumerate(names)
    ]
    deployments = [
        one["metadata"]["name"] for found in taken for one in found if one["kind"] == "Deployment"
    ]
    assert len(set(deployments)) == 2 * len(names)
