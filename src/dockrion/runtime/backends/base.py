"""The seam of backends: where an app keeps what more than one request, and perhaps more than one process, needs."""

from __future__ import annotations

from typing import Protocol

from dockrion.auth.base import TicketRules, TicketStore
from dockrion.auth.rates import RateLimiter
from dockrion.runs.dispatch.base import Dispatcher
from dockrion.runs.store.base import RunStore, StoreRules


class Backend(Protocol):
    """Made once for an app, from its Dockfile; opened anew at each start of the app, and closed at its end.

    What the methods return is used while the backend is open.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other processes see what is kept."""
        ...

    async def open(self) -> None:
        """Connect; raise what `RunStore.open` raises."""
        ...

    async def close(self) -> None: ...

    async def check(self) -> None:
        """Raise `BackendError` while it cannot be used: for `/ready`."""
        ...

    def runs(self, rules: StoreRules) -> tuple[RunStore, Dispatcher]:
        """Return a new store and what brings its runs to workers; for one start of the app."""
        ...

    def tickets(self, rules: TicketRules) -> TicketStore: ...

    def rates(self) -> RateLimiter: ...
