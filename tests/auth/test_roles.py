"""What callers may do."""

from __future__ import annotations

import pytest

from dockrion.auth.roles import Roles, demand
from dockrion.errors import PermissionDeniedError
from dockrion.events.identity import ANONYMOUS, SEES_ALL_RUNS, USUAL_PERMISSIONS, Identity
from dockrion.spec.auth import PERMISSIONS, RoleSpec

ROLES = Roles(
    [
        RoleSpec.model_validate({"name": "reader", "permissions": ["view_metrics", "read_docs"]}),
        RoleSpec.model_validate({"name": "caller", "permissions": ["invoke", "read_docs"]}),
    ]
)


def test_the_usual_permissions_are_all_but_to_see_other_callers_runs() -> None:
    assert {*USUAL_PERMISSIONS, SEES_ALL_RUNS} == set(PERMISSIONS)
    assert ANONYMOUS.permissions == USUAL_PERMISSIONS


@pytest.mark.parametrize("roles", [ROLES, Roles()])
def test_a_key_without_a_role_has_the_usual_permissions(roles: Roles) -> None:
    assert roles.granted(Identity("a", "api_key")).permissions == USUAL_PERMISSIONS


def test_a_key_with_a_role_has_what_the_role_has_and_no_more() -> None:
    assert ROLES.granted(Identity("a", "api_key", roles=("caller",))).permissions == (
        "invoke",
        "read_docs",
    )
    assert ROLES.granted(Identity("a", "api_key", roles=("unknown",))).permissions == ()


def test_a_token_has_its_own_permissions_and_those_of_all_its_roles() -> None:
    token = Identity("a", "jwt", roles=("caller", "reader", "unknown"), permissions=("own",))
    assert ROLES.granted(token).permissions == ("own", "invoke", "read_docs", "view_metrics")
    assert ROLES.granted(Identity("a", "jwt")).permissions == ()


def test_a_permission_that_is_not_there_is_denied() -> None:
    demand(ANONYMOUS, "invoke")
    with pytest.raises(PermissionDeniedError, match="the permission key_manage"):
        demand(ANONYMOUS, "key_manage")


def test_runs_are_seen_by_who_made_them_and_by_who_manages_keys() -> None:
    ann, bob = Identity("ann", "api_key"), Identity("bob", "api_key")
    boss = Identity("boss", "api_key", permissions=("key_manage",))
    assert ann.may_see_runs_of(ann)
    assert not bob.may_see_runs_of(ann)
    assert boss.may_see_runs_of(ann)
    assert not ann.may_see_runs_of(boss)
