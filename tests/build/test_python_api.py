"""`generate_runtime`, `clean_runtime` and `deploy`: what the command line does, from Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dockrion import (
    BuildConflictError,
    DeploymentError,
    MissingSecretError,
    ModuleMissingError,
    ValidationError,
    clean_runtime,
    deploy,
    generate_runtime,
)

from .projects import HANDLER, project

FILES = {"service.py": HANDLER}


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a docker on the PATH that writes its arguments into the file that is returned."""
    folder = tmp_path_factory.mktemp("bin")
    record = folder / "record.json"
    program = folder / "docker"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"open({str(record)!r}, 'w').write(json.dumps(sys.argv[1:]))\n"
        "print('step 1'); print('no space left', file=sys.stderr)\n"
        "sys.exit(int(os.environ.get('DOCKER_ENDS_WITH', '0')))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return record


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_generate_runtime_writes_the_files_and_the_context(tmp_path: Path) -> None:
    runtime = generate_runtime(str(project(tmp_path, FILES)))

    assert runtime == tmp_path / ".dockrion_runtime"
    assert names(runtime) == {"main.py", "requirements.txt", "Dockerfile", "context"}


def test_generate_runtime_without_a_dockerfile_writes_what_a_server_needs(tmp_path: Path) -> None:
    runtime = generate_runtime(project(tmp_path, FILES), include_dockerfile=False)

    assert names(runtime) == {"main.py", "requirements.txt"}


def test_generate_runtime_writes_where_it_is_told_and_never_into_itself(tmp_path: Path) -> None:
    dockfile = project(tmp_path, FILES, build={"include": {"directories": ["."]}})
    output = tmp_path / "out" / "inside"

    generate_runtime(dockfile, output_dir=str(output))
    assert generate_runtime(dockfile, output_dir=str(output)) == output

    assert "../../Dockfile.yaml" in (output / "main.py").read_text()
    context = output / "context/project"
    assert names(context) == {".dockrion_runtime", "Dockfile.yaml", "service.py"}
    assert not (tmp_path / ".dockrion_runtime").exists()


def test_generate_runtime_needs_no_secrets(tmp_path: Path) -> None:
    secrets = {"required": [{"name": "API_KEY"}]}
    assert generate_runtime(project(tmp_path, FILES, secrets=secrets)).is_dir()


def test_generate_runtime_may_come_before_the_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dockfile = project(tmp_path, {})

    runtime = generate_runtime(dockfile)

    assert names(runtime / "context/project") == {".dockrion_runtime", "Dockfile.yaml"}
    assert "agent.handler: no module 'service'" in caplog.text
    with pytest.raises(ModuleMissingError):
        deploy(dockfile)


def test_generate_runtime_takes_an_env_file(tmp_path: Path) -> None:
    dockfile = project(tmp_path, FILES, agent={"name": "${NAME}", "handler": "service:answer"})
    (tmp_path / "variables").write_text("NAME=from-the-file\n")

    runtime = generate_runtime(dockfile, env_file=tmp_path / "variables")

    assert "from-the-file" not in (runtime / "Dockerfile").read_text()
    with pytest.raises(ValidationError, match="NAME"):
        generate_runtime(dockfile)


def test_clean_runtime_removes_what_was_generated_and_keeps_logs(tmp_path: Path) -> None:
    dockfile = project(tmp_path, FILES)
    runtime = generate_runtime(dockfile)

    assert clean_runtime(dockfile) is True
    assert not runtime.exists()
    assert clean_runtime(dockfile) is False

    generate_runtime(dockfile)
    (runtime / "logs").mkdir()
    (runtime / "logs/packed.log").write_text("{}")
    assert clean_runtime(tmp_path) is True
    assert names(runtime) == {"logs"}
    assert clean_runtime(dockfile) is False


def test_clean_runtime_cleans_another_folder(tmp_path: Path) -> None:
    dockfile = project(tmp_path, FILES)
    generate_runtime(dockfile, output_dir=tmp_path / "out")
    (tmp_path / "out/mine.txt").write_text("")

    assert clean_runtime(dockfile, output_dir=tmp_path / "out") is True
    assert names(tmp_path / "out") == {"mine.txt"}


def test_deploy_builds_the_image(tmp_path: Path, docker: Path) -> None:
    dockfile = project(tmp_path, FILES)

    result = deploy(dockfile, tag="v1", no_cache=True)

    runtime = tmp_path / ".dockrion_runtime"
    assert result == {
        "image": "dockrion/packed:v1",
        "status": "built",
        "agent_name": "packed",
        "runtime_dir": str(runtime),
    }
    image = ["-t", "dockrion/packed:v1"]
    assert json.loads(docker.read_text()) == ["build", *image, "--no-cache", f"{runtime}/context"]


def test_deploy_from_the_agents_own_folder_gives_docker_an_absolute_path(
    tmp_path: Path, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)

    assert deploy("Dockfile.yaml")["runtime_dir"] == str(tmp_path / ".dockrion_runtime")
    assert json.loads(docker.read_text())[-1] == f"{tmp_path}/.dockrion_runtime/context"


def test_deploy_tells_what_docker_said_when_it_fails(
    tmp_path: Path, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_ENDS_WITH", "3")

    with pytest.raises(DeploymentError) as caught:
        deploy(project(tmp_path, FILES))

    assert caught.value.code == "DEPLOYMENT_ERROR"
    assert caught.value.message.startswith("docker build ended with code 3\n")
    assert "no space left" in caught.value.message


def test_deploy_without_docker_is_a_deployment_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeploymentError, match="docker is not installed"):
        deploy(project(tmp_path, FILES))


def test_deploy_needs_the_secrets_unless_they_may_be_missing(tmp_path: Path, docker: Path) -> None:
    dockfile = project(tmp_path, FILES, secrets={"required": [{"name": "API_KEY"}]})

    with pytest.raises(MissingSecretError) as caught:
        deploy(dockfile)

    assert caught.value.missing_secrets == ["API_KEY"]
    assert not docker.exists()
    assert deploy(dockfile, allow_missing_secrets=True)["status"] == "built"
    (tmp_path / "variables").write_text("API_KEY=x\n")
    assert deploy(dockfile, env_file=str(tmp_path / "variables"))["status"] == "built"


@pytest.mark.parametrize("arguments", [{"tag": "no tag"}, {"tag": ""}, {"tag": "-x"}])
def test_deploy_refuses_a_tag_that_docker_would_not_take(
    tmp_path: Path, docker: Path, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="tag: must be"):
        deploy(project(tmp_path, FILES), **arguments)
    assert not docker.exists()


def test_deploy_knows_no_other_target(tmp_path: Path, docker: Path) -> None:
    with pytest.raises(DeploymentError, match="target: must be local, got 'moon'"):
        deploy(project(tmp_path, FILES), target="moon")


def test_an_exclusion_of_the_agent_is_a_build_conflict(tmp_path: Path, docker: Path) -> None:
    with pytest.raises(BuildConflictError) as caught:
        deploy(project(tmp_path, FILES, build={"exclude": ["*"]}))
    assert caught.value.code == "BUILD_CONFLICT"
