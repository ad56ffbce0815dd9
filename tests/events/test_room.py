"""Room for text: what fits is counted in bytes, and no character is split."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dockrion.events.room import Room

TEXTS = st.lists(
    st.text(st.sampled_from("ab\n\u00e9\u20ac\ud83d\U0001f600"), max_size=6), max_size=6
)


@given(TEXTS, st.integers(0, 40))
def test_what_fits_is_the_longest_beginning_in_so_many_bytes(pieces: list[str], limit: int) -> None:
    room = Room(limit)
    kept = "".join(room.fit(piece) for piece in pieces)
    whole = "".join(pieces)
    assert whole.startswith(kept)
    assert _bytes(kept) <= limit
    assert room.is_full == (kept != whole)
    if room.is_full:
        assert _bytes(whole[: len(kept) + 1]) > limit


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
