"""The image, made without Docker, serves the agent: its Dockerfile's steps, its command, a stream over HTTP, no secret."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import urllib.request
import zipfile
from pathlib import Path

import pytest

from dockrion import generate_runtime
from tests.e2e.server import free_port
from tests.missing import not_tested

from .bare_machine import UV, BareMachine, make_wheel, without_rights
from .projects import project

SECRETS = {
    ".env": "canary-dotenv-1111",
    "env.yaml": "canary-yaml-2222",
    "shell": "canary-shell-3333",
    "-e": "canary-env-file-4444",
    "key": "canary-private-key-5555",
    "git": "canary-of-git-6666",
    "config": "canary-config-7777",
}
AGENT = """
import os
import tiny_tool
from shared.words import WORDS
from importlib import resources

async def answer(payload):
    yield resources.files("prompts").joinpath("hello.txt").read_text()
    for word in WORDS:
        yield word
    yield tiny_tool.WORD
    yield os.environ["FROM_DOTENV"][:3]
"""
TOKENS = ["Hello", " from", " the", " image", " installed", "xyz"]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> BareMachine:
    if not UV.is_file():
        not_tested("uv is not in .tools")
    folder = tmp_path_factory.mktemp("image")
    make_wheel(folder / "wheels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FROM_SHELL", SECRETS["shell"])
        dockfile = write_project(folder / "project")
        runtime = generate_runtime(dockfile, env_file=folder / "project/conf/prod.vars")
    return BareMachine(folder / "root", runtime / "context", folder / "wheels")


def write_project(folder: Path) -> Path:
    tool = tiny_tool(folder)
    dockfile = project(
        folder,
        {
            "bot/__init__.py": "",
            "bot/service.py": AGENT,
            "shared/words.py": "WORDS = [' from', ' the', ' image']",
            "prompts/hello.txt": "Hello",
            "requirements.txt": f"# the agent's own\n./{tool}\n",
            ".env": f"FROM_DOTENV={SECRETS['.env']}\n",
            "env.yaml": f"FROM_YAML: {SECRETS['env.yaml']}\n",
            "conf/prod.vars": f"FROM_FILE={SECRETS['-e']}\n",
            "conf/settings.ini": "level=1",
            "conf/server.key": SECRETS["key"],
            "conf/credentials.json": SECRETS["config"],
            ".git/config": SECRETS["git"],
        },
        agent={
            "name": "packed",
            "handler": "bot.service:answer",
            "description": 'says "${FROM_DOTENV}"',
        },
        metadata={"maintainer": "${FROM_YAML}", "tags": ["${FROM_FILE}"]},
        arguments={"token": "${FROM_SHELL}"},
        secrets={
            "required": [{"name": name} for name in ("FROM_DOTENV", "FROM_YAML", "FROM_SHELL")]
        },
        build={
            "auto_detect_imports": True,
            "include": {"directories": ["conf"], "patterns": ["prompts/*.txt"]},
        },
    )
    # A variable without quotes, which JSON has not.
    content = json.loads(dockfile.read_text())
    content["expose"] = "PORT"
    lines = [f"{key}: {json.dumps(value)}" for key, value in content.items()]
    dockfile.write_text("\n".join(lines).replace('"PORT"', "\n  port: ${PORT:-8080}"))
    return dockfile


def tiny_tool(folder: Path) -> str:
    """Write a wheel into the project; return its path there."""
    place = "wheels/tiny_tool-1.0-py3-none-any.whl"
    (folder / "wheels").mkdir(parents=True)
    info = "tiny_tool-1.0.dist-info"
    with zipfile.ZipFile(folder / place, "w") as wheel:
        wheel.writestr("tiny_tool.py", "WORD = ' installed'")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-tool\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return place


def test_the_image_serves_streams_is_healthy_and_ends_when_it_is_told_to(
    machine: BareMachine,
) -> None:
    port = free_port()
    environment = {
        "PORT": str(port),
        "FROM_DOTENV": "xyz of the container",
        "FROM_YAML": "1",
        "FROM_SHELL": "1",
        "FROM_FILE": "1",
    }
    assert not machine.is_healthy(**environment)
    with machine.running(**environment) as server:
        wait_until_ready(server, port)
        assert stream(port) == TOKENS
        assert machine.is_healthy(**environment)
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    log = machine.root / "app/.dockrion_runtime/logs/packed.log"
    assert '"path":"/invoke/stream","status":200' in log.read_text()
    if without_rights():
        assert log.stat().st_uid == 10001


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    assert server.stderr is not None
    said = b""
    for line in server.stderr:
        said += line
        if line.startswith(b"  stop "):
            return
    raise AssertionError(said.decode())


def stream(port: int) -> list[str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invoke/stream", b"{}", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        data = [line[6:] for line in response if line.startswith(b"data: ")]
    events = [json.loads(line) for line in data]
    assert events[-1]["type"] == "complete"
    return [event["content"] for event in events if event["type"] == "token"]


def test_no_secret_of_the_project_is_anywhere_in_it(machine: BareMachine, tmp_path: Path) -> None:
    folders = [*machine.stages, machine.context]
    canaries = {name: value.encode() for name, value in SECRETS.items()}
    found: list[tuple[str, Path]] = []
    searched = 0
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                searched += 1
                content = path.read_bytes()
                found += [(name, path) for name, value in canaries.items() if value in content]

    assert found == []
    # The search would have found something: what is public of the same files is there.
    assert searched > 500
    assert b"${FROM_DOTENV}" in (machine.context / "project/Dockfile.yaml").read_bytes()
    assert {path.name for path in machine.context.rglob("*.env*")} == set()


def test_the_image_holds_what_the_dockfile_says_and_nothing_else(machine: BareMachine) -> None:
    app = machine.root / "app"
    logs = app / ".dockrion_runtime/logs"
    there = {
        p.relative_to(app).as_posix()
        for p in app.rglob("*")
        if p.is_file() and logs not in p.parents
    }

    assert there == {
        "Dockfile.yaml",
        "bot/__init__.py",
        "bot/service.py",
        "shared/words.py",
        "prompts/hello.txt",
        "conf/settings.ini",
        ".dockrion_runtime/main.py",
        ".dockrion_runtime/requirements.txt",
    }


def test_what_is_installed_is_compiled_and_its_byte_code_has_no_time(machine: BareMachine) -> None:
    [compiled] = (machine.root / "opt/venv").rglob("tiny_tool.cpython-*.pyc")
    # https://peps.python.org/pep-0552/: the lowest bit says hash, the next one that it is checked.
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01


def test_code_belongs_to_root_and_what_is_written_to_the_user(machine: BareMachine) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    app = machine.root / "app"

    owners = {path.relative_to(app).as_posix(): path.stat().st_uid for path in app.rglob("*")}

    writable = (".dockrion", ".dockrion_runtime")
    assert {uid for path, uid in owners.items() if path.startswith(writable)} == {10001}
    assert {uid for path, uid in owners.items() if not path.startswith(writable)} == {0}
    assert stat.S_IMODE((app / "bot/service.py").stat().st_mode) == 0o644
    assert machine.user == "10001:10001"
    assert machine.exposed == ["8080"]
