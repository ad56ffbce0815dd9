"""The ids of frames, with which a caller whose connection was cut comes back: to the frame, not to its event alone.

`<run_id>:<sequence>` says that all of that event has been told. Where it has several frames, those in front of its last
have `<run_id>:<sequence>.<n>`, the first with 1. The frames that end a stream whose run waits, after its last event,
have `<run_id>:<sequence>+<n>`, and their last `<run_id>:<sequence>+`: whoever has that waits for what follows the answers.
"""

from __future__ import annotations

from dockrion.events import sse


def mark_event(frames: list[bytes], first: int, cursor: bytes | None, sequence: int) -> None:
    """Give the frames of one event, those from `first` on, their ids. `cursor` is that of an event, with a place for `sequence`."""
    last = len(frames) - 1
    if cursor is None or last < first:
        return
    event_id = cursor % sequence
    for place in range(first, last):
        frames[place] = sse.with_id(frames[place], b"%b.%d" % (event_id, place - first + 1))
    frames[last] = sse.with_id(frames[last], event_id)


def mark_opening(frames: list[bytes], cursor: bytes | None) -> None:
    """Give the frame that comes before the first event the id that it has where it is told with that event, as its first."""
    if cursor is not None:
        frames[0] = sse.with_id(frames[0], b"%b.1" % (cursor % 0))


def mark_pause(frames: list[bytes], cursor: bytes | None, sequence: int) -> None:
    """Give the frames that come after the last event of a run that waits their ids."""
    if cursor is None or not frames:
        return
    event_id, last = cursor % sequence, len(frames) - 1
    for place in range(last):
        frames[place] = sse.with_id(frames[place], b"%b+%d" % (event_id, place + 1))
    frames[last] = sse.with_id(frames[last], event_id + b"+")
