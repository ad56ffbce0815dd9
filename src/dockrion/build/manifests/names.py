"""Names and labels that Kubernetes takes, made of names and texts that may be anything."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

# Of a service's name and of a label's value; `WORKER` has to fit in.
MAX_LABEL_CHARS: Final = 63
_MAX_NAME_CHARS: Final = 52
WORKER: Final = "-worker"
_MAX_TEXT_CHARS: Final = 4096


def object_name(agent: str) -> str:
    """Return a DNS label for the agent: its name, or the beginning of it and a hash, so that two never share one.

    With `WORKER` behind it, it is no other agent's.
    """
    if len(agent) <= _MAX_NAME_CHARS and not agent.endswith(("-", WORKER)):
        return agent
    digest = sha256(agent.encode()).hexdigest()[:8]
    return f"{agent[: _MAX_NAME_CHARS - 9].rstrip('-')}-{digest}"


def label_value(text: str) -> str:
    """Return the nearest text that may be the value of a label; it may be empty."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:MAX_LABEL_CHARS].strip("_.-")


def text_value(text: str) -> str:
    """Return the text as far as annotations, and labels of containers, take it: of some length, without NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:_MAX_TEXT_CHARS]
