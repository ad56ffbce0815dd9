"""`dockrion run --install`: what the agent lists is installed where dockrion runs, and nothing without the option."""

from __future__ import annotations

import ensurepip
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result, dockrion

Agent = Callable[..., Path]

WHEEL = "tiny_tool-1.0-py3-none-any.whl"


@pytest.fixture
def needs_tool(agent: Agent, tmp_path: Path) -> Path:
    """An agent that needs a package which stands as a wheel beside it, and which no index is asked for."""
    info = "tiny_tool-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as wheel:
        wheel.writestr("tiny_tool.py", "WORD = 'installed'")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-tool\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    (tmp_path / "requirements.txt").write_text(f"--no-index\n./{WHEEL}\n")
    path = agent(expose={"port": 1})
    (tmp_path / "service.py").write_text("from tiny_tool import WORD\ndef answer(p): return {}")
    return path


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment that sees this one's packages, and takes what is installed; return its Python."""
    folder = tmp_path / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60
    )
    scheme = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    (packages / "outer.pth").write_text(
        f"{sysconfig.get_path('purelib')}\n{Path(__file__).parents[2] / 'src'}\n"
    )
    return folder / "bin" / "python"


def run_in(python: Path, *arguments: str | Path, **environ: str) -> Result:
    done = subprocess.run(
        [python, "-m", "dockrion.cli", "run", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def has_tool(python: Path) -> bool:
    done = subprocess.run([python, "-c", "import tiny_tool"], capture_output=True, check=False)
    return done.returncode == 0


def test_pip_installs_it_where_there_is_no_uv(needs_tool: Path, environment: Path) -> None:
    [pip] = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")

    result = run_in(
        environment, needs_tool, "--install", "--host", "no such host", PATH="", PYTHONPATH=str(pip)
    )

    # It went on to serve, which this address does not allow.
    assert "no such host" in result.err
    assert "Successfully installed tiny-tool-1.0" in result.err
    assert result.out == ""
    assert has_tool(environment)


def test_uv_is_taken_where_it_is_there(needs_tool: Path, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "uv"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$PWD: $@"\nexit 3\n')
    fake.chmod(0o755)

    result = dockrion(
        "run", needs_tool, "--install", PATH=f"{fake.parent}{os.pathsep}/usr/bin:/bin"
    )

    assert result.code == 1
    told = f"{tmp_path}: pip install --python {sys.executable} -r requirements.txt"
    assert result.err.startswith(
        f"{told}\nError: {tmp_path}/requirements.txt could not be installed: "
    )
    assert "uv ended with code 3\nHint: " in result.err


def test_nothing_is_installed_without_it(needs_tool: Path, environment: Path) -> None:
    result = run_in(environment, needs_tool, "--host", "127.0.0.1", "--port", "0")

    assert result.code == 1
    assert "tiny_tool" in result.err
    assert not has_tool(environment)


def test_without_a_requirements_file_there_is_nothing_to_install(agent: Agent) -> None:
    result = dockrion("run", agent(), "--install")

    assert result.code == 1
    assert "requirements.txt not found: there is nothing to install\nHint: " in result.err


def test_without_uv_and_pip_it_says_what_is_missing(needs_tool: Path, environment: Path) -> None:
    result = run_in(environment, needs_tool, "--install", PATH="")

    assert result.code == 1
    assert (
        "Error: --install needs uv or pip, and this environment has neither\nHint: " in result.err
    )
