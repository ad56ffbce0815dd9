"""Keeping the leases of a process's claims alive, from a thread: an agent may block the event loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from dockrion.runs.pump import Pump
from dockrion.runs.store.base import Beat, RunStore, StoreError

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger(__name__)


class Leases:
    """Sends a heartbeat for all pumps every third of a lease, while there are any.

    `told` is called on the loop with what was learned of a pump; with a lost beat where the store has not answered
    for so long that others may have the run by now.
    """

    def __init__(
        self,
        store: RunStore,
        loop: asyncio.AbstractEventLoop,
        told: Callable[[Pump, Beat], None],
    ) -> None:
        self._store = store
        self._loop = loop
        self._told = told
        self._pumps: dict[str, Pump] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def add(self, pump: Pump) -> None:
        self._pumps[pump.claim.token] = pump
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="leases", daemon=True)
            self._thread.start()

    def discard(self, pump: Pump) -> None:
        self._pumps.pop(pump.claim.token, None)

    def close(self) -> None:
        """Let the thread end; it is not waited for, since the store may not answer."""
        self._pumps.clear()
        self._stop.set()

    def _work(self) -> None:
        period = self._store.rules.lease_seconds / 3
        due = monotonic() + period
        while not self._stop.wait(max(0.0, due - monotonic())):
            began = monotonic()
            # Copied in one step of the interpreter: the loop's thread adds and discards meanwhile.
            pumps = list(self._pumps.values())
            # Counted from its beginning: a store that is slow to answer must not cost the lease.
            due = began + (period if not pumps or self._beat(pumps, began) else period / 4)
            # What ends meanwhile must not live on, with its output, until the next time.
            del pumps

    def _beat(self, pumps: list[Pump], began: float) -> bool:
        """Say whether the store has answered."""
        try:
            beats = self._store.heartbeat([pump.claim for pump in pumps])
        except StoreError as exc:
            logger.warning("leases cannot be renewed: %s", exc)
            self._on_loop(self._give_up_in_time, pumps)
            return False
        except Exception as exc:
            # A bug must not end the thread, and with it all runs of this process.
            logger.error("renewing leases failed", exc_info=exc)
            return True
        for pump, beat in zip(pumps, beats, strict=True):
            if not beat.is_lost:
                pump.lease_ends = began + self._store.rules.lease_seconds
        for pump, beat in zip(pumps, beats, strict=True):
            if beat.is_lost or beat.cancel_reason is not None:
                self._on_loop(self._told, pump, beat)
        return True

    def _give_up_in_time(self, pumps: list[Pump]) -> None:
        """Stop, on the loop and before their leases end, those whose leases are not renewed until then."""
        for pump in pumps:
            self._loop.call_later(max(0.0, self._left(pump)), self._give_up, pump)

    def _give_up(self, pump: Pump) -> None:
        if pump.claim.token in self._pumps and self._left(pump) <= 0:
            self._told(pump, Beat(is_lost=True))

    def _left(self, pump: Pump) -> float:
        """Return how long a run may still go on: some time is left for its stopping."""
        return pump.lease_ends - self._store.rules.lease_seconds / 10 - monotonic()

    def _on_loop(self, call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(call, *arguments)
