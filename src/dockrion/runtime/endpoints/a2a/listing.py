"""Lists of tasks: those whose state is newest at first, page by page.

The store knows runs in the order in which they were made, so so many of the newest are sorted at once; who has more
finds the older ones behind them, sorted in the same way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from dockrion.errors import ValidationError
from dockrion.events.decoding import batches_of
from dockrion.events.identity import Identity
from dockrion.events.model import Failed, RunStatus
from dockrion.runs.kept import piece_of
from dockrion.runs.service import RunService
from dockrion.runs.settling import outcome_of
from dockrion.runs.store.base import RunRecord
from dockrion.wires.a2a.requests import ListAll
from dockrion.wires.a2a.tasks import REJECTS
from dockrion.wires.a2a.words import State
from dockrion.wires.chat import wrong

# So many are sorted at once. What they have come to is not kept meanwhile, and read from the store in such pages.
_WINDOW: Final = 500
_PAGE: Final = 100
# Of a list that is filtered: so many windows are looked through for one answer.
_MAX_WINDOWS: Final = 4
_STATUSES: Final = {
    State.SUBMITTED: RunStatus.ACCEPTED,
    State.WORKING: RunStatus.RUNNING,
    State.INPUT_REQUIRED: RunStatus.INTERRUPTED,
    State.COMPLETED: RunStatus.COMPLETED,
    State.FAILED: RunStatus.FAILED,
    State.REJECTED: RunStatus.FAILED,
    State.CANCELED: RunStatus.CANCELLED,
}


class Found(NamedTuple):
    """A task by its place in the list, where the greater ones come first."""

    since: float
    run_id: str


class Listed(NamedTuple):
    """The ids of one page of tasks, in their order."""

    run_ids: list[str]
    next_token: str
    total: int


class _Place(NamedTuple):
    """Where a page begins: behind `last`, in the window that the store's `cursor` leads to. `before`: how many tasks are in
    the windows in front of it.
    """

    before: int = 0
    cursor: str | None = None
    last: Found | None = None

    def __str__(self) -> str:
        """Return it as a token; a run's id and a cursor have no dots."""
        since = "" if self.last is None else round(self.last.since * 1_000_000)
        run_id = "" if self.last is None else self.last.run_id
        return f"{self.before}.{self.cursor or ''}.{since}.{run_id}"


async def list_tasks(runs: RunService, asked: ListAll, identity: Identity) -> Listed:
    """Return a page. A task that comes into another state meanwhile moves to the front, and may be in none of the pages.

    The total is that of all tasks which are asked for, as far as they are in this window or in front of it.
    """
    if asked.state is not None and asked.state not in _STATUSES:
        return Listed([], "", 0)
    place, windows = _read_token(asked.token), 0
    while True:
        found, following = await _window(runs, asked, identity, place.cursor)
        total = place.before + len(found)
        left = [one for one in found if place.last is None or one < place.last]
        if len(left) > asked.limit:
            left = left[: asked.limit]
            place = place._replace(last=left[-1])
            return Listed([one.run_id for one in left], str(place), total)
        place, windows = _Place(total, following), windows + 1
        if left or following is None or windows == _MAX_WINDOWS:
            token = "" if following is None else str(place)
            return Listed([one.run_id for one in left], token, total)


async def _window(
    runs: RunService, asked: ListAll, identity: Identity, cursor: str | None
) -> tuple[list[Found], str | None]:
    """Return what is asked for among so many runs, sorted, and the cursor of the next ones."""
    status = None if asked.state is None else _STATUSES[asked.state]
    found: list[Found] = []
    for _ in range(_WINDOW // _PAGE):
        try:
            page = await runs.list(identity, status=status, cursor=cursor, limit=_PAGE)
        except ValidationError:
            raise _wrong_token() from None
        cursor = page.next_cursor
        for record in page.records:
            if _is_in(asked, record):
                since = await _since(runs, record)
                if asked.after is None or since >= asked.after:
                    # As a token says it.
                    found.append(Found(round(since, 6), record.run_id))
        if cursor is None:
            break
    found.sort(reverse=True)
    return found, cursor


def _is_in(asked: ListAll, record: RunRecord) -> bool:
    if asked.thread_id not in (None, record.thread_id or record.run_id):
        return False
    if asked.state in (State.FAILED, State.REJECTED):
        return (asked.state is State.REJECTED) == _is_rejected(record)
    return True


def _is_rejected(record: RunRecord) -> bool:
    outcome = outcome_of(record)
    return isinstance(outcome, Failed) and outcome.code == REJECTS


async def _since(runs: RunService, record: RunRecord) -> float:
    """Return since when a task is in its state, in Unix seconds; of one that waits, its last event tells that."""
    known = record.finished_at or record.started_at or record.created_at
    if record.status is RunStatus.INTERRUPTED and record.end > record.first:
        page = await runs.store.read(record.run_id, record.end - 1)
        if page is not None and page.entries:
            piece = piece_of(page.entries, page.entries[0].first)
            last = batches_of(piece.body, first=piece.first, end=piece.end)[-1]
            # Events know milliseconds alone.
            return max(known, datetime.fromisoformat(last.timestamp).timestamp())
    return known


def _read_token(token: str | None) -> _Place:
    if token is None:
        return _Place()
    before, cursor, since, run_id = [*token.split("."), "", "", ""][:4]
    numbers = (before, since or "0")
    if token.count(".") != 3 or bool(since) != bool(run_id) or not all(map(_is_number, numbers)):
        raise _wrong_token()
    last = Found(int(since) / 1_000_000, run_id) if since else None
    return _Place(int(before), cursor or None, last)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 18


def _wrong_token() -> ValidationError:
    return wrong("pageToken", "must be the nextPageToken of another page")
