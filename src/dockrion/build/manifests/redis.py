"""Whose Redis a deployed agent uses: one that is there already, or one that comes with the compose file."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from dockrion.spec import Dockfile

# The service of the compose file, and the name under which the others reach it.
SERVICE: Final = "redis"
PASSWORD: Final = "REDIS_PASSWORD"  # noqa: S105  (the name of a variable)
_WHOLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")


def variable_for_own_redis(dockfile: Dockfile) -> str | None:
    """Return the variable that may lead to a Redis of the compose file; None where the agent has another one.

    It has another one when the Dockfile has a URL of its own, or the variable one that leads to another machine. One
    of this machine cannot be reached from a container.
    """
    if dockfile.spec.streaming.backend != "redis":
        return None
    whole = _WHOLE.fullmatch(str(dockfile.spec.as_written(("streaming", "redis", "url"))))
    if whole is None:
        return None
    value = dockfile.environment.values.get(whole[1], "")
    return whole[1] if _is_here(value) else None


def _is_here(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False  # the agent's start says what is wrong with it
    if not host or host in ("localhost", SERVICE):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
