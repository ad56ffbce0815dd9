"""From a file to a spec: places of problems, env files and their precedence, secrets, warnings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.spec.kit import LEAST_YAML, SECRETS, write

from dockrion.errors import ValidationError
from dockrion.spec import (
    load_dockspec,
    load_environment,
    read_dockfile,
    validate_dockspec,
)


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEEDED", "ALSO_NEEDED", "NICE", "LOG_LEVEL", "V", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def message_of(path: Path, **options: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        load_dockspec(path, **options)
    return caught.value.message


def test_a_problem_has_path_rule_value_line_and_column(tmp_path: Path) -> None:
    path = write(tmp_path, least=LEAST_YAML.replace("expose: {}", "expose:\n  port: 70000"))
    with pytest.raises(ValidationError) as caught:
        load_dockspec(path)
    rule = "must be a whole number from 1 to 65535, got 70000"
    assert caught.value.message == f"Dockfile.yaml:7:9: expose.port: {rule}"
    assert caught.value.details == [
        {"path": "expose.port", "message": rule, "line": 7, "column": 9}
    ]
    assert caught.value.code == "VALIDATION_ERROR"


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        least="""\
version: 1.0
agent:
  handler: a
expose:
  cors: {credentials: true}
  port: 1
  port: 2
  streaming: [sse, ws]
auth:
  roles:
    - name: admin
    - {name: admin, permissions: [fly]}
runs: 3
arguments:
  a: ${GONE}
""",
    )
    assert message_of(path).split("\n") == [
        "Dockfile.yaml:1:1: io_schema: is required; `io_schema: {}` takes the defaults",
        'Dockfile.yaml:1:10: version: must be the text "1.0", in quotes, got 1.0',
        "Dockfile.yaml:2:1: agent.name: is required",
        'Dockfile.yaml:3:12: agent.handler: must be module.path:name, got "a"',
        "Dockfile.yaml:5:23: expose.cors.credentials: cannot be true while `origins` has *; name the origins",
        "Dockfile.yaml:7:3: expose.port: is given twice, first on line 6, column 3",
        'Dockfile.yaml:8:14: expose.streaming: must be sse, websocket, none, or a list of sse and websocket, got ["sse", "ws"]',
        "Dockfile.yaml:11:7: auth.roles[0].permissions: is required",
        'Dockfile.yaml:12:35: auth.roles[1].permissions[0]: must be one of deploy, rollback, invoke, view_metrics, key_manage, read_logs, read_docs, got "fly"',
        "Dockfile.yaml:13:7: runs: must be a mapping, got 3",
        "Dockfile.yaml:15:6: arguments.a: the variable GONE is not set and has no default",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; a Dockfile has version, agent, io_schema and expose"),
        (b"# only a note\n", "is empty; a Dockfile has version, agent, io_schema and expose"),
        (b"- a\n", "1:1: must be a mapping, got a list; a Dockfile has"),
        (b"PASSWORD=hunter2\n", "1:1: must be a mapping, got one value; a Dockfile has"),
        (b"a:\n\tb: 1\n", "2:1: no valid YAML: a tab cannot indent; use spaces"),
        (b"a: \xff\n", "is not UTF-8: byte 3"),
        (b"a: 'x\n", "2:1: no valid YAML: found unexpected end of stream"),
    ],
)
def test_a_file_that_is_no_dockfile_says_so(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "Dockfile.yaml"
    path.write_bytes(content)
    assert words in message_of(path)
    assert message_of(path).startswith("Dockfile.yaml")


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    assert message_of(tmp_path / "Dockfile.yaml") == "Dockfile.yaml not found"


def test_a_folder_is_no_dockfile(tmp_path: Path) -> None:
    assert message_of(tmp_path) == f"{tmp_path.name} cannot be read: Is a directory"


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "Dockfile.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + LEAST_YAML.replace("\n", "\r\n").encode())
    assert load_dockspec(path).agent.name == "echo"


def test_the_folder_of_a_spec_is_that_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load_dockspec("Dockfile.yaml").folder == Path.cwd()
    assert load_dockspec(f"../{tmp_path.name}/Dockfile.yaml").folder == tmp_path


def value_of_v(
    folder: Path, *, shell: str | None = None, env_file: str | None = None, default: bool = True
) -> str:
    more = "arguments: {v: '${V}'}\nsecrets: {optional: [{name: V"
    path = write(folder, more + (", default: from-default" if default else "") + "}]}\n")
    environ = {} if shell is None else {"V": shell}
    return read_dockfile(path, env_file=env_file, environ=environ).spec.arguments["v"]


def test_the_sources_win_in_the_order_of_the_contract(tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("V=from-env-file")
    (tmp_path / ".env").write_text("V=from-dotenv")
    (tmp_path / "env.yaml").write_text("V: from-env-yaml")
    (tmp_path / "env.yml").write_text("V: from-env-yml")
    env_file = str(tmp_path / "my.env")
    assert value_of_v(tmp_path, shell="from-shell", env_file=env_file) == "from-shell"
    assert value_of_v(tmp_path, env_file=env_file) == "from-env-file"
    assert value_of_v(tmp_path) == "from-dotenv"
    (tmp_path / ".env").unlink()
    assert value_of_v(tmp_path) == "from-env-yaml"
    (tmp_path / "env.yaml").unlink()
    assert value_of_v(tmp_path) == "from-env-yml"
    (tmp_path / "env.yml").unlink()
    assert value_of_v(tmp_path) == "from-default"
    with pytest.raises(ValidationError, match="the variable V is not set"):
        value_of_v(tmp_path, default=False)


def test_a_value_of_the_shell_wins_even_when_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("V=from-dotenv")
    assert value_of_v(tmp_path, shell="") == ""


@pytest.mark.parametrize("name", ["prod.yaml", "prod.yml"])
def test_an_env_file_may_be_yaml(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("V: 0123")
    assert value_of_v(tmp_path, env_file=str(tmp_path / name)) == "0123"


def test_an_env_file_is_taken_from_the_current_folder_and_dotenv_from_the_dockfiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "my.env").write_text("A=env-file")
    (here / ".env").write_text("A=wrong\nB=wrong")
    (tmp_path / ".env").write_text("B=dotenv")
    monkeypatch.chdir(here)
    path = write(tmp_path, "arguments: {a: '${A}', b: '${B}'}\n")
    spec = load_dockspec("../Dockfile.yaml", env_file="my.env")
    assert spec.arguments == {"a": "env-file", "b": "dotenv"}
    assert load_dockspec(path, env_file="my.env").arguments == spec.arguments


def test_a_missing_env_file_is_an_error(tmp_path: Path) -> None:
    assert message_of(write(tmp_path), env_file="gone.env") == "gone.env not found"


def test_a_broken_env_file_names_its_line_and_no_value(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nhunter2\nB='hunter2")
    (tmp_path / "env.yaml").write_text("C: {d: hunter2}")
    assert message_of(write(tmp_path)).split("\n") == [
        ".env:2:1: must be NAME=value",
        ".env:3:1: B: has a quote that is not closed, or text after it",
        "env.yaml:1:4: C: must be one value, nothing nested",
    ]


def test_a_folder_called_dotenv_is_none(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load_dockspec(write(tmp_path)).agent.name == "echo"


def test_the_environment_tells_what_to_add_for_the_agent_and_where_it_is_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("V", "shell")
    (tmp_path / ".env").write_text("V=file\nEXTRA=file")
    more = "secrets: {optional: [{name: NICE, default: nice}, {name: NEEDED}, {name: V, default: d}]}\n"
    environment = load_environment(write(tmp_path, more))
    assert environment.beyond_the_shell() == {"EXTRA": "file", "NICE": "nice"}
    sources = {name: environment.sources.get(name) for name in ("V", "EXTRA", "NICE", "NEEDED")}
    assert sources == {"V": "shell", "EXTRA": ".env", "NICE": "default", "NEEDED": None}
    assert "EXTRA" not in os.environ


def test_the_default_of_a_secret_may_hold_a_variable_and_fills_others(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HOST=h")
    more = """\
arguments: {url: '${URL}'}
secrets: {optional: [{name: URL, default: "http://${HOST}"}]}
"""
    assert load_dockspec(write(tmp_path, more)).arguments == {"url": "http://h"}


@pytest.mark.parametrize(
    ("given", "level"),
    [("debug", "debug"), ("ERROR", "error"), ("Warning", "warn"), ("", "error")],
)
def test_log_level_in_the_environment_wins(tmp_path: Path, given: str, level: str) -> None:
    path = write(tmp_path, "observability: {log_level: error, tracing: false}\n")
    spec = read_dockfile(path, environ={"LOG_LEVEL": given}).spec
    assert spec.observability.log_level == level
    assert spec.observability.tracing is False
    assert spec.folder == tmp_path


def test_a_log_level_of_another_program_is_a_warning(tmp_path: Path) -> None:
    spec = read_dockfile(write(tmp_path), environ={"LOG_LEVEL": "TRACE"}).spec
    assert spec.observability.log_level == "info"
    assert spec.warnings == ["LOG_LEVEL in the environment is none of debug, info, warn, error"]


def test_every_unknown_key_is_kept_and_warned_of_with_the_nearest_known_one(
    tmp_path: Path,
) -> None:
    more = """\
streming: {}
zzz: 1
streaming:
  Backend: memory
  events: {heartbeat-interval: 3, alowed: [token]}
auth:
  mode: none
  roles: [{name: a, permissions: [], permisions: []}]
  rate_limits: {anything: 1/day, default: 1/day}
arguments: {anything: 1}
"""
    spec = load_dockspec(write(tmp_path, more))
    known = (
        "version, agent, io_schema, expose, streaming, runs, auth, policies, secrets, "
        "observability, build, metadata, arguments"
    )
    assert spec.warnings == [
        "Dockfile.yaml:7:1: streming: did you mean streaming?",
        f"Dockfile.yaml:8:1: zzz: unknown key; known here: {known}",
        "Dockfile.yaml:10:3: streaming.Backend: did you mean backend?",
        "Dockfile.yaml:11:12: streaming.events.heartbeat-interval: did you mean heartbeat_interval?",
        "Dockfile.yaml:11:35: streaming.events.alowed: did you mean allowed?",
        "Dockfile.yaml:14:38: auth.roles[0].permisions: did you mean permissions?",
    ]
    assert spec.model_extra == {"streming": {}, "zzz": 1}


def test_what_is_allowed_but_hardly_meant_is_a_warning(tmp_path: Path) -> None:
    least = LEAST_YAML.replace("io_schema: {}\nexpose: {}\n", "")
    more = """\
io_schema: {input: {properties: {a: {}}}, output: {}}
expose: {chat: {input: b, output: c}}
auth:
  roles: [{name: admin, permissions: []}]
  api_keys:
    enabled: false
    keys: [{name: x, env_var: X, role: amdin}, {name: y, env_var: Y}]
policies:
  tools: {allowed: [search], deny_by_default: false}
"""
    assert load_dockspec(write(tmp_path, more, least=least)).warnings == [
        "Dockfile.yaml:6:24: expose.chat.input: b is no property of io_schema.input",
        "Dockfile.yaml:10:14: auth.api_keys.enabled: is false, so everybody may call",
        "Dockfile.yaml:11:40: auth.api_keys.keys[0].role: amdin is none of auth.roles, so this key has no permission",
        "Dockfile.yaml:13:20: policies.tools.allowed: has no effect while deny_by_default is false: every tool may run",
    ]


def test_limits_that_nobody_has_are_a_warning(tmp_path: Path) -> None:
    least = "auth: {mode: none, rate_limits: {paid: 5/minute}}\n"
    (warning,) = load_dockspec(write(tmp_path, least)).warnings
    assert warning == (
        "Dockfile.yaml:7:33: auth.rate_limits: has no `default`, and without authentication nobody has a role: "
        "nobody is limited"
    )
    limited = "auth: {mode: none, rate_limits: {paid: 5/minute, default: 1/minute}}\n"
    assert load_dockspec(write(tmp_path, limited)).warnings == []


def test_rules_for_tools_that_would_stop_the_start_are_a_warning(tmp_path: Path) -> None:
    more = "policies: {tools: {}}\n"
    custom = LEAST_YAML.replace(
        "handler: app.service:handle", "entrypoint: a:b\n  framework: custom"
    )
    assert custom != LEAST_YAML
    [warning] = load_dockspec(write(tmp_path, more, least=custom)).warnings
    assert "policies.tools: cannot be enforced for an entrypoint of framework custom" in warning
    graph = custom.replace("framework: custom", "framework: langgraph")
    for fine in (LEAST_YAML, graph):
        assert load_dockspec(write(tmp_path, more, least=fine)).warnings == []


def test_validate_of_a_good_file_has_its_spec_and_warnings(tmp_path: Path) -> None:
    result = validate_dockspec(write(tmp_path, SECRETS + "streming: 1\n"))
    spec = result.pop("spec")
    assert spec.agent.name == "echo"
    assert result == {
        "valid": True,
        "errors": [],
        "warnings": [
            "Dockfile.yaml:13:1: streming: did you mean streaming?",
            "Missing required secrets: NEEDED, ALSO_NEEDED",
        ],
        "message": "Dockfile is valid",
    }


def test_validate_of_a_bad_file_has_all_errors_and_warnings(tmp_path: Path) -> None:
    result = validate_dockspec(
        write(tmp_path, "streming: 1\nruns: {concurrency: 0, max_attempts: 0}\n")
    )
    assert result == {
        "valid": False,
        "errors": [
            "Dockfile.yaml:8:21: runs.concurrency: must be a whole number of 1 or more, got 0",
            "Dockfile.yaml:8:38: runs.max_attempts: must be a whole number of 1 or more, got 0",
        ],
        "warnings": ["Dockfile.yaml:7:1: streming: did you mean streaming?"],
        "spec": None,
        "message": "Dockfile is invalid",
    }


def test_validate_of_a_missing_file_raises_nothing(tmp_path: Path) -> None:
    result = validate_dockspec(tmp_path / "Dockfile.yaml")
    assert (result["valid"], result["errors"]) == (False, ["Dockfile.yaml not found"])


def test_validate_imports_no_agent_and_no_server(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "service.py").write_text("raise SystemExit('imported')")
    write(tmp_path)
    script = """\
import sys
from dockrion.spec import DockSpec, validate_dockspec
assert not {"jsonschema_rs", "ruamel.yaml", "importlib.metadata"} & {*sys.modules}, "heavy import"
assert validate_dockspec("Dockfile.yaml")["valid"]
loaded = {"app", "fastapi", "uvicorn", "redis", "langchain_core", "langgraph"} & {*sys.modules}
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=tmp_path, check=True)
