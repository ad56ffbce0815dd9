"""`dockrion add`: a section more, the file as it was around it, and never a Dockfile that is not valid."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockrion.cli.init import AUTH_MODES, BACKENDS, PRESETS
from dockrion.spec import auth as auth_of_spec
from dockrion.spec import read_dockfile, streaming
from dockrion.spec.document import read_document

from .conftest import Result

Call = Callable[..., Result]

TEXT = """\
# Mine.
version: '1.0'
agent: {name: "speller",   handler: service:answer} # mine, too

io_schema: {}
expose: {}
"""


@pytest.fixture
def add(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run `dockrion add` beside a Dockfile."""
    monkeypatch.chdir(tmp_path)
    Path("Dockfile.yaml").write_text(TEXT)
    return lambda *arguments: call("add", *arguments)


def added(path: str = "Dockfile.yaml") -> dict[str, Any]:
    """Return what the Dockfile says, which must be valid with nothing set but its secrets."""
    assert read_dockfile(path, environ={}).spec.warnings == []
    return read_document(Path(path).read_text()).data


def test_the_choices_are_those_of_the_dockfile() -> None:
    assert AUTH_MODES == auth_of_spec.MODES
    assert PRESETS == streaming.PRESETS
    assert BACKENDS == ("memory", "sqlite", "redis")


@pytest.mark.parametrize(
    ("options", "section"),
    [
        ((), {"backend": "memory", "events": {"allowed": "all"}}),
        (("-A",), {"async_runs": True, "backend": "memory", "events": {"allowed": "all"}}),
        (("-E", "debug"), {"backend": "memory", "events": {"allowed": "debug"}}),
        (("-E", "token"), {"backend": "memory", "events": {"allowed": ["token"]}}),
        (("-b", "sqlite"), {"backend": "sqlite", "events": {"allowed": "all"}}),
        (("--heartbeat", "20"), {"backend": "memory", "events": {"heartbeat_interval": 20}}),
        (("--max-duration", "1.5"), {"backend": "memory", "events": {"max_run_duration": 1.5}}),
        (
            ("-b", "redis"),
            {
                "backend": "redis",
                "redis": {"url": "${REDIS_URL:-redis://localhost:6379/0}"},
                "events": {"allowed": "all"},
            },
        ),
    ],
)
def test_streaming_is_added_and_the_rest_stays(
    add: Call, options: tuple[str, ...], section: dict[str, Any]
) -> None:
    result = add("streaming", *options)

    assert (result.code, result.out) == (0, "✓ streaming is in Dockfile.yaml\n")
    assert added()["streaming"] == section
    assert Path("Dockfile.yaml").read_text().startswith(f"{TEXT}\nstreaming:\n")


@pytest.mark.parametrize("mode", ["api_key", "jwt", "oauth2"])
def test_auth_is_added_and_valid_in_every_mode(add: Call, mode: str) -> None:
    assert add("auth", "-m", mode).code == 0

    assert added()["auth"]["mode"] == mode
    assert Path("Dockfile.yaml").read_text().startswith(TEXT)


def test_the_key_is_looked_for_where_it_is_said(add: Call) -> None:
    result = add("auth", "--env-var", "MY_KEY", "--header", "X-My-Key")

    assert added()["auth"]["api_keys"] == {"env_var": "MY_KEY", "header": "X-My-Key"}
    assert "Set MY_KEY, in the shell or in .env" in result.err


def test_a_section_that_is_there_needs_force(add: Call) -> None:
    add("auth")
    before = Path("Dockfile.yaml").read_bytes()

    refused = add("auth", "--header", "X-Other")

    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("Error: the Dockfile has a section `auth` already\nHint: --force")
    assert Path("Dockfile.yaml").read_bytes() == before
    assert add("auth", "--header", "X-Other", "-f").code == 0
    assert added()["auth"]["api_keys"]["header"] == "X-Other"


def test_mode_none_takes_the_section_out(add: Call) -> None:
    add("auth")

    assert add("auth", "-m", "none").code == 1
    result = add("auth", "-m", "none", "-f")

    assert (result.code, result.out) == (0, "✓ auth is out of Dockfile.yaml\n")
    assert Path("Dockfile.yaml").read_text() == TEXT
    assert "has no auth" in add("auth", "-m", "none").out


def test_secrets_are_added_and_known_ones_are_skipped(add: Call) -> None:
    assert add("secrets", "A_KEY,B_KEY").code == 0
    assert add("secrets", "C_KEY", "--optional").code == 0
    result = add("secrets", "Dockfile.yaml", "B_KEY, C_KEY,D_KEY")

    assert result.out == (
        "✓ B_KEY was in Dockfile.yaml already\n"
        "✓ C_KEY was in Dockfile.yaml already\n"
        "✓ D_KEY is in Dockfile.yaml\n"
    )
    assert added()["secrets"] == {
        "required": [{"name": "A_KEY"}, {"name": "B_KEY"}, {"name": "D_KEY"}],
        "optional": [{"name": "C_KEY"}],
    }


def test_force_replaces_the_secrets(add: Call) -> None:
    add("secrets", "A_KEY")

    assert add("secrets", "B_KEY", "--optional", "--force").code == 0
    assert added()["secrets"] == {"optional": [{"name": "B_KEY"}]}


def test_nothing_new_leaves_the_file_untouched(add: Call) -> None:
    add("secrets", "A_KEY")
    os.utime("Dockfile.yaml", (1, 1))

    assert add("secrets", "A_KEY").code == 0
    assert Path("Dockfile.yaml").stat().st_mtime == 1


def test_the_file_keeps_its_mode_and_a_link_stays_one(add: Call) -> None:
    Path("Dockfile.yaml").rename("real.yaml")
    Path("real.yaml").chmod(0o600)
    Path("Dockfile.yaml").symlink_to("real.yaml")

    assert add("auth").code == 0

    assert Path("Dockfile.yaml").is_symlink()
    assert stat.S_IMODE(Path("real.yaml").stat().st_mode) == 0o600
    assert "auth" in added("real.yaml")
    assert sorted(path.name for path in Path().iterdir()) == ["Dockfile.yaml", "real.yaml"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Usage: dockrion add"),
        (("metrics",), 2, "No such command 'metrics'"),
        (("streaming", "-E", "nope,token"), 2, "a list may have"),
        (("streaming", "-b", "mysql"), 2, "is not one of 'memory', 'sqlite', 'redis'"),
        (("streaming", "--heartbeat", "0"), 2, "'0': must be a number from 1 to 300"),
        (("streaming", "--heartbeat", "soon"), 2, "'soon': must be a number from 1 to 300"),
        (("streaming", "--max-duration", "86401"), 2, "must be a number from 1 to 86400"),
        (("auth", "-m", "basic"), 2, "is not one of 'none', 'api_key', 'jwt', 'oauth2'"),
        (("auth", "--env-var", "not one"), 2, "Invalid value for '--env-var'"),
        (("auth", "--header", "not one"), 2, "Invalid value for '--header'"),
        (("auth", "-m", "jwt", "--header", "X"), 2, "--header goes with --mode api_key"),
        (("secrets",), 2, "Missing argument '[PATH] NAMES"),
        (("secrets", "a,B"), 2, "Invalid value for NAMES: 'a': must be upper-case"),
        (("secrets", ","), 2, "no name is given"),
        (("secrets", "Dockfile.yaml", "A", "B"), 2, "with commas between them"),
        (("auth", "nowhere.yaml"), 1, "Error: nowhere.yaml not found\nHint: "),
    ],
)
def test_what_is_wrong_is_said_and_the_file_left_alone(
    add: Call, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = add(*arguments)

    assert result.code == code
    assert result.out == ""
    assert said in result.err
    assert Path("Dockfile.yaml").read_text() == TEXT


@pytest.mark.parametrize(
    ("more", "arguments", "said"),
    [
        (
            "arguments: {port: '${SP_PORT}'}\nsecrets: {optional: [{name: SP_PORT, default: x}]}\n",
            ("secrets", "A", "-f"),
            "arguments.port: ",
        ),
        ("secrets: [A]\n", ("secrets", "B"), "secrets.required must be a list"),
    ],
)
def test_what_would_make_it_invalid_is_not_written(
    add: Call, more: str, arguments: tuple[str, ...], said: str
) -> None:
    Path("Dockfile.yaml").write_text(TEXT + more)

    result = add(*arguments)

    assert (result.code, result.out) == (1, "")
    assert said in result.err.splitlines()[0]
    assert Path("Dockfile.yaml").read_text() == TEXT + more


def test_what_was_wrong_before_does_not_stand_in_the_way(add: Call) -> None:
    text = TEXT + "arguments: {key: '${NOT_SET_ANYWHERE}'}\n"
    Path("Dockfile.yaml").write_text(text)

    assert add("secrets", "NOT_SET_ANYWHERE").code == 0
    assert Path("Dockfile.yaml").read_text().startswith(text)


def test_what_is_no_dockfile_is_an_error_with_its_place(add: Call) -> None:
    Path("Dockfile.yaml").write_text("version: [\n")

    result = add("auth")

    assert result.code == 1
    assert "Dockfile.yaml:2:1: no valid YAML" in result.err
