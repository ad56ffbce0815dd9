"""The Dockerfile has what an image needs, and nothing of what an author or a variable says can become an instruction."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser
from hypothesis import given
from hypothesis import strategies as st

from dockrion.build.dockerfile import quoted
from dockrion.spec import read_dockfile
from dockrion.version import VERSION

from .projects import HANDLER, parsed, plan, project

Written = Callable[..., DockerfileParser]

INSTRUCTIONS = [
    "COMMENT",
    "FROM",
    "ENV",
    "RUN",
    "RUN",
    "WORKDIR",
    "COPY",
    "RUN",
    "FROM",
    "ENV",
    "WORKDIR",
    "COPY",
    "COPY",
    "COPY",
    "RUN",
    "LABEL",
    "LABEL",
    "LABEL",
    "LABEL",
    "USER",
    "EXPOSE",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "CMD",
]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Return the Dockerfile of an agent with these sections, parsed."""

    def write(*, name: str = "Dockfile.yaml", requirements: str = "", **sections: Any) -> Any:
        files = {"service.py": HANDLER}
        if requirements:
            files["requirements.txt"] = requirements
        dockfile = project(tmp_path, files, name=name, **sections)
        return parsed(plan(dockfile).dockerfile)

    return write


def values(found: DockerfileParser, instruction: str) -> list[str]:
    return [step["value"] for step in found.structure if step["instruction"] == instruction]


def healthcheck(found: DockerfileParser) -> list[str]:
    [value] = values(found, "HEALTHCHECK")
    return json.loads(value.partition("CMD ")[2])


def test_it_has_what_an_image_needs_with_the_production_stage_last(written: Written) -> None:
    found = written()

    assert [step["instruction"] for step in found.structure] == INSTRUCTIONS
    assert found.parent_images == ["python:3.12-slim", "python:3.12-slim"]
    assert values(found, "FROM")[-1] == "python:3.12-slim AS production"
    assert values(found, "USER") == ["10001:10001"]
    assert values(found, "EXPOSE") == ["8080"]
    assert values(found, "STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(values(found, "CMD")[0]) == ["dockrion", "run", "Dockfile.yaml"]
    assert found.labels == {
        "org.opencontainers.image.title": "packed",
        "io.dockrion.framework": "custom",
        "org.opencontainers.image.base.name": "docker.io/library/python:3.12-slim",
        "io.dockrion.version": VERSION,
    }


def test_code_comes_after_what_is_installed_so_that_layers_are_kept(written: Written) -> None:
    copies = values(written(), "COPY")

    assert copies[:3] == [
        "requirements/ /app/",
        "--from=packages /opt/venv /opt/venv",
        "project/ /app/",
    ]


def test_every_command_is_a_list_of_words_that_no_shell_reads(written: Written) -> None:
    found = written()
    for value in [*values(found, "RUN"), *values(found, "CMD")]:
        assert all(isinstance(word, str) for word in json.loads(value))


def test_git_is_installed_where_a_requirement_comes_from_it(
    tmp_path: Path, written: Written
) -> None:
    installs = "RUN apt-get update"
    (tmp_path / "more.txt").write_text("tool @ git+https://example.com/tool.git\n")

    assert installs not in written().content
    assert installs not in written(requirements="gitpython\n").content
    assert installs in written(requirements=(tmp_path / "more.txt").read_text()).content
    assert installs in written(requirements="-r more.txt\n").content


HOSTILE = "one\"\nRUN evil \\\n$(rm -rf /) ${HOME} $HOME `id` 'x' \t # \u2028EVIL\x85EVIL\\"


def test_texts_of_the_author_are_data(written: Written) -> None:
    found = written(
        agent={
            "name": "packed",
            "handler": "service:answer",
            "description": HOSTILE.replace("${", "$${"),
        },
        metadata={
            "maintainer": HOSTILE.replace("${", "$${"),
            "version": '1"\nUSER root',
            "tags": ["a\nCMD evil", "ü"],
        },
    )

    expected = "one\" RUN evil \\ $(rm -rf /) ${HOME} $HOME `id` 'x' \t # EVIL EVIL\\"
    assert {step["instruction"] for step in found.structure} <= set(INSTRUCTIONS)
    assert len(values(found, "USER")) == len(values(found, "CMD")) == 1
    labels = labels_of(found)
    assert labels["org.opencontainers.image.description"] == expected
    assert labels["org.opencontainers.image.authors"] == expected
    assert labels["org.opencontainers.image.version"] == '1" USER root'
    assert labels["io.dockrion.tags"] == "a CMD evil,ü"


def labels_of(found: DockerfileParser) -> dict[str, str]:
    labels = {
        name: word(value)
        for name, _, value in (label.partition("=") for label in values(found, "LABEL"))
    }
    assert found.labels == labels, "another parser reads the same"
    return labels


def word(text: str) -> str:
    """Read one word as Docker does: what is in single quotes as it stands, no variable and no escape in double ones."""
    parts = re.findall(r"""'([^']*)'|"([^"$\\]*)"|(.)""", text, re.DOTALL)
    assert not any(loose for *_, loose in parts), "all of it is in quotes"
    return "".join(single + double for single, double, _ in parts)


@given(st.text())
def test_a_quoted_text_is_one_line_and_one_word(text: str) -> None:
    found = quoted(text)

    assert len(found.splitlines()) == 1
    said = word(found)
    assert said.split() == re.sub(r"[\x00-\x08\x0e-\x1b\x1f\x7f]", "", text).split()


def test_variables_stand_as_they_are_written(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OWNER", "VERSION", "ABOUT", "TAG"):
        monkeypatch.setenv(name, "expanded")
    found = written(
        agent={"name": "packed", "handler": "service:answer", "description": "${ABOUT}"},
        metadata={"maintainer": "by ${OWNER}", "version": "${VERSION:-1}", "tags": ["${TAG}", "b"]},
    )

    assert "expanded" not in found.content
    labels = labels_of(found)
    assert labels["org.opencontainers.image.description"] == "${ABOUT}"
    assert labels["org.opencontainers.image.authors"] == "by ${OWNER}"
    assert labels["org.opencontainers.image.version"] == "${VERSION:-1}"
    assert labels["io.dockrion.tags"] == "${TAG},b"


@pytest.mark.parametrize(
    ("port", "secrets", "exposed", "asked"),
    [
        (9001, {}, 9001, "9001"),
        ("${PORT:-8088}", {}, 8088, "int(os.environ.get('PORT') or 8088)"),
        ("${PORT}", {}, 8080, "int(os.environ.get('PORT') or 8080)"),
        (
            "${PORT}",
            {"optional": [{"name": "PORT", "default": "7000"}]},
            7000,
            "int(os.environ.get('PORT') or 7000)",
        ),
    ],
)
def test_the_port_is_the_one_that_a_container_will_have(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    port: int | str,
    secrets: dict[str, Any],
    exposed: int,
    asked: str,
) -> None:
    # Of this machine alone.
    monkeypatch.setenv("PORT", "5555")

    found = with_port(tmp_path, port, secrets)

    assert values(found, "EXPOSE") == [str(exposed)]
    assert f"HTTPConnection('localhost', {asked}, timeout=4)" in healthcheck(found)[-1]
    assert "5555" not in found.content


def with_port(folder: Path, port: int | str, secrets: dict[str, Any]) -> DockerfileParser:
    """Write the port without quotes, as authors do: in quotes it would be text."""
    dockfile = project(folder, {"service.py": HANDLER})
    dockfile.write_text(
        "version: '1.0'\nagent: {name: packed, handler: 'service:answer'}\nio_schema: {}\n"
        f"expose:\n  port: {port}\nsecrets: {json.dumps(secrets)}\n"
    )
    return parsed(plan(dockfile).dockerfile)


@pytest.mark.parametrize("status", [200, 503])
def test_the_healthcheck_asks_the_port_of_its_container(tmp_path: Path, status: int) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    command = healthcheck(with_port(tmp_path, "${PORT:-8080}", {}))
    # A module of the agent, and a proxy, that must not come in between.
    (tmp_path / "http.py").write_text("raise SystemExit(9)")
    environment = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        done = subprocess.run(
            [sys.executable, *command[1:]],
            cwd=tmp_path,
            env={**environment, "PORT": str(server.server_port)},
            capture_output=True,
            timeout=30,
            check=False,
        )
        server.shutdown()
        thread.join()

    assert done.returncode == (0 if status == 200 else 1), done.stderr
    assert command[0] == "python"


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("0.0.0.0", []),
        ("::", []),
        ("127.0.0.1", ["--host", "0.0.0.0"]),
        ("localhost", ["--host", "0.0.0.0"]),
        ("192.168.7.7", ["--host", "0.0.0.0"]),
        ("${HOST:-127.0.0.1}", ["--host", "0.0.0.0"]),
    ],
)
def test_a_container_listens_on_all_of_its_addresses(
    written: Written, host: str, options: list[str]
) -> None:
    command = json.loads(values(written(expose={"host": host}), "CMD")[0])
    assert command[3:] == options


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("agent.prod.yaml", "agent.prod.yaml"),
        ("--help.yaml", "./--help.yaml"),
        ('a "b" c\\\n$X.yaml', 'a "b" c\\\n$X.yaml'),
    ],
)
def test_any_name_of_a_dockfile_is_one_word_of_the_command(
    written: Written, name: str, word: str
) -> None:
    assert json.loads(values(written(name=name), "CMD")[0]) == ["dockrion", "run", word]


@pytest.mark.parametrize(
    ("sqlite", "folders"),
    [
        ({}, [".dockrion", ".dockrion_runtime", ".dockrion_runtime/logs"]),
        (
            {"path": "state/db/runs.db"},
            [".dockrion", ".dockrion_runtime", ".dockrion_runtime/logs", "state", "state/db"],
        ),
        (
            {"path": "/var/lib/runs.db"},
            [".dockrion", ".dockrion_runtime", ".dockrion_runtime/logs"],
        ),
        ({"path": "../runs.db"}, [".dockrion", ".dockrion_runtime", ".dockrion_runtime/logs"]),
        ({"path": "runs.db"}, ["", ".dockrion", ".dockrion_runtime", ".dockrion_runtime/logs"]),
    ],
)
def test_what_the_server_writes_to_belongs_to_the_user_of_the_image(
    written: Written, sqlite: dict[str, str], folders: list[str]
) -> None:
    found = written(streaming={"backend": "sqlite", "sqlite": sqlite})

    command = json.loads(values(found, "RUN")[-1])
    assert command[:6] == ["install", "-d", "-o", "10001", "-g", "10001"]
    assert command[6:] == [f"/app/{folder}".rstrip("/") for folder in folders]


def test_a_port_whose_variable_is_a_missing_secret_is_the_default(tmp_path: Path) -> None:
    dockfile = project(tmp_path, {"service.py": HANDLER})
    dockfile.write_text(
        "version: '1.0'\nagent: {name: packed, handler: 'service:answer'}\nio_schema: {}\n"
        "expose:\n  port: ${PORT}\n  host: ${HOST_NAME}\nsecrets: {required: [{name: PORT}, {name: HOST_NAME}]}\n"
    )
    assert read_dockfile(dockfile).missing_secrets == ["PORT", "HOST_NAME"]

    text = plan(dockfile).dockerfile

    assert "\nEXPOSE 8080\n" in text
    assert "int(os.environ.get('PORT') or 8080)" in text
    assert '\nCMD ["dockrion", "run", "Dockfile.yaml"]\n' in text
