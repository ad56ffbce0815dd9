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


ANONYMOUS: Final = Identity(id="anonymous", auth_method="none")
