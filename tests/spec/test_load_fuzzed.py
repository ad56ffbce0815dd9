"""Any text as a Dockfile: it is valid, or a `ValidationError` says why; nothing else is raised, and nothing hangs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockrion.errors import ValidationError
from dockrion.spec import DockSpec
from dockrion.spec.load import read_dockfile

FULL = """\
version: "1.0"
agent: {name: echo, handler: "app.service:handle", description: "says ${WHAT:-nothing}"}
io_schema:
  input: {type: object, properties: {a: {type: string, format: email}, b: {type: array, items: {$ref: "#/$defs/B"}}}, required: [a], $defs: {B: {type: integer}}}
  output: {type: string}
  strict: enforce
expose:
  streaming: [sse]
  port: ${PORT:-8080}
  cors: {origins: ["https://a.example"], credentials: true}
  limits: {max_body_bytes: 1000, max_queue: 3}
streaming:
  async_runs: false
  events: {allowed: [token, "custom:a"], heartbeat_interval: 5}
  connection: {on_disconnect: continue, resume_window: 3}
auth:
  mode: jwt
  jwt: {jwks_url: "https://a.example/keys", algorithms: [RS256], claims: {roles: a.b}}
  roles: [{name: a, permissions: [invoke]}]
  rate_limits: {default: 5/minute}
  trusted_proxies: [10.0.0.0/8]
policies:
  tools: {allowed: [x]}
  safety: {redact_patterns: ['\\b\\d{3}-\\d{2}-\\d{4}\\b'], injection_patterns: [abc], max_output_chars: 100}
secrets: {required: [{name: A_KEY}], optional: [{name: B_KEY, default: x}]}
observability: {log_level: debug, metrics: {cost: false}}
build: {include: {files: [a.txt]}, exclude: ["*.log"]}
metadata: {maintainer: me, tags: [a, b]}
arguments: {timeout_sec: 3}
"""
PIECES = st.one_of(
    st.sampled_from(
        [
            "&a ", "*a", "<<: ", "!!python/object:os.system ", "!!binary ", "${", "${A", "${A:-${B}}", "$${",
            "- ", "? ", ": ", "|\n", ">\n", "{", "}", "[", "]", "'", '"', "#", "\t", "\n", "\r", "---\n", "...\n",
            "%YAML 1.1\n", "\0", "\x85", "\ufeff", "\u2028", "~", "null", ".inf", ".nan", "0x1F", "1e999", "9" * 400,
            "2024-01-01", "true", "((((", "(a+)+$", "\\ud800",
        ]
    ),
    st.text(max_size=6),
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["${A}", "${", "a:b", "(", "1/second", "#/$defs/A", "https://[", "\0", "é" * 300]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from([*DockSpec.model_fields, "properties", "type", "items", "$ref", "name"])


def load(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    said: str | None = None
    try:
        read_dockfile(path, environ={})
    except ValidationError as exc:
        said = exc.message
    assert said is None or (said.strip() and "Traceback" not in said)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    text = FULL
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.sampled_from([0, 0, 1, 5, 40]))
        text = text[:start] + draw(PIECES) + text[end:]
    return text.encode("utf-8", "surrogatepass")


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node if isinstance(node, list) else ())
    )
    for key, value in items:
        found += places(value, (*at, key))
    return found


@st.composite
def restructured(draw: st.DrawFn, valid: dict[str, Any]) -> bytes:
    data = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(data)))
        node: Any = data
        for key in way:
            node = node[key]
        if draw(st.booleans()) or not isinstance(node, dict):
            node[last] = draw(VALUES)
        else:
            node[draw(KEYS)] = draw(VALUES)
    return json.dumps(data).encode()


def fuzz(path: Path, cases: int) -> None:
    path.write_text(FULL)
    valid = read_dockfile(path, environ={}).spec.model_dump(mode="json", exclude_unset=True)
    briefly = settings(
        max_examples=cases,
        deadline=5000,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )

    @briefly
    @given(data=st.one_of(mutated(), restructured(valid), st.binary(max_size=200)))
    def loads(data: bytes) -> None:
        load(path, data)

    loads()


def test_no_text_breaks_the_loader(tmp_path: Path) -> None:
    fuzz(tmp_path / "Dockfile.yaml", 250)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_no_text_breaks_the_loader_in_many_cases(tmp_path: Path) -> None:
    fuzz(tmp_path / "Dockfile.yaml", 20_000)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\n"
        + "".join(
            f"b{n}: &b{n} [{', '.join([f'*b{n - 1}' if n else '*a'] * 9)}]\n" for n in range(9)
        ),
        "[" * 20_000,
        "{a: " * 20_000,
        "- " * 20_000,
        "a: &a {b: *a}\n",
        "? " * 5000,
        '"' + "\\u0041" * 20_000,
        "x: ${" + "A:-${" * 5000,
    ],
    ids=["laughs", "brackets", "braces", "dashes", "itself", "questions", "quotes", "variables"],
)
@pytest.mark.timeout(20)
def test_a_bomb_is_refused_in_time(text: str, tmp_path: Path) -> None:
    path = tmp_path / "Dockfile.yaml"
    path.write_text(text)
    with pytest.raises(ValidationError):
        read_dockfile(path, environ={})
