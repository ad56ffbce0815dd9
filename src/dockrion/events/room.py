"""Room for text, in the bytes that it is sent as."""

from __future__ import annotations


class Room:
    """Takes text that comes in pieces, up to so many bytes of UTF-8, over all of them."""

    __slots__ = ("_left", "is_full")

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes
        # Whether something had no room, and all that follows has none.
        self.is_full = False

    def fit(self, text: str) -> str:
        """Return what there is room for, which is all of the text, or a part that ends with a whole character."""
        if self.is_full:
            return ""
        # Most text is ASCII, and knows it; half a surrogate pair takes as much as what it becomes.
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if size <= self._left:
            self._left -= size
            return text
        self.is_full = True
        return _prefix(text, self._left)


def _prefix(text: str, size: int) -> str:
    """Return the longest beginning in so many bytes."""
    if text.isascii():
        return text[:size]
    # No character takes less than a byte.
    data = text[: size + 1].encode("utf-8", "surrogatepass")
    while size and data[size] & 0xC0 == 0x80:
        size -= 1
    return data[:size].decode("utf-8", "surrogatepass")
