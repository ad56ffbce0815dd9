"""What an image is called."""

from __future__ import annotations

import re
from typing import Final

from dockrion.errors import ValidationError

TAG_SAYS: Final = (
    "1 to 128 letters, digits, dots, hyphens and underscores, with no dot or hyphen first"
)

_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# Docker takes 255 in all.
_MAX_AGENT_CHARS: Final = 240


def is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def image_name(agent: str, tag: str) -> str:
    """Return the image's name and tag; raise `ValidationError` for what Docker would not take."""
    if not is_tag(tag):
        raise ValidationError(f"tag: must be {TAG_SAYS}; got {tag!r}")
    if agent.endswith("-") or len(agent) > _MAX_AGENT_CHARS:
        raise ValidationError(
            f"agent.name: {agent!r} names no image: it must not end in a hyphen, "
            f"and have {_MAX_AGENT_CHARS} characters at most"
        )
    return f"dockrion/{agent}:{tag}"
