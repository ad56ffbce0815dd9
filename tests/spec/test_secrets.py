"""Secrets of the Dockfile: when one is missing, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.spec.kit import LEAST_YAML, SECRETS, spec_of, write

from dockrion.errors import MissingSecretError, ValidationError
from dockrion.spec import load_dockspec, read_dockfile, validate_dockspec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEEDED", "ALSO_NEEDED", "NICE", "LOG_LEVEL", "V", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def message_of(path: Path, **options: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        load_dockspec(path, **options)
    return caught.value.message


def test_missing_required_secrets_are_listed_together(tmp_path: Path) -> None:
    with pytest.raises(MissingSecretError) as caught:
        load_dockspec(write(tmp_path, SECRETS))
    assert caught.value.message == "Missing required secrets: NEEDED, ALSO_NEEDED"
    assert caught.value.missing_secrets == ["NEEDED", "ALSO_NEEDED"]


def test_an_empty_required_secret_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEEDED", "")
    monkeypatch.setenv("ALSO_NEEDED", "x")
    with pytest.raises(MissingSecretError, match=r"Missing required secrets: NEEDED$"):
        load_dockspec(write(tmp_path, SECRETS))


def test_secrets_that_are_set_anywhere_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEEDED", "x")
    more = SECRETS.replace("description: the other one", "default: y")
    assert load_dockspec(write(tmp_path, more)).warnings == []


def test_missing_secrets_are_a_warning_or_nothing_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path, SECRETS)
    warning = "Missing required secrets: NEEDED, ALSO_NEEDED"
    assert load_dockspec(path, strict_secrets=False).warnings == [warning]
    assert load_dockspec(path, validate_secrets=False).warnings == []
    assert read_dockfile(path).missing_secrets == ["NEEDED", "ALSO_NEEDED"]


def test_a_missing_secret_that_fills_a_field_is_still_no_more_than_a_missing_secret(
    tmp_path: Path,
) -> None:
    more = """\
arguments: {key: "${NEEDED}", other: "${ALSO_NEEDED:-x}"}
runs: {concurrency: "${NEEDED}"}
expose: {streaming: ["${NEEDED}"], cors: {credentials: "${NEEDED}"}}
io_schema: {input: {type: "${NEEDED}"}}
auth:
  mode: jwt
  jwt: {jwks_url: "https://${NEEDED}/keys"}
streaming: {backend: redis, redis: {url: "${NEEDED}"}}
"""
    least = LEAST_YAML.replace("io_schema: {}\nexpose: {}\n", "")
    path = write(tmp_path, SECRETS + more, least=least)
    with pytest.raises(MissingSecretError, match="Missing required secrets: NEEDED, ALSO_NEEDED"):
        load_dockspec(path)
    assert validate_dockspec(path)["errors"] == []
    assert load_dockspec(path, strict_secrets=False).arguments == {"key": "${NEEDED}", "other": "x"}


def test_an_optional_secret_that_fills_a_field_must_be_set(tmp_path: Path) -> None:
    more = SECRETS + "arguments: {key: '${NICE}'}\n"
    assert "arguments.key: the variable NICE is not set" in message_of(write(tmp_path, more))


def test_other_problems_come_before_missing_secrets(tmp_path: Path) -> None:
    assert "runs.concurrency" in message_of(write(tmp_path, SECRETS + "runs: {concurrency: 0}\n"))


@pytest.mark.parametrize("section", ["3", "[]", "{required: 3}", "{required: [3, {name: 3}]}"])
def test_a_secrets_section_of_the_wrong_shape_is_a_plain_problem(
    tmp_path: Path, section: str
) -> None:
    assert ": secrets" in message_of(write(tmp_path, f"secrets: {section}\n"))


def test_values_of_keys_are_secrets_where_their_variables_say(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "auth:\n  api_keys:\n    prefix: prod\n    keys: [{name: a, env_var: MINE}]\n",
    )
    environ = {"MINE": "m-1", "PROD_API_KEY_X": "x-2", "PROD_API_KEY": "p-3", "OTHER": "o-4"}
    spec = read_dockfile(path, environ=environ).spec
    assert sorted(spec.secret_values) == ["m-1", "p-3", "x-2"]
    assert spec.environ["OTHER"] == "o-4"
    assert "m-1" not in repr(spec)


def test_a_spec_of_a_mapping_reads_the_environment_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = spec_of({"auth": {"mode": "oauth2", "oauth2": OAUTH2}})
    monkeypatch.setenv("CLIENT_SECRET", "s-1")
    monkeypatch.setenv("CLIENT_ID", "dockrion")
    assert spec.secret_values == ["s-1"]


OAUTH2 = {
    "introspection_url": "https://a.example",
    "client_id_env": "CLIENT_ID",
    "client_secret_env": "CLIENT_SECRET",
}
