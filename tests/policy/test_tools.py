"""What the Dockfile's rules for tools mean."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.policy.tools import ToolRules, tool_rules
from dockrion.spec.policies import PoliciesSpec

NONE: list[Any] = [
    {},
    {"safety": {"halt_on_violation": True}},
    {"tools": {"deny_by_default": False}},
    {"tools": {"allowed": ["a"], "deny_by_default": False}},
]
SOME: list[tuple[Any, ToolRules]] = [
    ({"tools": {}}, ToolRules(allowed=frozenset())),
    ({"tools": {"allowed": ["a", "b"]}}, ToolRules(allowed=frozenset({"a", "b"}))),
    ({"tools": {"allowed": ["a"]}, "safety": {}}, ToolRules(allowed=frozenset({"a"}))),
    (
        {"tools": {"allowed": ["a"]}, "safety": {"halt_on_violation": True}},
        ToolRules(allowed=frozenset({"a"}), halts=True),
    ),
]


@pytest.mark.parametrize("policies", NONE)
def test_without_a_section_or_with_nothing_denied_there_are_no_rules(policies: Any) -> None:
    assert tool_rules(PoliciesSpec.model_validate(policies)) is None


@pytest.mark.parametrize(("policies", "rules"), SOME)
def test_what_is_not_listed_may_not_run(policies: Any, rules: ToolRules) -> None:
    assert tool_rules(PoliciesSpec.model_validate(policies)) == rules


def test_a_name_is_compared_whole_and_as_it_is_written() -> None:
    rules = ToolRules(allowed=frozenset({"search"}))
    assert rules.allows("search")
    assert not any(map(rules.allows, ("Search", "search ", "search2", "sear", "")))
