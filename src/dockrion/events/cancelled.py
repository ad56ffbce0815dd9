"""The one exception that is no `DockrionError`; apart from the others, since it needs asyncio."""

from __future__ import annotations

import asyncio


class RunCancelled(asyncio.CancelledError):
    """Raised by an emit when the run is over: cancelled, timed out, or left by its caller.

    A kind of cancellation, and like it a `BaseException`: a task of the agent's own that ends with it has been
    cancelled, which event loops do not report as an error that nobody looked at.
    """
