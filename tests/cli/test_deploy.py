"""`dockrion deploy`: what is printed, what is written, and which command line does the rest."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Result, command_line, dockrion

Agent = Callable[..., Path]
Call = Callable[..., Result]

WRITTEN = "# Written by dockrion, which overwrites it.\n"
TOOLS = {"compose": "docker", "kubernetes": "kubectl"}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder to put on the path, in which docker and kubectl only record what they are told."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS.values():
        tool = folder / name
        tool.write_text(
            f'#!/bin/sh\nprintf "%s\\n" {name} "$@" > "{folder}/called"\nenv > "{folder}/environment"\n'
            'echo "said by the tool"\nexit "${ENDS_WITH:-0}"\n'
        )
        tool.chmod(0o755)
    return folder


def called(tools: Path) -> list[str]:
    return (tools / "called").read_text().splitlines()


def environment(tools: Path) -> dict[str, str]:
    lines = (tools / "environment").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def path_with(tools: Path | None = None) -> str:
    return os.pathsep.join([*([str(tools)] if tools else []), "/usr/bin", "/bin"])


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("compose", ["docker", "compose", "-f", "FILE", "up", "-d", "--remove-orphans"]),
        ("kubernetes", ["kubectl", "apply", "-f", "FILE"]),
    ],
)
def test_it_writes_the_manifests_and_has_the_tool_apply_them(
    agent: Agent, tools: Path, target: str, line: list[str]
) -> None:
    path = agent()

    result = dockrion("deploy", path, "--target", target, PATH=path_with(tools))

    file = path.parent / f".dockrion_runtime/deploy/{target}/{target}.yaml"
    assert result.code == 0, result.err
    assert result.out == f"{file}\n"
    assert "said by the tool" in result.err
    assert file.read_text().startswith(WRITTEN)
    assert called(tools) == [str(file) if word == "FILE" else word for word in line]


@pytest.mark.parametrize("target", TOOLS)
def test_without_the_tool_it_says_what_to_run(agent: Agent, tmp_path: Path, target: str) -> None:
    output = tmp_path / "with space"

    result = dockrion("deploy", agent(), "--target", target, "-o", output, PATH="")

    file = output / f"{target}.yaml"
    assert result.code == 0
    assert result.out == f"{file}\n"
    assert f"{TOOLS[target]} is not here; where it is, run: {TOOLS[target]} " in result.err
    assert f"'{file}'" in result.err
    assert yaml.safe_load_all(file.read_text())


@pytest.mark.parametrize("target", TOOLS)
def test_a_dry_run_prints_and_touches_nothing(
    agent: Agent, tools: Path, tmp_path: Path, target: str
) -> None:
    path = agent()
    before = sorted(tmp_path.rglob("*"))

    result = dockrion("deploy", path, "--target", target, "--dry-run", PATH=path_with(tools))

    assert result.code == 0
    assert sorted(tmp_path.rglob("*")) == before
    documents = list(yaml.safe_load_all(result.out))
    assert documents[0]
    dockrion("deploy", path, "--target", target, PATH=path_with(tools))
    file = path.parent / f".dockrion_runtime/deploy/{target}/{target}.yaml"
    assert result.out == file.read_text()


def test_a_tool_that_fails_is_an_error(agent: Agent, tools: Path) -> None:
    result = dockrion(
        "deploy", agent(), "--target", "kubernetes", PATH=path_with(tools), ENDS_WITH="3"
    )
    assert result.code == 1
    assert result.out == ""
    assert "Error: `kubectl apply` ended with code 3\nHint: what it said stands above" in result.err


@pytest.mark.parametrize("target", TOOLS)
def test_json_is_one_object(agent: Agent, tools: Path, target: str) -> None:
    path = agent()

    done = dockrion("deploy", path, "--target", target, "--json", PATH=path_with(tools))
    told = json.loads(done.out)

    assert told["agent"] == "speller"
    assert told["image"] == "dockrion/speller:dev"
    assert told["applied"] is True
    assert told["command"][0] == TOOLS[target]
    assert Path(told["file"]).is_file()

    dry = dockrion("deploy", path, "--target", target, "--json", "--dry-run", PATH="")
    documents = json.loads(dry.out)["documents"]
    assert documents == list(yaml.safe_load_all(Path(told["file"]).read_text()))


def test_missing_secrets_are_a_warning(agent: Agent, call: Call) -> None:
    path = agent(secrets={"required": [{"name": "MODEL_KEY"}]})

    result = call("deploy", path, "--target", "kubernetes", "--dry-run")

    assert result.code == 0
    assert "Warning: Missing required secrets: MODEL_KEY\n" in result.err
    assert "the Secret speller has to hold MODEL_KEY\n" in result.err


@pytest.mark.parametrize(("given", "warned"), [({}, True), ({"PROD_API_KEY_CI": "k"}, False)])
def test_a_server_that_would_have_no_key_is_a_warning(
    agent: Agent, call: Call, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], warned: bool
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    result = call(
        "deploy",
        agent(auth={"api_keys": {"prefix": "prod"}}),
        "--target",
        "kubernetes",
        "--dry-run",
    )

    assert ("Warning: auth.api_keys: no key is set here" in result.err) is warned
    assert ("PROD_API_KEY_CI" in result.out) is not warned


def test_redis_may_be_set_where_it_runs_alone(
    agent: Agent, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    path = agent(streaming={"backend": "redis"})

    cluster = call("deploy", path, "--target", "kubernetes", "--dry-run")
    assert cluster.code == 0, cluster.err
    assert "the Secret speller has to hold REDIS_URL\n" in cluster.err

    machine = call("deploy", path, "--target", "compose", "--dry-run")
    assert machine.code == 0, machine.err
    assert "Warning: REDIS_PASSWORD is not set" in machine.err


@pytest.mark.parametrize("target", TOOLS)
def test_no_secret_is_in_any_file_or_command_line(
    agent: Agent, tools: Path, tmp_path: Path, target: str
) -> None:
    path = agent(
        agent={"name": "speller", "handler": "service:answer", "description": "${FROM_SHELL}"},
        streaming={"backend": "redis"},
        auth={"api_keys": {"keys": [{"name": "ci", "env_var": "CI_KEY"}]}},
        arguments={"token": "${UNDECLARED}"},
        secrets={
            "required": [{"name": "FROM_SHELL"}, {"name": "FROM_ENV"}, {"name": "FROM_YAML"}],
            "optional": [{"name": "BY_DEFAULT", "default": "planted-default"}],
        },
    )
    (tmp_path / ".env").write_text("FROM_ENV=planted-env\nCI_KEY=planted-key\n")
    (tmp_path / "env.yaml").write_text("FROM_YAML: planted-yaml\n")
    (tmp_path / "more.env").write_text("REDIS_PASSWORD=planted-redis\n")
    given: dict[str, str] = {
        "PATH": path_with(tools),
        "FROM_SHELL": "planted-shell",
        "UNDECLARED": "planted-undeclared",
        "REDIS_URL": "redis://:planted-url@localhost/0",
    }
    options = ("--target", target, "-e", tmp_path / "more.env")

    results = [
        dockrion("deploy", path, *options, *more, folder=tmp_path, **given)
        for more in ([], ["--json"], ["--dry-run"], ["--dry-run", "--json"])
    ]

    assert [result.code for result in results] == [0, 0, 0, 0], results[0].err
    written = tmp_path / f".dockrion_runtime/deploy/{target}"
    texts = [*results[0], *results[1], *results[2], *results[3], *called(tools)]
    texts += [file.read_text() for file in written.iterdir()]
    assert [text for text in texts if "planted" in str(text)] == []
    if target == "compose":
        # They reach containers through the environment that Compose is started in.
        passed = environment(tools)
        assert passed["FROM_YAML"] == "planted-yaml"
        assert passed["REDIS_PASSWORD"] == "planted-redis"
        [read] = yaml.safe_load_all((written / "compose.yaml").read_text())
        service = read["services"]["agent"]
        assert [one["path"] for one in service["env_file"]] == [
            "../../../.env",
            "../../../more.env",
        ]
        assert [name for name, value in service["environment"].items() if value is None] == [
            "FROM_SHELL",
            "FROM_YAML",
            "UNDECLARED",
        ]


def test_replicas_that_cannot_share_are_refused(agent: Agent, call: Call) -> None:
    result = call("deploy", agent(), "--target", "compose", "--replicas", "2", "--dry-run")
    assert result.code == 1
    assert result.out == ""
    assert "Error: 2 replicas cannot share runs with `streaming.backend: memory`" in result.err
    assert "Hint: or serve with one replica" in result.err


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--target", "swarm"),
        ("--target", "compose", "--replicas", "0"),
        ("--target", "compose", "--replicas", "-1"),
        ("--target", "compose", "--replicas", "100000000000"),
        ("--target", "compose", "--replicas", "two"),
        ("--target", "compose", "--tag", "-x"),
        ("--target", "compose", "--tag", "a b"),
        ("--target", "compose", "--tag", ""),
        ("--target", "compose", "--image", "a b"),
        ("--target", "compose", "--image", "-x"),
        ("--target", "compose", "--image", "a", "--tag", "b"),
        ("--target", "compose", "--host", "agent.example.com"),
        ("--target", "kubernetes", "--host", "Agent Example"),
        ("--target", "kubernetes", "--host", "x" * 64 + ".example.com"),
    ],
)
def test_wrong_usage_is_2(agent: Agent, call: Call, options: tuple[str, ...]) -> None:
    result = call("deploy", agent(), *options)
    assert (result.code, result.out) == (2, "")


def test_image_tag_and_host_are_taken_over(agent: Agent, call: Call) -> None:
    def documents(*options: str) -> list[dict[str, Any]]:
        result = call("deploy", agent(), "--target", "kubernetes", "--dry-run", *options)
        assert result.code == 0, result.err
        return list(yaml.safe_load_all(result.out))

    def image(found: list[dict[str, Any]]) -> str:
        [deployment] = [one for one in found if one["kind"] == "Deployment"]
        return deployment["spec"]["template"]["spec"]["containers"][0]["image"]

    assert image(documents("--tag", "v1.2_x")) == "dockrion/speller:v1.2_x"
    named = "registry.example.com:5000/team/agent@sha256:" + "a" * 64
    assert image(documents("--image", named)) == named
    [ingress] = [
        one for one in documents("--host", "agent.example.com") if one["kind"] == "Ingress"
    ]
    assert ingress["spec"]["rules"][0]["host"] == "agent.example.com"


def test_an_image_of_a_registry_is_fetched(agent: Agent, call: Call) -> None:
    result = call("deploy", agent(), "--target", "compose", "--dry-run", "--image", "r.example/a:1")
    service = yaml.safe_load(result.out)["services"]["agent"]
    assert (service["image"], service["pull_policy"]) == ("r.example/a:1", "missing")


def test_a_file_of_somebody_else_is_left_alone(agent: Agent, tmp_path: Path) -> None:
    mine = tmp_path / "out/compose.yaml"
    mine.parent.mkdir()
    mine.write_text("services: {}\n")

    result = dockrion("deploy", agent(), "--target", "compose", "-o", mine.parent, PATH="")

    assert result.code == 1
    assert f"Error: {mine} is there, and dockrion has not written it\nHint: " in result.err
    assert mine.read_text() == "services: {}\n"


@pytest.mark.parametrize("reason", ["a file", "read-only"])
def test_a_folder_that_cannot_be_written_is_an_error(
    agent: Agent, tmp_path: Path, reason: str
) -> None:
    output = tmp_path / "out"
    if reason == "a file":
        output.write_text("")
        output = output / "below"
    else:
        output = Path("/proc/1/dockrion")

    result = dockrion("deploy", agent(), "--target", "compose", "-o", output, PATH="")

    assert result.code == 1
    assert f"Error: {output}/compose.yaml cannot be written: " in result.err
    assert "Hint: -o names the folder" in result.err
    assert "Traceback" not in result.err


def test_two_at_once_leave_a_whole_file(agent: Agent, tmp_path: Path) -> None:
    path = agent()
    arguments = ("deploy", path, "--target", "kubernetes", "-o", tmp_path / "out")
    processes = [
        subprocess.Popen(
            command_line([*arguments, "--tag", f"t{number}"]),
            env={**os.environ, "PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(3)
    ]

    for process in processes:
        process.communicate(timeout=60)

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["kubernetes.yaml"]
    documents = list(yaml.safe_load_all((tmp_path / "out/kubernetes.yaml").read_text()))
    assert len(documents) == 4


def test_a_dockfile_elsewhere_keeps_its_own_folder(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = agent()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    result = dockrion("deploy", path, "--target", "compose", "-o", "out", folder=elsewhere, PATH="")

    assert result.code == 0, result.err
    read = yaml.safe_load((elsewhere / "out/compose.yaml").read_text())
    assert read["services"]["agent"]["env_file"][0]["path"] == "../../.env"


def test_a_missing_dockfile_is_named(call: Call, tmp_path: Path) -> None:
    result = call("deploy", tmp_path / "none.yaml", "--target", "compose")
    assert result.code == 1
    assert "none.yaml not found" in result.err
