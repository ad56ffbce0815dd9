"""Completion: what a shell is offered, without importing what runs agents."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from dockrion.cli.commands import COMMANDS, cli
from dockrion.cli.completion import SHELLS, VARIABLE

from .conftest import Result, dockrion

Call = Callable[..., Result]


def offers(*words: str) -> list[str]:
    """Return what is offered for the last word: names, and `file` where any file will do."""
    *before, last = words
    found = BashComplete(cli, {}, "dockrion", VARIABLE).get_completions(before, last)
    return [item.value if item.type == "plain" else item.type for item in found]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("",), sorted(COMMANDS)),
        (("val",), ["validate"]),
        (("add", ""), ["auth", "secrets", "streaming"]),
        (("test", "--pay"), ["--payload", "--payload-file"]),
        (("init", "x", "-a", ""), ["none", "api_key", "jwt", "oauth2"]),
        (("init", "x", "-F", "lang"), ["langgraph", "langchain"]),
        (("init", "x", "-E", ""), ["minimal", "chat", "debug", "all"]),
        (("add", "streaming", "--backend", "s"), ["sqlite"]),
        (("completion", ""), list(SHELLS)),
        (("validate", ""), ["file"]),
        (("run", "--env-file", ""), ["file"]),
        (("logs", "s"), ["speller"]),
        (("nonsense", "--d"), ["--debug"]),
    ],
)
def test_commands_options_values_and_files_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], offered: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".dockrion_runtime" / "logs"
    folder.mkdir(parents=True)
    (folder / "speller.log").touch()
    (folder / "echo.log").touch()

    assert offers(*words) == offered


def test_the_shell_gets_its_offers_and_no_command_runs() -> None:
    result = dockrion(
        _DOCKRION_COMPLETE="bash_complete", COMP_WORDS="dockrion version --", COMP_CWORD="2"
    )

    assert result == (0, "plain,--debug\nplain,--help\n", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_calls_the_command_back(call: Call, shell: str) -> None:
    result = call("completion", shell)

    assert result.code == 0
    assert f"_DOCKRION_COMPLETE={shell}_complete" in result.out


def test_bash_takes_the_script(call: Call) -> None:
    script = call("completion", "bash").out
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p dockrion"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "_dockrion_completion" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("tcsh",), ("bash", "zsh")])
def test_wrong_usage_is_2(call: Call, arguments: tuple[str, ...]) -> None:
    assert call("completion", *arguments).code == 2


def test_no_command_imports_what_it_runs_before_it_runs() -> None:
    script = """
import sys
from importlib import import_module
from dockrion.cli.commands import COMMANDS
for name in COMMANDS:
    import_module(f"dockrion.cli.{name}")
heavy = {"pydantic", "ruamel.yaml", "fastapi", "uvicorn", "msgspec", "httpx2"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("[]\n", "")
