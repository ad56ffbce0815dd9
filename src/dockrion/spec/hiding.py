"""Taking the values of secrets out of text that somebody may read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast
from urllib.parse import quote

HIDDEN: Final = "***"
# Of a very short secret, every second word would be made unreadable.
MIN_CHARS: Final = 4
# The lines of a longer one, a key file for example, may be indented or stand alone.
MIN_LINE_CHARS: Final = 8

_LINE_END: Final = re.compile(r"\n|\\n")


class Hider:
    """Knows the values as they are, line by line, and as JSON, `repr` and URLs write them."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        # Longest first, so that a secret within another one leaves nothing of it.
        self._forms: list[str] = []
        self.add(values)

    def add(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in _forms(value)}
        self._forms = sorted(forms.union(self._forms), key=len, reverse=True)

    def hide(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def hide_in(self, value: Any) -> Any:
        """Return JSON data with its texts hidden, keys too, and numbers that are secrets."""
        if not self._forms:
            return value
        match value:
            case str():
                return self.hide(value)
            case list() | tuple():
                return [self.hide_in(item) for item in cast("Sequence[Any]", value)]
            case dict():
                items = cast("dict[str, Any]", value)
                return {self.hide(name): self.hide_in(item) for name, item in items.items()}
            case int() | float() if not isinstance(value, bool):
                text = self.hide(str(value))
                return value if text == str(value) else text
            case _:
                return value


def _forms(value: str) -> Iterator[str]:
    if len(value.strip()) < MIN_CHARS:
        return
    yield from (value, value.strip(), " ".join(value.split()))
    # Without and with quotes escaped.
    yield from (repr(value)[1:-1], repr(f'{value}"')[1:-2])
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield quote(value, safe="", errors="surrogatepass")
    # Variables hold the line ends of a key as `\n`, too.
    lines = [line.strip() for line in _LINE_END.split(value)]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= MIN_LINE_CHARS)
