"""Compose files: the compose specification takes them, and what they start fits the Dockfile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from compose_spec import PyCompose, parse_duration

from dockrion.build.manifests.compose import compose_of
from dockrion.build.manifests.gateway import configuration_of
from dockrion.errors import DockrionError
from dockrion.runtime.host import CLOSING_SECONDS
from dockrion.runtime.shutdown import DRAINED_SECONDS

from ..e2e.nginx import nginx
from ..missing import not_tested
from .manifest_cases import (
    CASES,
    NOTHING_KEPT,
    REDIS,
    SQLITE,
    Case,
    filled_in,
    manifest,
    planned,
    read_all,
)

ENVIRON = {"REDIS_PASSWORD": "pass"}


def composed(folder: Path, case: Case) -> dict[str, Any]:
    """Return what Compose makes of the file, its variables filled in."""
    [read] = read_all(manifest(planned(folder, case, "compose"), "compose"))
    return fill(read)


def fill(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: fill(value) for key, value in part.items()}
    if isinstance(part, list):
        return [fill(one) for one in part]
    return filled_in(part, ENVIRON) if isinstance(part, str) else part


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_specification_takes_every_file(tmp_path: Path, case: Case) -> None:
    plan = planned(tmp_path, case, "compose")

    parsed = PyCompose.from_yaml(manifest(plan, "compose"))

    assert parsed.name == f"dockrion-{plan.name}"
    services = {"agent"}
    services |= {"worker"} if plan.works else set()
    services |= {"redis"} if plan.own_redis else set()
    services |= {"gateway"} if plan.replicas > 1 else set()
    assert set(parsed.to_dict()["services"]) == services
    assert parsed.to_spec() is not None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_read_is_what_was_meant(tmp_path: Path, case: Case) -> None:
    plan = planned(tmp_path, case, "compose")
    folder = tmp_path / ".dockrion_runtime/deploy/compose"
    [read] = read_all(manifest(plan, "compose"))
    assert read == json.loads(json.dumps(compose_of(plan, folder=folder)))


@pytest.mark.parametrize(
    ("parts", "services"),
    [
        ({}, ["agent"]),
        (SQLITE, ["agent", "worker"]),
        ({**SQLITE, "streaming.async_runs": False}, ["agent"]),
        (REDIS, ["agent", "redis", "worker"]),
        ({**REDIS, "streaming.async_runs": False}, ["agent", "redis"]),
        ({**REDIS, "streaming.redis.url": "redis://cache:6379/0"}, ["agent", "worker"]),
    ],
)
def test_each_backend_has_the_services_that_it_needs(
    tmp_path: Path, parts: dict[str, Any], services: list[str]
) -> None:
    assert sorted(composed(tmp_path, Case("", parts))["services"]) == services


@pytest.mark.parametrize(
    ("url", "own"),
    [
        (None, True),
        ("redis://localhost:6379/0", True),
        ("redis://:x@127.0.0.1/0", True),
        ("redis://[::1]/0", True),
        ("redis://redis:6379", True),
        ("unix:///run/redis.sock", True),
        ("rediss://u:p@cache.example.com:6380/1", False),
        ("redis://10.0.0.7", False),
    ],
)
def test_a_redis_elsewhere_is_used_and_none_is_started(
    tmp_path: Path, url: str | None, own: bool
) -> None:
    case = Case("", REDIS, {} if url is None else {"REDIS_URL": url})

    services = composed(tmp_path, case)["services"]

    assert ("redis" in services) is own
    given = services["agent"]["environment"]["REDIS_URL"]
    # Without a value Compose passes on the one of where it is started.
    assert given == ("redis://:pass@redis:6379/0" if own else None)
    assert services["worker"]["environment"] == services["agent"]["environment"]
    if own:
        assert services["agent"]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_the_password_of_redis_is_in_no_command_line(tmp_path: Path) -> None:
    redis = composed(tmp_path, Case("", REDIS))["services"]["redis"]

    assert redis["environment"] == {"REDISCLI_AUTH": "pass"}
    assert redis["command"][:2] == ["sh", "-c"]
    assert 'printf "requirepass %s\\n" "$REDISCLI_AUTH"' in redis["command"][2]
    assert "exec redis-server" in redis["command"][2]
    assert "--maxmemory-policy noeviction" in redis["command"][2]
    assert "ports" not in redis


def test_env_files_are_named_and_not_copied(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MODEL_KEY=hush\n")
    case = Case("", {"secrets.required": [{"name": "MODEL_KEY"}]})

    plan = planned(tmp_path, case, "compose")
    text = manifest(plan, "compose", tmp_path / "out" / "er")
    [read] = read_all(text)

    agent = read["services"]["agent"]
    assert agent["env_file"] == [{"path": "../../.env", "required": False}]
    assert agent["environment"] == {}
    assert "hush" not in text


def test_an_environment_of_python_called_env_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (tmp_path / ".env/pyvenv.cfg").touch()
    assert composed(tmp_path, Case("", {}))["services"]["agent"]["env_file"] == []


def test_what_the_shell_has_is_passed_on_without_its_value(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("IN_BOTH=1\nIN_FILE=2\n")
    (tmp_path / "env.yaml").write_text("IN_YAML: 3\n")
    needed = [{"name": name} for name in ("IN_BOTH", "IN_FILE", "IN_YAML", "IN_SHELL", "NOWHERE")]
    case = Case("", {"secrets.required": needed}, {"IN_BOTH": "hush", "IN_SHELL": "hush"})
    agent = composed(tmp_path, case)["services"]["agent"]
    assert agent["environment"] == {"IN_BOTH": None, "IN_SHELL": None, "IN_YAML": None}


def test_a_container_has_time_to_drain(tmp_path: Path) -> None:
    case = Case("", {**SQLITE, "expose.shutdown_grace": 59.5})
    for service in composed(tmp_path, case)["services"].values():
        assert seconds(service["stop_grace_period"]) >= 59.5 + DRAINED_SECONDS + CLOSING_SECONDS


def seconds(duration: str) -> float:
    return parse_duration(duration)


def test_nothing_is_privileged_or_writes_where_it_need_not(tmp_path: Path) -> None:
    services = composed(tmp_path, Case("", SQLITE))["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"] == ["/tmp:mode=1777", "/app/.dockrion_runtime/logs:mode=1777"]
        assert service["volumes"] == ["runs:/app/.dockrion"]
        assert service["restart"] == "unless-stopped"


def test_an_image_of_the_same_name_is_never_fetched(tmp_path: Path) -> None:
    agent = composed(tmp_path, Case("", {}))["services"]["agent"]
    assert (agent["image"], agent["pull_policy"]) == ("dockrion/echo:dev", "never")


def test_only_the_server_is_asked_for_its_health(tmp_path: Path) -> None:
    services = composed(tmp_path, Case("", {**SQLITE, "expose.port": 9000}))["services"]
    check = services["agent"]["healthcheck"]["test"]
    assert check[:4] == ["CMD", "python", "-I", "-c"]
    compile(check[4], "check", "exec")
    assert "9000" in check[4]
    assert services["worker"]["healthcheck"] == {"disable": True}
    assert services["worker"]["entrypoint"] == ["dockrion", "worker", "/app/Dockfile.yaml"]


@pytest.mark.parametrize("replicas", [1, 3])
def test_one_port_leads_to_all_replicas(tmp_path: Path, replicas: int) -> None:
    case = Case("", {**NOTHING_KEPT, "expose.port": 9000}, replicas=replicas)

    read = composed(tmp_path, case)

    services = read["services"]
    assert services["agent"]["deploy"]["replicas"] == replicas
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    if replicas == 1:
        assert published == {"agent": ["9000:9000"]}
        assert "configs" not in read
    else:
        assert published == {"gateway": ["9000:8080"]}
        assert "proxy_buffering off;" in read["configs"]["gateway"]["content"]
        assert "set $agent agent:9000;" in read["configs"]["gateway"]["content"]


@pytest.mark.nginx
def test_nginx_takes_the_configuration_of_the_gateway(tmp_path: Path) -> None:
    program = nginx()
    if program is None:
        not_tested("the gateway's nginx.conf")
    read = composed(tmp_path, Case("", NOTHING_KEPT, replicas=2))
    config = tmp_path / "nginx.conf"
    # Where it would write in its container.
    text = read["configs"]["gateway"]["content"].replace("/tmp/", f"{tmp_path}/")
    config.write_text(text)

    done = subprocess.run(
        [program, "-t", "-p", tmp_path, "-c", config, "-e", tmp_path / "error.log"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_the_gateway_waits_for_as_long_as_a_run_may_take(tmp_path: Path) -> None:
    parts = {
        **NOTHING_KEPT,
        "streaming.events.max_run_duration": 600,
        "expose.limits.max_body_bytes": 5000,
    }
    plan = planned(tmp_path, Case("", parts, replicas=2), "compose")
    text = configuration_of(plan, 8080)
    assert "proxy_read_timeout 615s;" in text
    assert "client_max_body_size 5000;" in text


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/data/runs.db", "must be below the Dockfile's folder"),
        ("runs.db", "must be in a folder of its own"),
    ],
)
def test_a_file_of_runs_that_no_volume_could_keep_is_refused(
    tmp_path: Path, path: str, words: str
) -> None:
    with pytest.raises(DockrionError, match=words):
        planned(tmp_path, Case("", {**SQLITE, "streaming.sqlite.path": path}), "compose")


def test_replicas_of_one_machine_may_share_a_file_of_runs(tmp_path: Path) -> None:
    read = composed(tmp_path, Case("", SQLITE, replicas=3))
    assert read["volumes"] == {"runs": {}}
    assert read["services"]["agent"]["deploy"]["replicas"] == 3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("target", ["compose", "kubernetes"])
def test_no_value_of_a_variable_is_in_any_manifest(tmp_path: Path, case: Case, target: Any) -> None:
    (tmp_path / ".env").write_text("ELSE=hush\nMODEL_KEY=hush\n")
    (tmp_path / "env.yml").write_text("REDIS_PASSWORD: hush\nNICE: hush\n")
    if target == "kubernetes" and case.replicas and case.parts.get("streaming.backend") == "sqlite":
        pytest.skip("refused")
    assert "hush" not in manifest(planned(tmp_path, case, target), target)
