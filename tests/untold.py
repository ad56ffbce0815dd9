"""That a secret is not told, in texts that have random ids in them."""

from __future__ import annotations

import re

BY_CHANCE = re.compile(r"[0-9a-fA-F.:TZ-]{,12}")
"""What ids, times and durations are made of: a short piece of it turns up by itself."""


def assert_untold(text: str, *parts: str) -> None:
    """Fail where one of `parts`, secrets or pieces of them, is in `text`.

    A part that a random id could have by chance is an error of the test, which would
    fail once in a while: four digits are in about one of 3,000 UUIDs.
    """
    for part in parts:
        assert not BY_CHANCE.fullmatch(part), f"a random id may have {part!r} in it; use letters"
        assert part not in text, f"{part!r} is told"
