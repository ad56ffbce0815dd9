"""docs/auth-tokens.md: its Dockfiles are read, its numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dockrion.auth import bearer, endpoint, jwks, jwt_keys, oauth2
from dockrion.spec.auth import AuthSpec

PAGE = (Path(__file__).parents[2] / "docs" / "auth-tokens.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_section_of_a_dockfile(example: str) -> None:
    section = AuthSpec.model_validate(YAML(typ="safe").load(example)["auth"])
    assert section.model_extra == {}
    used = {"jwt": section.jwt, "oauth2": section.oauth2}[section.mode]
    assert used is not None
    assert used.model_extra == {}


def test_the_page_has_the_limits_of_the_code() -> None:
    assert len(EXAMPLES) == 3
    assert bearer.MAX_TOKEN_BYTES == 16 * 1024
    assert (jwks.RENEWAL_SECONDS, jwks.FIRST_KEYS_SECONDS) == (10, 1)
    assert (jwks.FRESH_SECONDS, jwks.USABLE_SECONDS) == (5 * 60, 24 * 3600)
    assert (endpoint.TIMEOUT_SECONDS, endpoint.MAX_ANSWER_BYTES) == (4, 1 << 20)
    assert (oauth2.REFUSED_SECONDS, oauth2.MAX_KEPT) == (5, 10_000)
    assert jwt_keys.MAX_GUESSES == 8
