"""Who calls, what they may do, how often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from dockrion._registry import Registry

if TYPE_CHECKING:
    from dockrion.auth.base import Authenticator
    from dockrion.spec.auth import AuthSpec


class MakeAuthenticator(Protocol):
    """Takes the mode's own section of the Dockfile, and the environment that it was loaded in.

    Raises `ValidationError` for a key that is not set or not sound.
    """

    def __call__(self, section: Any, environ: Mapping[str, str], /) -> Authenticator: ...


AUTHENTICATORS: Final[Registry[MakeAuthenticator]] = Registry(
    "auth.mode",
    {
        "api_key": "dockrion.auth.api_keys:ApiKeyAuthenticator",
        "jwt": "dockrion.auth.jwt:JwtAuthenticator",
        "oauth2": "dockrion.auth.oauth2:OAuth2Authenticator",
    },
    extras={"jwt": "jwt", "oauth2": "oauth2"},
)

_SECTIONS: Final = {"api_key": "api_keys"}


def make_authenticator(auth: AuthSpec, environ: Mapping[str, str]) -> Authenticator:
    """Return the authenticator of an `auth` section that is not open; whatever is missing for it is an error."""
    section: Any = getattr(auth, _SECTIONS.get(auth.mode, auth.mode))
    return AUTHENTICATORS.get(auth.mode)(section, environ)
