"""What callers may do: the permissions of their roles, and of callers who have none."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dockrion.errors import PermissionDeniedError
from dockrion.events.identity import USUAL_PERMISSIONS, Identity
from dockrion.spec.auth import RoleSpec


class Roles:
    """The roles of a Dockfile; falsy where it defines none."""

    def __init__(self, roles: Iterable[RoleSpec] = ()) -> None:
        self._permissions = {role.name: role.permissions for role in roles}

    def __bool__(self) -> bool:
        return bool(self._permissions)

    def granted(self, identity: Identity) -> Identity:
        """Return the identity with the permissions of its roles beside its own; a key without a role has the usual ones."""
        if identity.roles:
            permissions = dict.fromkeys(identity.permissions)
            for role in identity.roles:
                permissions |= dict.fromkeys(self._permissions.get(role, ()))
            return msgspec.structs.replace(identity, permissions=tuple(permissions))
        if identity.auth_method == "api_key":
            return msgspec.structs.replace(identity, permissions=USUAL_PERMISSIONS)
        return identity


def demand(identity: Identity, permission: str) -> None:
    if permission not in identity.permissions:
        raise PermissionDeniedError(f"This needs the permission {permission}.")
