"""`${VAR}` in the Dockfile: where it is filled in, and what it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.spec.kit import write

from dockrion.errors import ValidationError
from dockrion.spec import expand_env_vars, read_dockfile
from dockrion.spec.variables import fill

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {"A": "1", "EMPTY": "", "NESTED": "${A}", "T": "true", "WORD": "x y"}

TEXTS: list[tuple[str, str]] = [
    ("${A}", "1"),
    ("a${A}b${A}c", "a1b1c"),
    ("${EMPTY}", ""),
    ("${A:-2}", "1"),
    ("${EMPTY:-2}", "2"),
    ("${GONE:-2}", "2"),
    ("${GONE:-}", ""),
    ("${GONE:-a:-b}", "a:-b"),
    ("${GONE:-$A}", "$A"),
    ("${NESTED}", "${A}"),
    ("$${A}", "${A}"),
    ("$${GONE}", "${GONE}"),
    ("$$${A}", "$${A}"),
    ("$${${A}}", "${1}"),
    ("$A $ $$ ${} ${1} ${A-b} ${A:?b} ${ A }", "$A $ $$ ${} ${1} ${A-b} ${A:?b} ${ A }"),
    ("${A", "${A"),
]

TYPED: list[tuple[str, Any]] = [
    ("${A}", 1),
    ("${T}", True),
    ("${EMPTY}", None),
    ("${WORD}", "x y"),
    ("${GONE:-8080}", 8080),
    ("${GONE:-0123}", 123),
    ("${GONE:-1.5}", 1.5),
    ("${GONE:-null}", None),
    ("${GONE:-on}", "on"),
    ('"${A}"', "1"),
    ("'${A}'", "1"),
    ("|-\n    ${A}", "1"),
    ("!!str ${A}", "1"),
    ("${A}${A}", "11"),
    ("0${A}", "01"),
    ("$${A}", "${A}"),
]


@pytest.mark.parametrize(("text", "filled"), TEXTS)
def test_a_text_has_its_variables_filled_in_once(text: str, filled: str) -> None:
    assert fill(text, ENVIRONMENT).text == filled


@given(value=st.text(max_size=10))
def test_a_value_is_not_looked_at_again(value: str) -> None:
    assert fill("<${A}>", {"A": value, "B": "b"}).text == f"<{value}>"


@pytest.mark.parametrize(("written", "value"), TYPED)
def test_a_scalar_that_is_one_variable_without_quotes_is_read_again(
    tmp_path: Path, written: str, value: Any
) -> None:
    path = write(tmp_path, f"arguments:\n  x: {written}\n")
    assert read_dockfile(path, environ=ENVIRONMENT).spec.arguments == {"x": value}


def test_a_field_of_text_stays_text(tmp_path: Path) -> None:
    more = """\
metadata: {version: "${A}"}
observability:
  langfuse:
    public_key: ${A}
    secret_key: ${T}
auth:
  rate_limits:
    x: ${GONE:-1/day}
policies:
  safety:
    redact_patterns:
      - ${A}
"""
    spec = read_dockfile(write(tmp_path, more), environ=ENVIRONMENT).spec
    langfuse, safety = spec.observability.langfuse, spec.policies.safety
    assert langfuse is not None
    assert safety is not None
    assert (langfuse.public_key, langfuse.secret_key) == ("1", "true")
    assert safety.redact_patterns == ("1",)


def test_a_number_and_a_flag_come_from_variables(tmp_path: Path) -> None:
    least = write(tmp_path).read_text().replace("expose: {}", "expose:\n  port: ${PORT:-8081}\n")
    path = write(tmp_path, "  rest: ${REST}\n", least=least)
    spec = read_dockfile(path, environ={"REST": "false"}).spec
    assert (spec.expose.port, spec.expose.rest) == (8081, False)
    assert read_dockfile(path, environ={"REST": "true", "PORT": "9"}).spec.expose.port == 9


def test_a_variable_in_quotes_is_no_number(tmp_path: Path) -> None:
    path = write(tmp_path, 'runs: {concurrency: "${A}"}\n')
    with pytest.raises(ValidationError, match=r"runs\.concurrency: must be a whole number"):
        read_dockfile(path, environ=ENVIRONMENT)


def test_an_empty_variable_is_not_given(tmp_path: Path) -> None:
    path = write(tmp_path, "runs:\n  concurrency: ${EMPTY}\n")
    assert read_dockfile(path, environ=ENVIRONMENT).spec.runs.concurrency == 16


def test_all_missing_variables_come_at_once_with_their_fields_and_all_else(tmp_path: Path) -> None:
    more = """\
arguments:
  a: ${GONE}
  b: [x, "${LOST}/${GONE}"]
runs:
  concurrency: ${WHERE}
  max_attempts: 0
"""
    with pytest.raises(ValidationError) as caught:
        read_dockfile(write(tmp_path, more), environ={})
    assert caught.value.message.split("\n") == [
        "Dockfile.yaml:8:6: arguments.a: the variable GONE is not set and has no default",
        "Dockfile.yaml:9:10: arguments.b[1]: the variable LOST is not set and has no default",
        "Dockfile.yaml:9:10: arguments.b[1]: the variable GONE is not set and has no default",
        "Dockfile.yaml:11:16: runs.concurrency: the variable WHERE is not set and has no default",
        "Dockfile.yaml:12:17: runs.max_attempts: must be a whole number of 1 or more, got 0",
    ]


def test_a_default_that_holds_a_variable_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "arguments:\n  a: ${A:-${B}}\n")
    for environ in ({}, {"EMPTY": ""}):
        with pytest.raises(ValidationError, match=r"the default of \$\{A\} cannot hold another"):
            read_dockfile(path, environ=environ)


def test_a_value_from_a_variable_is_shown_as_it_is_written(tmp_path: Path) -> None:
    more = """\
runs:
  concurrency: ${TOKEN}
auth:
  mode: ${TOKEN}
  protect: ["${TOKEN}", docs]
  jwt: ${TOKEN}
policies:
  safety:
    redact_patterns: ["[${TOKEN}"]
streaming:
  events:
    allowed: ["${TOKEN}", "token"]
io_schema:
  input: {type: "${TOKEN}", properties: {a: {pattern: "[${TOKEN}"}}}
"""
    least = write(tmp_path).read_text().replace("io_schema: {}\n", "")
    path = write(tmp_path, more, least=least)
    with pytest.raises(ValidationError) as caught:
        read_dockfile(path, environ={"TOKEN": "hunter2"})
    assert len(caught.value.message.split("\n")) == 8
    assert caught.value.message.count("${TOKEN}") == 8
    assert "hunter2" not in caught.value.message
    assert "hunter2" not in str(caught.value.details)


def test_the_url_of_redis_is_looked_up_with_that_backend_only(tmp_path: Path) -> None:
    default = write(tmp_path, "streaming: {backend: memory, redis: {}}\n")
    assert read_dockfile(default, environ={}).spec.streaming.redis.url == "${REDIS_URL}"
    named = write(tmp_path, "streaming: {redis: {url: '${MY_REDIS}'}}\n")
    assert read_dockfile(named, environ={}).spec.streaming.redis.url == "${MY_REDIS}"


@pytest.mark.parametrize("more", ["", ", redis: {}", ", redis: {connection_pool_size: 5}"])
def test_redis_takes_its_url_from_the_environment(tmp_path: Path, more: str) -> None:
    path = write(tmp_path, f"streaming: {{backend: redis{more}}}\n")
    spec = read_dockfile(path, environ={"REDIS_URL": "redis://h"}).spec
    assert spec.streaming.redis.url == "redis://h"
    with pytest.raises(ValidationError) as caught:
        read_dockfile(path, environ={})
    assert caught.value.details[0]["path"] == "streaming.redis.url"
    assert (
        caught.value.details[0]["message"] == "the variable REDIS_URL is not set and has no default"
    )
    assert len(caught.value.details) == 1


def test_the_url_of_redis_is_never_shown(tmp_path: Path) -> None:
    path = write(tmp_path, "streaming: {backend: redis, redis: {url: 'http://:hunter2@h'}}\n")
    with pytest.raises(ValidationError) as caught:
        read_dockfile(path, environ={})
    assert "hunter2" not in caught.value.message


def test_the_backend_may_be_a_variable(tmp_path: Path) -> None:
    path = write(tmp_path, "streaming: {backend: '${BACKEND:-memory}'}\n")
    environ = {"BACKEND": "redis", "REDIS_URL": "unix:///run/redis.sock"}
    assert read_dockfile(path, environ=environ).spec.streaming.redis.url == environ["REDIS_URL"]


def test_expand_env_vars_fills_in_every_string_of_any_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKRION_TEST_A", "1")
    data = {"${DOCKRION_TEST_A}": ["${DOCKRION_TEST_A}", {"x": "$${y}"}], "n": 3, "t": ("a",)}
    assert expand_env_vars(data) == {
        "${DOCKRION_TEST_A}": ["1", {"x": "${y}"}],
        "n": 3,
        "t": ["a"],
    }
    assert data["n"] == 3


def test_expand_env_vars_names_all_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKRION_GONE", raising=False)
    with pytest.raises(ValidationError) as caught:
        expand_env_vars({"a": ["${DOCKRION_GONE}"], "b": "${DOCKRION_LOST}"})
    assert caught.value.message.split("\n") == [
        "a[0]: the variable DOCKRION_GONE is not set and has no default",
        "b: the variable DOCKRION_LOST is not set and has no default",
    ]


@pytest.mark.parametrize(
    ("written", "dotenv", "message"),
    [
        ("${PORT:-81}", "PORT=99999", "got 99999 from ${PORT:-81} (PORT is set in .env)"),
        ("${PORT:-99999}", "", "got 99999 from ${PORT:-99999} (PORT is not set)"),
        ("${PORT}", "PORT=hunter2", "got ${PORT} (PORT is set in .env)"),
        ("${KEY}", "KEY=99999", "got ${KEY} (KEY is set in .env)"),
        ("${IN_SHELL}", "", "got 99998 from ${IN_SHELL} (IN_SHELL is set in the shell)"),
        ('"${PORT:-81}"', "", "got text: its quotes make it that; write ${PORT:-81} without them"),
    ],
)
def test_a_wrong_value_is_traced_to_its_variable(
    tmp_path: Path, written: str, dotenv: str, message: str
) -> None:
    least = write(tmp_path).read_text().replace("expose: {}", f"expose:\n  port: {written}")
    path = write(tmp_path, "secrets: {optional: [{name: KEY}]}\n", least=least)
    (tmp_path / ".env").write_text(dotenv)

    with pytest.raises(ValidationError) as caught:
        read_dockfile(path, environ={"IN_SHELL": "99998"})

    assert caught.value.message.endswith(
        f"expose.port: must be a whole number from 1 to 65535, {message}"
    )


def test_agents_get_plain_text_where_a_secret_is_missing(tmp_path: Path) -> None:
    more = "arguments: {a: '${KEY}', b: ['${KEY}']}\nsecrets: {required: [{name: KEY}]}\n"

    arguments = read_dockfile(write(tmp_path, more), environ={}).spec.arguments

    assert arguments == {"a": "${KEY}", "b": ["${KEY}"]}
    assert type(arguments["a"]) is type(arguments["b"][0]) is str
