"""`dockrion init`: a Dockfile that is valid, an agent that answers, and nothing of yours overwritten."""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockrion.scaffold import project
from dockrion.spec import read_dockfile
from dockrion.spec.document import read_document
from dockrion.spec.expose import PROTOCOLS

from .conftest import Result, dockrion

Call = Callable[..., Result]

FILES = [".env.example", ".gitignore", "Dockfile.yaml", "agent.py", "requirements.txt"]


@pytest.fixture
def init(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run `dockrion init` in an empty folder."""
    folder = tmp_path / "my project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return lambda *arguments: call("init", *arguments)


def answers(monkeypatch: pytest.MonkeyPatch, *lines: str, terminal: bool = False) -> None:
    stdin = io.StringIO("".join(f"{line}\n" for line in lines))
    monkeypatch.setattr(stdin, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdin", stdin)


def names(folder: str = ".") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def written(path: str | Path = "Dockfile.yaml") -> dict[str, Any]:
    """Return what a Dockfile says, which must be valid with nothing set but its secrets."""
    dockfile = read_dockfile(path, environ={})
    assert dockfile.spec.warnings == []
    return read_document(Path(path).read_text()).data


def test_it_writes_a_project_and_says_what_comes_next(init: Call) -> None:
    result = init("speller")

    assert result.code == 0
    assert names() == FILES
    assert result.out.splitlines() == [
        f"✓ {name}"
        for name in ("Dockfile.yaml", "agent.py", ".env.example", ".gitignore", "requirements.txt")
    ]
    assert result.err.splitlines()[-2:] == [
        """  dockrion test -p '{"query": "hello"}' --stream""",
        "  dockrion run",
    ]
    dockfile = written()
    assert dockfile["agent"] == {
        "name": "speller",
        "entrypoint": "agent:graph",
        "framework": "langgraph",
    }
    assert dockfile["expose"]["streaming"] == "sse"
    assert dockfile.keys() == {"version", "agent", "io_schema", "expose"}


@pytest.mark.parametrize(
    ("options", "requirement"),
    [
        ((), "langgraph>=1.0"),
        (("-F", "langchain"), "langchain-core>=1.0"),
        (("-F", "custom"), None),
        (("-H", "app.core.service:serve"), None),
        (("-H", "service:answer", "-F", "langgraph"), None),
        (("--full",), "langgraph>=1.0"),
    ],
)
def test_the_agent_answers_and_streams_as_it_is(
    init: Call, options: tuple[str, ...], requirement: str | None
) -> None:
    assert init("speller", *options).code == 0

    result = dockrion("test", "-p", '{"query": "hello there"}', "--stream")

    assert result.code == 0, result.err
    assert json.loads(result.out) == {"answer": "You asked: hello there"}
    tokens = [json.loads(line[6:]) for line in result.err.splitlines() if line.startswith("token ")]
    assert len(tokens) > 2
    assert "".join(token["content"] for token in tokens) == "You asked: hello there"
    listed = Path("requirements.txt").read_text().splitlines()
    assert [line for line in listed if not line.startswith("#")] == (
        [requirement] if requirement else []
    )


def test_the_requirements_are_those_of_the_extras() -> None:
    import tomllib

    root = Path(__file__).parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert {name: [line] for name, line in project.REQUIREMENTS.items()} == {
        name: extras[name] for name in project.REQUIREMENTS
    }


def test_protocols_are_written_each_once_and_named_in_a_full_file(init: Call) -> None:
    assert init("x", "--protocols", "openai, mcp,openai").code == 0
    assert written()["expose"]["protocols"] == ["openai", "mcp"]

    assert init("x", "--full", "--force").code == 0
    assert "protocols" not in written()["expose"]
    text = Path("Dockfile.yaml").read_text()
    commented = "  # protocols: [openai, ag-ui, ai-sdk, a2a, mcp] #"
    assert commented in text

    # It is valid as soon as the mark is taken away.
    Path("Dockfile.yaml").write_text(text.replace(commented, commented.replace("# ", "", 1)))
    spec = read_dockfile(Path("Dockfile.yaml"), environ={"DOCKRION_API_KEY": "k" * 32}).spec
    assert spec.expose.protocols == PROTOCOLS


_FLAGS = ["--cors", "--secrets", "--async-runs", "--obs", "--metadata", "--streaming-events=chat"]


@pytest.mark.parametrize("mode", ["none", "api_key", "jwt", "oauth2"])
@pytest.mark.parametrize("backend", ["memory", "sqlite", "redis"])
@pytest.mark.parametrize("streaming", ["sse", "none", "sse,websocket"])
def test_it_is_valid_whatever_is_asked_for(
    init: Call, mode: str, backend: str, streaming: str
) -> None:
    # Half of the flags each, another half for each of the 36.
    number = ["none", "api_key", "jwt", "oauth2"].index(mode) + 4 * len(backend) + len(streaming)
    flags = [flag for at, flag in enumerate(_FLAGS) if (number >> at % 4) & 1 == at % 2]

    assert init("x", "-a", mode, "--streaming-backend", backend, "-s", streaming, *flags).code == 0

    dockfile = written()
    assert dockfile["auth"]["mode"] == mode
    assert dockfile.get("streaming", {}).get("backend", "memory") == backend


@pytest.mark.parametrize(
    ("options", "section", "value"),
    [
        (("--secrets",), "secrets", {"required": [{"name": "OPENAI_API_KEY"}]}),
        (
            ("--secret-names", "A, B_2,A,"),
            "secrets",
            {"required": [{"name": "A"}, {"name": "B_2"}]},
        ),
        (("--secrets", "--secret-names", "A"), "secrets", {"required": [{"name": "A"}]}),
        (("-a", "none"), "auth", {"mode": "none"}),
        (
            ("-a", "api_key"),
            "auth",
            {
                "mode": "api_key",
                "api_keys": {"env_var": "DOCKRION_API_KEY", "header": "X-API-Key"},
            },
        ),
        (
            ("-A",),
            "streaming",
            {"async_runs": True, "backend": "memory", "events": {"allowed": "all"}},
        ),
        (("-E", "chat"), "streaming", {"backend": "memory", "events": {"allowed": "chat"}}),
        (("-E", "token"), "streaming", {"backend": "memory", "events": {"allowed": ["token"]}}),
        (
            ("-E", "token,custom:found"),
            "streaming",
            {"backend": "memory", "events": {"allowed": ["token", "custom:found"]}},
        ),
        (
            ("--streaming-backend", "redis"),
            "streaming",
            {
                "backend": "redis",
                "redis": {"url": "${REDIS_URL:-redis://localhost:6379/0}"},
                "events": {"allowed": "all"},
            },
        ),
        (("-s", "none"), "expose", {"rest": True, "streaming": "none", "port": 8080}),
        (
            ("--observability",),
            "observability",
            {"log_level": "info", "metrics": {"latency": True, "tokens": True}},
        ),
        (
            ("-m",),
            "metadata",
            {"maintainer": "you@example.com", "version": "0.1.0", "tags": ["langgraph"]},
        ),
    ],
)
def test_each_option_writes_its_section(
    init: Call, options: tuple[str, ...], section: str, value: Any
) -> None:
    assert init("x", *options).code == 0

    assert written()[section] == value


@pytest.mark.parametrize("name", ["true", "null", "on", "no", "x-", "y"])
def test_a_name_that_looks_like_something_else_is_text(init: Call, name: str) -> None:
    assert init(name, "-m").code == 0

    assert written()["agent"]["name"] == name


def test_the_variables_that_are_needed_stand_in_the_example_of_an_env_file(init: Call) -> None:
    result = init("x", "--secrets", "-a", "api_key", "--streaming-backend", "redis")

    assert "  cp .env.example .env  # and fill it in" in result.err.splitlines()
    lines = Path(".env.example").read_text().splitlines()
    assert [line for line in lines if line.endswith("=")] == [
        "OPENAI_API_KEY=",
        "DOCKRION_API_KEY=",
        "REDIS_URL=",
    ]
    assert ".env" in Path(".gitignore").read_text().splitlines()


def test_the_dockfile_may_go_into_folders_that_are_made(init: Call) -> None:
    assert init("x", "-o", "agents/one/Agent.yaml").code == 0

    assert names("agents/one") == [
        ".env.example",
        ".gitignore",
        "Agent.yaml",
        "agent.py",
        "requirements.txt",
    ]


@pytest.mark.parametrize("output", ["there", "new/"])
def test_a_folder_stands_for_the_dockfile_in_it(init: Call, output: str) -> None:
    Path("there").mkdir()

    assert init("x", "-o", output).code == 0
    assert Path(output, "Dockfile.yaml").is_file()


def test_what_is_there_stays_as_it_is(init: Call) -> None:
    for name in FILES:
        if name != "Dockfile.yaml":
            Path(name).write_text(f"# {name} of mine\n")

    result = init("x")

    assert result.out == "✓ Dockfile.yaml\n"
    for name in FILES:
        if name != "Dockfile.yaml":
            assert Path(name).read_text() == f"# {name} of mine\n"
    # Nothing is known of what that agent takes.
    assert written()["io_schema"] == {}
    assert "dockrion inspect" in result.err


def test_a_package_that_is_there_gets_no_second_init(init: Call) -> None:
    Path("app").mkdir()

    assert init("x", "-H", "app.service:handle").code == 0
    assert names("app") == ["service.py"]


def test_an_installed_module_is_not_written_again(init: Call) -> None:
    assert init("x", "-H", "click.core:handle").code == 0
    assert not Path("click").exists()


@pytest.mark.parametrize(("answer", "code"), [("n", 0), ("", 0), ("no", 0)])
def test_it_asks_before_it_overwrites(
    init: Call, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    Path("Dockfile.yaml").write_text("mine")
    answers(monkeypatch, answer)

    result = init("x")

    assert (result.code, result.out) == (code, "")
    assert "Dockfile.yaml exists. Overwrite it? [y/N]: " in result.err
    assert names() == ["Dockfile.yaml"]
    assert Path("Dockfile.yaml").read_text() == "mine"


def test_yes_overwrites_and_so_does_force(init: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("Dockfile.yaml").write_text("mine")
    Path("Dockfile.yaml").chmod(0o640)
    answers(monkeypatch, "y")

    assert init("one").code == 0
    assert written()["agent"]["name"] == "one"
    assert stat.S_IMODE(Path("Dockfile.yaml").stat().st_mode) == 0o640
    assert init("two", "--force").code == 0
    assert written()["agent"]["name"] == "two"


def test_without_anybody_to_ask_a_dockfile_that_is_there_is_an_error(init: Call) -> None:
    Path("Dockfile.yaml").write_text("mine")

    result = init("x")

    assert result.code == 1
    assert "Error: Dockfile.yaml exists\nHint: --force overwrites it" in result.err
    assert Path("Dockfile.yaml").read_text() == "mine"


def test_without_a_name_and_a_terminal_it_is_wrong_usage(init: Call) -> None:
    result = init()

    assert result.code == 2
    assert "Missing argument 'NAME'" in result.err
    assert names() == []


def test_in_a_terminal_it_asks_with_defaults(init: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "", "", "", terminal=True)

    result = init()

    assert result.code == 0
    assert written()["agent"]["name"] == "my-project"
    assert written()["agent"]["framework"] == "langgraph"
    assert "auth" not in written()


def test_a_wrong_answer_is_asked_for_again(init: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "Wrong Name", "right", "nope", "custom", "key", "jwt", terminal=True)

    result = init()

    assert result.code == 0
    assert "Error: 'Wrong Name': must be lower-case letters" in result.err
    assert written()["agent"] == {
        "name": "right",
        "handler": "agent:handle",
        "framework": "custom",
    }
    assert written()["auth"]["mode"] == "jwt"


def test_it_asks_for_nothing_that_an_option_says(
    init: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, "x", terminal=True)

    assert init("-H", "service:handle", "-a", "api_key").code == 0


def test_the_end_of_the_answers_writes_nothing(init: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "x", terminal=True)

    result = init()

    assert result.code == 1
    assert "Error: there was no answer\nHint: give the name" in result.err
    assert names() == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("My_Agent",), 2, "'My_Agent': must be lower-case letters, digits and hyphens"),
        (("",), 2, "'': must be lower-case letters"),
        (("x", "-F", "langgraf"), 2, "'langgraf': must be one of custom, langchain, langgraph"),
        (("x", "-H", "nowhere"), 2, "must be module.path:name"),
        (("x", "-a", "basic"), 2, "is not one of 'none', 'api_key', 'jwt', 'oauth2'"),
        (("x", "-s", "grpc"), 2, "must be sse, websocket, none"),
        (("x", "-P", "openai,ws"), 2, "must be one of openai, ag-ui, ai-sdk, a2a, mcp"),
        (("x", "-E", "token,nope"), 2, "a list may have"),
        (("x", "--streaming-backend", "mysql"), 2, "is not one of 'memory', 'sqlite', 'redis'"),
        (("x", "--secret-names", "a-b"), 2, "'a-b': must be upper-case letters"),
        (("x", "--secret-names", " ,"), 2, "no name is given"),
        (("x", "y"), 2, "unexpected extra argument"),
        (("x", "-H", "json:loads"), 1, "json is a module of Python itself"),
        (("x", "-H", "app:class"), 1, "class is a word of Python's own"),
        (("x", "-H", "service.deep:handle"), 1, "service is the module service.py already"),
        (("x", "-o", "service.py/Dockfile.yaml"), 1, "cannot be written: Not a directory"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    init: Call, arguments: tuple[str, ...], code: int, said: str
) -> None:
    Path("service.py").write_text("")

    result = init(*arguments)

    assert result.code == code
    assert result.out == ""
    assert said in result.err
    assert names() == ["service.py"]


def test_what_was_written_is_taken_back_when_the_rest_cannot_be(
    init: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("app").write_text("")  # where a folder is to be made

    result = init("x", "-o", "made/Dockfile.yaml", "-H", "a.b:c")
    assert result.code == 0
    result = init("x", "-H", "app.service:handle")

    assert result.code == 1
    assert "cannot be written" in result.err
    assert names() == ["app", "made"]


def test_a_missing_framework_gets_its_pip_line(init: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    found = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name, *_: None if name in ("langgraph", "jwt") else found(name)
    )

    result = init("x", "-a", "jwt")

    assert result.code == 0
    assert "  pip install 'dockrion[jwt,langgraph]'" in result.err.splitlines()
