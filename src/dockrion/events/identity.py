"""Who calls."""

from __future__ import annotations

from typing import Final

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """The caller of a run, as the authenticator found it; agents see it as `context.identity`."""

    id: str
    auth_method: str
    email: str | None = None
    name: str | None = None
    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    tenant_id: str | None = None

    def may_see_runs_of(self, owner: Identity) -> bool:
        return owner.id == self.id or SEES_ALL_RUNS in self.permissions


SEES_ALL_RUNS: Final = "key_manage"
# Of callers whose credentials say nothing about it: all but to see other callers' runs.
USUAL_PERMISSIONS: Final = (
    "deploy",
    "rollback",
    "invoke",
    "view_metrics",
    "read_logs",
    "read_docs",
)
ANONYMOUS: Final = Identity(id="anonymous", auth_method="none", permissions=USUAL_PERMISSIONS)
