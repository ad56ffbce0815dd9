"""`dockrion build`: data on standard output, all else on standard error, and the command line that Docker is given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Result, command_line, dockrion

Agent = Callable[..., Path]
Call = Callable[..., Result]

# Writes down how it was called and what the context holds, talks on both streams, and ends as it is told.
DOCKER = """#!{python}
import json, os, sys
from pathlib import Path
context = Path(sys.argv[-1])
record = {{
    "arguments": sys.argv[1:],
    "dockerfile": (context / "Dockerfile").read_text().splitlines()[1],
    "project": sorted(str(p.relative_to(context / "project")) for p in context.rglob("project/*")),
}}
Path({record!r}).write_text(json.dumps(record))
print("docker on standard output")
print("docker on standard error", file=sys.stderr)
sys.exit(int(os.environ.get("DOCKER_ENDS_WITH", "0")))
"""


class Docker:
    """A stand-in for docker on the PATH."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "record.json"
        self.path = str(folder)
        folder.mkdir()
        program = folder / "docker"
        program.write_text(DOCKER.format(python=sys.executable, record=str(self._record)))
        program.chmod(0o755)

    @property
    def record(self) -> dict[str, Any]:
        return json.loads(self._record.read_text())


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory) -> Docker:
    return Docker(tmp_path_factory.mktemp("machine") / "bin")


def test_docker_is_given_the_image_and_the_context(agent: Agent, docker: Docker) -> None:
    path = agent()

    result = dockrion("build", path, PATH=docker.path)

    context = path.parent / ".dockrion_runtime/context"
    assert result.code == 0, result.err
    assert docker.record["arguments"] == ["build", "-t", "dockrion/speller:dev", str(context)]
    assert docker.record["dockerfile"].startswith("FROM python:3.12-slim")
    assert docker.record["project"] == [".dockrion_runtime", "Dockfile.yaml", "service.py"]


def test_options_reach_docker(agent: Agent, docker: Docker) -> None:
    path = agent()
    options = ["--target", "local", "--tag", "v1.2_3-rc", "--no-cache"]

    result = dockrion("build", path, *options, PATH=docker.path)

    assert result.code == 0
    assert docker.record["arguments"][:-1] == [
        "build",
        "-t",
        "dockrion/speller:v1.2_3-rc",
        "--no-cache",
    ]


def test_the_name_of_the_image_is_all_that_is_printed(agent: Agent, docker: Docker) -> None:
    result = dockrion("build", agent(), PATH=docker.path)

    assert result.out == "dockrion/speller:dev\n"
    assert "docker on standard output\n" in result.err
    assert "docker on standard error\n" in result.err


def test_a_docker_that_fails_is_an_error_that_follows_what_it_said(
    agent: Agent, docker: Docker
) -> None:
    result = dockrion("build", agent(), PATH=docker.path, DOCKER_ENDS_WITH="17")

    assert result.code == 1
    assert result.out == ""
    said, _, error = result.err.partition("Error: ")
    assert "docker on standard error\n" in said
    assert error.startswith("docker build ended with code 17\nHint: ")


def test_without_docker_it_says_so_and_how_to_go_on(agent: Agent, tmp_path: Path) -> None:
    path = agent()

    result = dockrion("build", path, PATH=str(tmp_path))

    assert result.code == 1
    assert result.err.startswith("Error: docker is not installed, or not on the PATH\nHint: ")
    assert "--no-docker" in result.err
    assert not (path.parent / ".dockrion_runtime").exists()


def test_the_context_alone_needs_no_docker(agent: Agent, call: Call, docker: Docker) -> None:
    path = agent()

    result = call("build", path, "--no-docker")

    runtime = path.parent / ".dockrion_runtime"
    assert result.code == 0, result.err
    assert result.out == f"{runtime}/context\n"
    assert result.err.startswith("6 files, ")
    assert {entry.name for entry in runtime.iterdir()} == {
        "context",
        "Dockerfile",
        "main.py",
        "requirements.txt",
    }


def test_json_is_one_object_and_nothing_else(agent: Agent, docker: Docker) -> None:
    path = agent()

    results = [
        dockrion("build", path, "--json", *options, PATH=docker.path)
        for options in ([], ["--no-docker"])
    ]

    runtime = path.parent / ".dockrion_runtime"
    said = [json.loads(result.out) for result in results]
    assert [result.pop("status") for result in said] == ["built", "written"]
    assert said[0] == said[1]
    assert said[0].pop("bytes") > 1000
    assert said[0] == {
        "image": "dockrion/speller:dev",
        "agent_name": "speller",
        "runtime_dir": str(runtime),
        "context": str(runtime / "context"),
        "files": 6,
        "warnings": [],
    }


def test_verbose_lists_files_detected_imports_and_where_secrets_are_from(
    agent: Agent, call: Call, tmp_path: Path
) -> None:
    path = agent(
        build={"auto_detect_imports": True},
        secrets={"required": [{"name": "API_KEY"}], "optional": [{"name": "OTHER_KEY"}]},
    )
    (tmp_path / "service.py").write_text("import words\ndef answer(payload): return {}")
    (tmp_path / "words.py").write_text("")
    (tmp_path / "requirements.txt").write_text("-r more.txt\n")
    (tmp_path / "more.txt").write_text("")
    (tmp_path / ".env").write_text("API_KEY=sk-0123456789abcdef\n")

    result = call("build", path, "--no-docker", "-v")

    assert result.err.splitlines()[:-1] == [
        "secret  API_KEY    .env",
        "secret  OTHER_KEY  not set",
        "file    Dockfile.yaml",
        "file    service.py",
        "file    words.py",
        "import  words.py",
        "needed to install  more.txt",
    ]


def test_warnings_are_told(agent: Agent, call: Call, tmp_path: Path) -> None:
    path = agent()
    (tmp_path / "service.py").write_text("import words\ndef answer(payload): return {}")
    (tmp_path / "words.py").write_text("")

    result = call("build", path, "--no-docker")

    assert result.err.startswith(
        "Warning: service.py imports words.py, which is not in the image: "
        "list it under build.include, or set build.auto_detect_imports\n"
    )


def test_a_missing_secret_stops_it_unless_that_is_allowed(agent: Agent, call: Call) -> None:
    path = agent(
        secrets={"required": [{"name": "FIRST_KEY"}, {"name": "SECOND_KEY"}]},
        arguments={"key": "${FIRST_KEY}"},
    )

    refused = call("build", path, "--no-docker")
    allowed = call("build", path, "--no-docker", "--allow-missing-secrets")

    assert refused.code == 1
    assert refused.err.startswith("Error: Missing required secrets: FIRST_KEY, SECOND_KEY\nHint: ")
    assert allowed.code == 0
    assert allowed.err.startswith("Warning: Missing required secrets: FIRST_KEY, SECOND_KEY\n")


def test_an_env_file_gives_secrets_and_stays_out(agent: Agent, call: Call, tmp_path: Path) -> None:
    path = agent(
        secrets={"required": [{"name": "API_KEY"}]},
        build={"include": {"directories": ["conf"]}},
    )
    (tmp_path / "conf").mkdir()
    variables = tmp_path / "conf" / "variables"
    variables.write_text("API_KEY=sk-0123456789abcdef\n")

    result = call("build", path, "--no-docker", "-e", variables)

    assert result.code == 0, result.err
    assert not (path.parent / ".dockrion_runtime/context/project/conf/variables").exists()
    assert call("build", path, "--no-docker", "-e", tmp_path / "none").code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tag", ".hidden"], "'.hidden' is none"),
        (["--tag", ""], "'' is none"),
        (["--tag", "a b"], "'a b' is none"),
        (["--tag", "x\n"], "is none"),
        (["--tag", "x" * 129], "is none"),
        (["--target", "remote"], "'remote' is not 'local'"),
        (["--no-such"], "No such option"),
    ],
)
def test_wrong_usage_ends_with_2(agent: Agent, call: Call, arguments: list[str], told: str) -> None:
    result = call("build", agent(), "--no-docker", *arguments)

    assert result.code == 2
    assert told in result.err


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        (
            {"build": {"exclude": ["*.py"]}},
            "agent.handler: service.py is the agent's own module, and build.exclude keeps it out",
        ),
        (
            {"build": {"include": {"files": ["a.txt"], "directories": ["b"]}}},
            "  build.include.directories[0]: b not found\n  build.include.files[0]: a.txt not found",
        ),
        ({"agent": {"name": "speller-", "handler": "service:answer"}}, "'speller-' names no image"),
        ({"expose": {"protocols": ["no-such"]}}, "expose.protocols"),
    ],
)
def test_what_makes_no_image_ends_with_1_and_names_it(
    agent: Agent, call: Call, sections: dict[str, Any], told: str
) -> None:
    result = call("build", agent(**sections), "--no-docker")

    assert result.code == 1
    assert told in result.err
    assert "\nHint: " in result.err
    assert "Traceback" not in result.err


def test_a_pin_that_contradicts_dockrion_ends_with_1_and_names_both_sides(
    agent: Agent, call: Call, tmp_path: Path
) -> None:
    path = agent()
    (tmp_path / "requirements.txt").write_text("click\ndockrion==0.0.1\n")

    result = call("build", path, "--no-docker")

    assert result.code == 1
    assert "requirements.txt:2" in result.err
    assert "dockrion==0.0.1" in result.err
    assert not (tmp_path / ".dockrion_runtime").exists()


def test_a_dockfile_that_is_not_there_is_told_as_everywhere(call: Call, tmp_path: Path) -> None:
    result = call("build", tmp_path)

    assert result.code == 1
    assert "Dockfile.yaml not found" in result.err


def test_a_project_may_be_anywhere_and_be_called_anything(
    agent: Agent, docker: Docker, tmp_path: Path
) -> None:
    folder = tmp_path / "my project" / "-v $HOME"
    folder.mkdir(parents=True)
    path = agent()
    (tmp_path / "service.py").rename(folder / "service.py")
    path.rename(folder / "--tag=x.yaml")

    result = dockrion(
        "build", "my project/-v $HOME/--tag=x.yaml", folder=tmp_path, PATH=docker.path
    )

    assert result.code == 0, result.err
    assert docker.record["arguments"][-1] == str(folder / ".dockrion_runtime/context")


def test_ctrl_c_ends_it_and_docker(agent: Agent, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport os, time\nos.write(2, b'at work\\n')\ntime.sleep(60)\n"
    )
    program.chmod(0o755)
    process = subprocess.Popen(
        command_line(["build", agent()]),
        env={**os.environ, "PATH": str(program.parent)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == "at work\n":
            break

    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)

    assert process.returncode == 130
