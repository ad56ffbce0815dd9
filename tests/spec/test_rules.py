"""Rules between fields: each runs on what is valid, so that no problem hides another."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.spec.kit import LEAST, dockfile, problems_of, spec_of

from dockrion.errors import ValidationError
from dockrion.spec import DockSpec, declare_framework
from dockrion.spec.agent import AgentSpec
from dockrion.spec.expose import ExposeSpec
from dockrion.spec.io_schema import IoSchemaSpec
from dockrion.spec.shape import ListOf, MapOf, Shape, fields_of
from dockrion.spec.streaming import StreamingSpec

KEY = {"name": "a", "env_var": "A"}
ROLE = {"name": "a", "permissions": []}
JWKS = {"jwks_url": "https://id.example/keys"}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"agent": {"name": "a"}}, "agent: one of `handler`, `entrypoint` must be given"),
    (
        {"agent": {"name": "a", "entrypoint": "m:f"}},
        "agent.framework: is required where `entrypoint` stands without a `handler`",
    ),
    (
        {"expose": {"rest": False, "streaming": "none"}},
        "expose: nothing is exposed: `rest` is false, `streaming` is none, and there is no protocol",
    ),
    (
        {"expose": {"rest": False, "streaming": []}},
        "expose: nothing is exposed: `rest` is false, `streaming` is none, and there is no protocol",
    ),
    (
        {"expose.cors": {"credentials": True}},
        "expose.cors.credentials: cannot be true while `origins` has *; name the origins",
    ),
    (
        {"expose.cors": {"credentials": True, "origins": ["https://a.example", "*"]}},
        "expose.cors.credentials: cannot be true while `origins` has *; name the origins",
    ),
    (
        {"streaming.id_generator": {"type": "custom"}},
        "streaming.id_generator.handler: is required with `type: custom`",
    ),
    ({"streaming.backend": "redis"}, "streaming.redis.url: is required with `backend: redis`"),
    (
        {"streaming.worker": False},
        "streaming.worker: cannot be false with `backend: memory`, which no other process sees",
    ),
    ({"auth.mode": "jwt"}, "auth.jwt: is required with `mode: jwt`"),
    ({"auth.mode": "oauth2"}, "auth.oauth2: is required with `mode: oauth2`"),
    ({"auth.jwt": {}}, "auth.jwt: needs exactly one of `jwks_url`, `public_key_env`"),
    (
        {"auth.jwt": {**JWKS, "public_key_env": "PEM"}},
        "auth.jwt: needs exactly one of `jwks_url`, `public_key_env`",
    ),
    (
        {"auth.jwt": {**JWKS, "algorithms": ["HS256"]}},
        "auth.jwt.algorithms: HS algorithms need `public_key_env`; a JWKS has public keys",
    ),
    (
        {"auth.jwt": {"public_key_env": "PEM", "algorithms": ["HS256", "RS256"]}},
        "auth.jwt.algorithms: HS algorithms cannot stand beside RS or ES ones",
    ),
    (
        {"auth.jwt": {"public_key_env": "PEM", "algorithms": ["ES256", "HS512"]}},
        "auth.jwt.algorithms: HS algorithms cannot stand beside RS or ES ones",
    ),
    ({"auth.roles": [ROLE, ROLE]}, 'auth.roles[1].name: must be unique, got "a"'),
    ({"auth.api_keys.keys": [KEY, KEY]}, 'auth.api_keys.keys[1].name: must be unique, got "a"'),
    (
        {"secrets.required": [{"name": "A"}, {"name": "A"}]},
        'secrets.required[1].name: must be unique, got "A"',
    ),
    (
        {"secrets": {"required": [{"name": "A"}], "optional": [{"name": "B"}, {"name": "A"}]}},
        'secrets.optional[1].name: must be unique, got "A"',
    ),
    (
        {"policies.safety.redact_patterns": ["a", "b[c"]},
        'policies.safety.redact_patterns[1]: must be a Python regular expression: unterminated character set at position 1, got "b[c"',
    ),
    (
        {"policies.safety.injection_patterns": ["(a+)+b"]},
        (
            "policies.safety.injection_patterns[0]: must not be able to read the same text in many ways, or one text could take very long: "
            "let neighbouring repeats read different characters, and no repeat hold another that reads the same, "
            'got "(a+)+b"'
        ),
    ),
    (
        {"policies.safety.redact_patterns": ["(a+)+b"]},
        (
            "policies.safety.redact_patterns[0]: must not be able to read the same text in many ways, or one text could take very long: "
            "let neighbouring repeats read different characters, and no repeat hold another that reads the same, "
            'got "(a+)+b"'
        ),
    ),
]

TAKEN: list[dict[str, Any]] = [
    {"agent": {"name": "a", "entrypoint": "m:f", "framework": "langgraph"}},
    {"agent": {"name": "a", "entrypoint": "m:f", "handler": "m:g"}},
    {"expose": {"rest": False, "streaming": "sse"}},
    {"expose": {"rest": False}},
    {"expose": {"rest": True, "streaming": "none"}},
    {"expose": {"rest": False, "streaming": "none", "protocols": ["mcp"]}},
    {"expose.cors": {"credentials": True, "origins": ["https://a.example"]}},
    {"streaming.id_generator": {"type": "custom", "handler": "ids:make"}},
    {"streaming": {"backend": "redis", "redis": {"url": "redis://h"}, "worker": False}},
    {"streaming": {"backend": "sqlite", "worker": False}},
    {"streaming.redis.url": "${REDIS_URL}"},
    {"auth": {"mode": "jwt", "jwt": JWKS}},
    {"auth.jwt": {"public_key_env": "PEM", "algorithms": ["HS256", "HS512"]}},
    {"auth.jwt": {**JWKS, "algorithms": ["RS256", "ES384"]}},
    {"auth": {"mode": "none", "roles": [ROLE], "rate_limits": {"who": "1/day"}}},
    {"secrets": {"required": [{"name": "A"}], "optional": [{"name": "B"}]}},
]


@pytest.mark.parametrize(("parts", "problem"), REFUSED)
def test_fields_that_do_not_go_together_are_refused(parts: dict[str, Any], problem: str) -> None:
    assert problems_of(parts) == [problem]


@pytest.mark.parametrize("parts", TAKEN)
def test_fields_that_go_together_are_taken(parts: dict[str, Any]) -> None:
    spec_of(parts)


def test_a_wrong_value_does_not_hide_a_broken_rule_beside_it() -> None:
    problems = problems_of(
        {
            "agent": {"name": "A!"},
            "expose": {"port": 0, "cors": {"credentials": True, "methods": 3}},
            "auth": {"mode": "jwt", "roles": [{}, ROLE, ROLE]},
            "streaming": {"worker": False, "events": 3},
        }
    )
    paths = {problem.split(": ")[0] for problem in problems}
    assert paths == {
        "agent",
        "agent.name",
        "expose.port",
        "expose.cors.credentials",
        "expose.cors.methods",
        "auth.jwt",
        "auth.roles[0].name",
        "auth.roles[0].permissions",
        "streaming.worker",
        "streaming.events",
    }


def test_a_rule_is_not_asked_about_a_value_that_is_wrong() -> None:
    assert problems_of({"agent": {"name": "a", "handler": "m"}}) == [
        'agent.handler: must be module.path:name, got "m"'
    ]
    assert problems_of({"expose.cors": {"credentials": True, "origins": "*"}}) == [
        'expose.cors.origins: must be a list, got "*"'
    ]


def test_details_hold_every_problem_with_path_message_line_and_column() -> None:
    with pytest.raises(ValidationError) as caught:
        spec_of({"expose.port": 0})
    message = "must be a whole number from 1 to 65535, got 0"
    assert caught.value.details == [
        {"path": "expose.port", "message": message, "line": None, "column": None}
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sse", ("sse",)),
        ("websocket", ("websocket",)),
        ("none", ()),
        ([], ()),
        (["websocket", "sse", "sse"], ("websocket", "sse")),
    ],
)
def test_streaming_is_read_as_a_tuple(written: Any, read: tuple[str, ...]) -> None:
    expose = spec_of({"expose.streaming": written}).expose
    assert expose.streaming == read
    assert (expose.sse, expose.websocket) == ("sse" in read, "websocket" in read)


def test_a_declared_framework_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockrion.spec.frameworks._declared", set[str]())
    with pytest.raises(ValidationError, match=r"^agent\.framework: must be one of custom,"):
        spec_of({"agent.framework": "declared-by-a-test"})
    declare_framework("declared-by-a-test")
    assert (
        spec_of({"agent.framework": "declared-by-a-test"}).agent.framework == "declared-by-a-test"
    )


def test_a_framework_that_is_a_near_miss_is_refused() -> None:
    (problem,) = problems_of({"agent.framework": "langraph"})
    assert problem.startswith("agent.framework: must be one of custom, langchain, langgraph")
    assert problem.endswith('got "langraph"')


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, "must be text, in quotes, got 1.0"),
        (True, "must be text, in quotes, got true"),
        (" ", 'must be text that is not blank, got " "'),
        ([], "must be text, got []"),
    ],
)
def test_what_only_lacks_quotes_is_told_so(value: Any, words: str) -> None:
    assert problems_of({"metadata.version": value}) == [f"metadata.version: {words}"]


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_no_mapping_is_no_dockfile(data: Any) -> None:
    with pytest.raises(ValidationError, match=r"^must be a mapping, got "):
        DockSpec.model_validate(data)


def test_a_spec_is_frozen() -> None:
    spec = spec_of({})
    with pytest.raises(ValueError, match="frozen"):
        spec.expose.port = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_a_spec_from_a_mapping_has_the_current_folder() -> None:
    assert spec_of({}).folder == Path.cwd()


def test_a_spec_passes_through_validation_unchanged() -> None:
    spec = spec_of({"streming": 1})
    assert DockSpec.model_validate(spec) is spec
    assert spec.warnings == ["streming: did you mean streaming?"]


def test_keyword_arguments_and_sections_make_a_spec_too() -> None:
    spec = DockSpec(
        version="1.0",
        agent=AgentSpec(name="a", handler="m:f"),
        io_schema=IoSchemaSpec(),
        expose=ExposeSpec(port=9),
    )
    assert (spec.agent.framework, spec.expose.port) == ("custom", 9)
    assert spec.streaming == StreamingSpec()
    with pytest.raises(ValidationError, match=r"expose\.port"):
        DockSpec(**dockfile({"expose.port": 0}))


def test_a_section_can_be_built_alone() -> None:
    assert StreamingSpec().events.heartbeat_interval == 15


def test_a_lowercase_typo_of_true_is_one_plain_problem() -> None:
    assert problems_of({"expose.rest": "ture"}) == [
        'expose.rest: must be true or false, got "ture"'
    ]


def _leaves(shape: Shape, path: str) -> list[tuple[str, Shape]]:
    if isinstance(shape, type):
        found = fields_of(shape).items()
        return [leaf for name, below in found for leaf in _leaves(below, f"{path}.{name}")]
    if isinstance(shape, ListOf | MapOf):
        return _leaves(shape[0], f"{path}[]")
    return [(path, shape)]


def test_every_field_says_in_its_own_words_what_it_takes() -> None:
    leaves = _leaves(DockSpec, "")
    assert len(leaves) > 100
    assert [path for path, shape in leaves if shape is None] == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 100_000)
    | st.floats()
    | st.sampled_from(["", "a", "sse", "jwt", "redis", "${X}", "custom", "a:b", "[", "\n"]),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "type", "url", "keys", "x"]), below, max_size=3)
    ),
    max_leaves=5,
)
PATHS = [path.removeprefix(".").split("[")[0] for path, _ in _leaves(DockSpec, "")]
ANYWHERE = st.sampled_from(sorted({p.rsplit(".", n)[0] for p in PATHS for n in (0, 1, 2)}))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=st.dictionaries(ANYWHERE, JSON, min_size=1, max_size=3))
def test_whatever_stands_anywhere_gives_a_spec_or_plain_sentences(parts: dict[str, Any]) -> None:
    data = copy.deepcopy(LEAST)
    for path, value in parts.items():
        section = data
        *above, name = path.split(".")
        for key in above:
            if not isinstance(section.get(key), dict):
                section[key] = {}
            section = section[key]
        section[name] = value
    for problem in _problems(data):
        assert problem["message"].split()[0] in FIRST_WORDS, problem


def _problems(data: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        DockSpec.model_validate(data)
    except ValidationError as exc:
        return exc.details or [{"message": "an error without details"}]
    return []


FIRST_WORDS = {"must", "is", "a", "cannot", "needs", "one", "nothing", "HS", "breaks"}


def test_an_origin_with_a_star_in_it_would_match_nothing() -> None:
    assert spec_of({"expose.cors": {"origins": ["https://a.example"]}}).warnings == []
    (problem,) = problems_of({"expose.cors": {"origins": ["https://*.example"]}})
    assert problem.startswith("expose.cors.origins[0]: must be * alone, or one origin")
