"""What a caller asks for, and the run that a store is asked to keep for it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from dockrion.events.identity import Identity
from dockrion.events.jsonable import encode
from dockrion.runs.runner import new_run_id
from dockrion.runs.store.base import NewRun
from dockrion.telemetry.base import Cause, carrier_of


class RunCall(msgspec.Struct, frozen=True):
    """Read and checked; without a `run_id` the run gets a new one.

    With `needs_tokens`, a run that its caller streams has tokens whatever the Dockfile's filter says: they are the reply.
    """

    payload: Any
    run_id: str | None
    thread_id: str | None
    identity: Identity
    request_id: str | None
    cause: Cause = None
    needs_tokens: bool = False


def new_run(call: RunCall, *, idempotency_key: str | None = None, direct: bool = False) -> NewRun:
    # Sorted: callers' JSON libraries may write one object in another order.
    canonical = msgspec.json.encode([call.payload, call.thread_id], order="sorted")
    return NewRun(
        run_id=call.run_id or new_run_id(),
        owner=call.identity,
        # A direct run is never begun anew.
        payload=b"null" if direct else encode(call.payload),
        fingerprint=sha256(canonical).hexdigest(),
        thread_id=call.thread_id,
        request_id=call.request_id,
        idempotency_key=idempotency_key,
        direct=direct,
        trace=carrier_of(call.cause),
    )
