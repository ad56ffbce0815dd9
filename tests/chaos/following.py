"""A client that follows a run over cuts, restarts and replicas, and what it must have seen in the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from itertools import cycle, repeat
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from .cluster import Node

TERMINAL = ("complete", "error", "cancelled")
STATES = {"complete": "COMPLETED", "error": "FAILED", "cancelled": "CANCELLED"}
_open = build_opener(ProxyHandler({})).open


class Seen(NamedTuple):
    event: str
    data: dict[str, Any]
    id: str | None

    @property
    def sequence(self) -> int:
        return self.data["sequence"]


class Follower:
    """Follows a run in a thread of its own, from node to node, until its terminal event or `leave`.

    It comes back after each cut, with the id of the last event that it has seen whole. `cuts` are how many bytes it
    takes of one connection after the other, whether or not a frame ends there; `events_a_second` makes it slow.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        run_id: str,
        *,
        cuts: Iterator[int | None] | None = None,
        events_a_second: float | None = None,
    ) -> None:
        self.run_id = run_id
        self.seen: list[Seen] = []
        self.gaps: list[tuple[int, int]] = []
        # Answers that were no streams.
        self.refusals: list[int] = []
        self.connections = 0
        self._nodes = cycle(nodes)
        self._cuts = repeat(None) if cuts is None else cuts
        self._pause = 0.0 if events_a_second is None else 1 / events_a_second
        self._left = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Be slow no more."""
        self._pause = 0.0

    def leave(self) -> None:
        self._left = True
        self._thread.join(10)

    def wait(self, *, seconds: float = 30.0) -> list[Seen]:
        """Return all events once the terminal one has come."""
        self._thread.join(seconds)
        last = [seen[:2] for seen in self.seen[-2:]]
        assert not self._thread.is_alive(), f"{self.run_id}: no end after {last}"
        return self.seen

    @property
    def is_over(self) -> bool:
        return bool(self.seen) and self.seen[-1].event in TERMINAL

    def _follow(self) -> None:
        while not (self.is_over or self._left):
            try:
                self._connect(next(self._nodes), next(self._cuts))
            except HTTPError as exc:
                self.refusals.append(exc.code)
                exc.close()
                time.sleep(0.02)
            except (OSError, HTTPException):
                time.sleep(0.02)

    def _connect(self, node: Node, cut: int | None) -> None:
        request = Request(f"{node.url}/runs/{self.run_id}/events")
        if self.seen:
            request.add_header("Last-Event-ID", str(self.seen[-1].id))
        with _open(request, timeout=20) as response:
            self.connections += 1
            buffer = b""
            taken = 0
            while not (self.is_over or self._left):
                piece: bytes = response.read1(65536 if not self._pause else 512)
                if cut is not None:
                    piece = piece[: cut - taken]
                    taken += len(piece)
                if not piece:
                    return
                *frames, buffer = (buffer + piece).split(b"\n\n")
                for frame in frames:
                    self._take(frame)

    def _take(self, frame: bytes) -> None:
        lines = [line for line in frame.decode().split("\n") if not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if "event" not in fields:
            return
        data = json.loads(fields["data"])
        if fields["event"] == "gap":
            self.gaps.append((data["from"], data["to"]))
            return
        if fields["event"] in ("heartbeat", "timeout"):
            return
        if self._pause:
            time.sleep(self._pause)
        self.seen.append(Seen(fields["event"], data, fields["id"]))


def check_whole(seen: Sequence[Seen]) -> None:
    """Each sequence exactly once and in order, one terminal event, as the last one."""
    assert [one.sequence for one in seen] == list(range(len(seen)))
    assert [one.id for one in seen] == [f"{seen[0].data['run_id']}:{n}" for n in range(len(seen))]
    assert [n for n, one in enumerate(seen) if one.event in TERMINAL] == [len(seen) - 1]


def check_run(node: Node, run_id: str) -> list[Seen]:
    """The run has ended, its log is whole, and its state is what its last event says."""
    follower = Follower([node], run_id)
    seen = follower.wait()
    assert follower.gaps == []
    check_whole(seen)
    record = node.get(run_id)
    assert record["status"] == STATES[seen[-1].event], (record, seen[-1])
    if record["status"] == "FAILED":
        assert record["error"]["code"] == seen[-1].data["code"]
    if record["status"] == "COMPLETED":
        assert record["output"] == seen[-1].data["output"]
    return seen
