"""`.dockrion_runtime/`: a main.py that any ASGI server takes, a requirements.txt, and no secret in either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockrion.build.runtime_files import write_runtime
from dockrion.spec import read_dockfile
from dockrion.version import VERSION

from .bare_machine import without_rights

SERVICE = "import os\ndef answer(payload): return {'key': os.environ['RUNTIME_KEY']}"
# Asks the app as a server would: its lifespan runs, then one request.
ASK = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from main import app
from dockrion.testing import post

async def ask():
    async with post(app, "/invoke", b"{}") as exchange:
        print((await exchange.read()).decode())

asyncio.run(ask())
"""


def written(folder: Path, *, name: str = "Dockfile.yaml", **sections: Any) -> Path:
    """Write an agent into the folder, and its runtime; return the runtime's folder."""
    (folder / "service.py").write_text(SERVICE)
    path = folder / name
    path.write_text(
        json.dumps(
            {
                "version": "1.0",
                "agent": {"name": "local", "handler": "service:answer"},
                "io_schema": {},
                "expose": {},
                **sections,
            }
        )
    )
    return write_runtime(path, read_dockfile(path).spec)


@pytest.mark.parametrize("name", ["Dockfile.yaml", """it's "my" {agent}.yaml"""])
def test_main_has_the_app_of_the_dockfile_wherever_it_is_run(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path, name=name)
    (tmp_path / ".env").write_text("RUNTIME_KEY=from the file\n")

    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == {"key": "from the file"}


def test_no_value_of_a_variable_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_KEY", "hush")
    folder = written(
        tmp_path,
        agent={"name": "local", "handler": "service:answer", "description": "${RUNTIME_KEY}"},
        arguments={"key": "${RUNTIME_KEY}"},
        secrets={"required": [{"name": "RUNTIME_KEY"}]},
    )

    assert [path.name for path in folder.iterdir() if "hush" in path.read_text()] == []


def test_requirements_name_dockrion_with_the_extras_that_the_dockfile_needs(
    tmp_path: Path,
) -> None:
    folder = written(
        tmp_path,
        agent={"name": "local", "entrypoint": "service:graph", "framework": "langgraph"},
        streaming={"backend": "redis", "redis": {"url": "redis://h"}},
        auth={"mode": "jwt", "jwt": {"public_key_env": "K"}},
        observability={"otlp": {}},
    )

    lines = (folder / "requirements.txt").read_text().splitlines()

    assert lines[1:] == [f"dockrion[jwt,langgraph,otel,redis]=={VERSION}"]


@pytest.mark.parametrize(
    ("auth", "extras"),
    [
        ({"mode": "jwt", "jwt": {"jwks_url": "https://h/keys"}}, "[jwt]"),
        ({"mode": "oauth2", "oauth2": {"introspection_url": "https://h/ask"}}, "[oauth2]"),
        ({"mode": "api_key"}, ""),
        ({"mode": "none"}, ""),
    ],
)
def test_requirements_have_what_the_mode_of_auth_needs(
    tmp_path: Path, auth: dict[str, Any], extras: str
) -> None:
    folder = written(tmp_path, auth=auth)
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert lines[1:] == [f"dockrion{extras}=={VERSION}"]


def test_the_agents_requirements_are_included_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("tool @ git+https://example.com/tool.git\n")

    folder = written(tmp_path)

    lines = (folder / "requirements.txt").read_text().splitlines()
    assert lines[1:] == [f"dockrion=={VERSION}", "-r ../requirements.txt"]
    assert (folder / lines[-1].removeprefix("-r ")).samefile(tmp_path / "requirements.txt")


def test_an_agent_that_lists_dockrion_itself_is_included_alone(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("dockrion>=0.0.1\n")

    folder = written(tmp_path)

    assert (folder / "requirements.txt").read_text().splitlines()[1:] == ["-r ../requirements.txt"]


def test_a_file_that_says_the_same_is_left_alone(tmp_path: Path) -> None:
    folder = written(tmp_path)
    before = (folder / "main.py").stat().st_mtime_ns
    (folder / "requirements.txt").write_text("changed by hand")

    written(tmp_path)

    assert (folder / "main.py").stat().st_mtime_ns == before
    assert "changed by hand" not in (folder / "requirements.txt").read_text()


def test_what_an_image_has_of_these_files_is_left_alone_where_it_cannot_be_written(
    tmp_path: Path,
) -> None:
    if os.geteuid() == 0 and not without_rights():
        pytest.skip("root may write everywhere, and cannot become somebody else here")
    folder = written(tmp_path)
    requirements = folder / "requirements.txt"
    requirements.write_text("# of the image\n")
    requirements.chmod(0o444)
    folder.chmod(0o555)
    code = (
        "import sys; from pathlib import Path; from dockrion.spec import read_dockfile\n"
        "from dockrion.build.runtime_files import write_runtime\n"
        "path = Path(sys.argv[1]); write_runtime(path, read_dockfile(path).spec)"
    )

    done = subprocess.run(
        [*without_rights(), sys.executable, "-c", code, tmp_path / "Dockfile.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    folder.chmod(0o755)

    assert done.returncode == 0, done.stderr
    assert requirements.read_text() == "# of the image\n"
