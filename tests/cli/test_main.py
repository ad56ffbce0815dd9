"""What holds for every command: help, exit codes, errors with a hint and without a traceback, lightness."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click
import pytest

from dockrion.cli import main, version
from dockrion.cli.commands import COMMANDS, cli
from dockrion.errors import DockrionError, MissingSecretError

from .conftest import Result, dockrion

Call = Callable[..., Result]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make `dockrion version` raise."""

    def fail_with(error: BaseException) -> None:
        def raises() -> None:
            raise error

        monkeypatch.setattr(version.command, "callback", raises)

    return fail_with


def test_alone_it_shows_the_help(call: Call) -> None:
    alone, asked = call(), call("--help")

    assert alone == asked
    assert alone.code == 0
    for name, summary in COMMANDS.items():
        assert f"  {name} " in alone.out
        assert summary in alone.out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_debug(call: Call, name: str) -> None:
    result = call(name, "-h")

    assert result.code == 0
    assert f"Usage: dockrion {name}" in result.out
    assert "--debug" in result.out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_called_as_it_is_listed(name: str) -> None:
    command: click.Command = import_module(f"dockrion.cli.{name}").command
    context = click.Context(cli)

    assert cli.get_command(context, name) is command
    assert COMMANDS[name].rstrip(".") in (command.help or "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("--nonsense",),
        ("version", "--nonsense"),
        ("run", "--port", "http"),
        ("run", "--port", "65536"),
        ("run", "one", "two"),
        ("run", "--workers", "0"),
        ("run", "--reload", "--workers", "2"),
        ("test",),
        ("test", "-p", "{}", "-f", "payload.json"),
    ],
)
def test_wrong_usage_is_2(call: Call, arguments: tuple[str, ...]) -> None:
    result = call(*arguments)

    assert result.code == 2
    assert result.out == ""
    assert "Error: " in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rum",), "No such command 'rum'. Did you mean 'run'?"),
        (("versions", "-h"), "No such command 'versions'. Did you mean 'version'?"),
        (("nonsense",), "No such command 'nonsense'."),
        (("run", "--prot", "80"), "--port"),
        (("run", "--host", ""), "must not be blank; 0.0.0.0 listens on every address."),
        (("run", "--host", " "), "must not be blank; 0.0.0.0 listens on every address."),
    ],
)
def test_wrong_usage_says_what_may_be_meant(
    call: Call, arguments: tuple[str, ...], said: str
) -> None:
    result = call(*arguments)

    assert result.code == 2
    assert said in result.err.splitlines()[-1]


@pytest.mark.parametrize("command", [("run",), ("validate",), ("test", "-p", "{}")])
def test_a_missing_dockfile_is_1_everywhere(
    call: Call, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = call(*command)

    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("Error: Dockfile.yaml not found\nHint: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--port", "0", "-e"), "cannot be read: Is a directory"),
        (("schema", "-o"), "cannot be written: Is a directory"),
    ],
)
def test_what_cannot_be_used_as_a_file_is_told_in_our_words(
    call: Call,
    agent: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(agent().parent)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # as for whoever is not root

    result = call(*arguments, "/")

    assert result.code == 1
    assert result.err.startswith(f"Error: / {said}\nHint: ")
    assert "traceback" not in result.err


def test_a_folder_stands_for_the_dockfile_in_it(call: Call, agent: Callable[..., Path]) -> None:
    assert call("validate", agent().parent).code == 0


def test_an_error_is_a_message_and_a_hint(
    call: Call, failing: Callable[[BaseException], None]
) -> None:
    failing(MissingSecretError(["A_KEY", "B_KEY"]))

    result = call("version")

    assert result.code == 1
    assert result.out == ""
    message, hint = result.err.splitlines()
    assert message == "Error: Missing required secrets: A_KEY, B_KEY"
    assert hint.startswith("Hint: set them in the shell")


def test_an_error_may_bring_its_own_hint(
    call: Call, failing: Callable[[BaseException], None]
) -> None:
    error = DockrionError("the door is closed")
    error.add_note("knock")
    failing(error)

    assert call("version").err == "Error: the door is closed\nHint: knock\n"


def test_a_bug_is_one_line_and_no_traceback(
    call: Call, failing: Callable[[BaseException], None]
) -> None:
    failing(RuntimeError("first line\nsecond line"))

    result = call("version")

    assert result.code == 1
    assert result.err.splitlines()[0] == "Error: RuntimeError: first line second line"
    assert "Traceback" not in result.err


@pytest.mark.parametrize("arguments", [("--debug", "version"), ("version", "--debug")])
def test_debug_shows_the_traceback_wherever_it_stands(
    call: Call, failing: Callable[[BaseException], None], arguments: tuple[str, ...]
) -> None:
    failing(RuntimeError("broken"))

    result = call(*arguments)

    assert result.code == 1
    assert "Traceback (most recent call last)" in result.err


@pytest.mark.parametrize("command", [("run", "--port", "0"), ("test", "-p", "{}")])
def test_no_error_shows_the_value_of_a_secret(
    agent: Callable[..., Path], tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = agent(io_schema={}, secrets={"required": [{"name": "SPELLER_KEY"}]})
    (tmp_path / ".env").write_text('SPELLER_KEY="first-half\\nother-half"\n')
    (tmp_path / "service.py").write_text("import os\nraise KeyError(os.environ['SPELLER_KEY'])\n")

    result = dockrion("--debug", command[0], path, *command[1:])

    assert result.code == 1
    assert "KeyError: '***'" in result.err
    assert "half" not in result.out + result.err


def test_ctrl_c_is_130(failing: Callable[[BaseException], None]) -> None:
    failing(KeyboardInterrupt())

    assert main(["version"]) == 130


@pytest.mark.parametrize("module", ["click", "dockrion.spec", "pydantic"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["validate"], 130),
        (["test", "-p", "{}"], 130),
        (["run"], 0),
        (["worker"], 0),
        (["--debug", "run"], 0),
    ],
)
def test_ctrl_c_while_modules_are_imported_leaves_no_traceback(
    agent: Callable[..., Path], module: str, arguments: list[str], code: int
) -> None:
    script = f"""
import sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
from dockrion.cli import main
sys.exit(main({arguments}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=agent().parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr.strip()) == (code, "", "")


def test_a_terminal_that_is_not_utf_8_does_not_end_a_command(agent: Callable[..., Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dockrion.cli", "validate", str(agent())],
        env={"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0
    assert b"? Dockfile is valid" in done.stdout


def test_version_says_both_versions_and_python(call: Call) -> None:
    import dockrion

    result = call("version")

    assert result.code == 0
    assert result.out.splitlines() == [
        f"Dockrion CLI v{dockrion.__version__}",
        f"SDK v{dockrion.__version__}",
        f"Python {sys.version.split()[0]}",
    ]
    assert dockrion.__version__[0].isdigit()
    assert call("--version") == result


@pytest.mark.parametrize("code", ["import dockrion", "from dockrion.cli import main; main([])"])
def test_nothing_heavy_is_imported_before_it_is_used(code: str) -> None:
    heavy = {
        "asyncio",
        "fastapi",
        "importlib.metadata",
        "jsonschema_rs",
        "msgspec",
        "pydantic",
        "ruamel",
        "uvicorn",
    }
    script = f"import sys; {code}; print(*sys.modules, sep='\\n', file=sys.stderr)"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert heavy & set(done.stderr.split()) == set()
    assert "dockrion" in done.stderr.split()
