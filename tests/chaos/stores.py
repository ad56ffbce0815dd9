"""The backend of a cluster as a process of its own would use it, for what no HTTP call can show."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dockrion import load_dockspec
from dockrion.events.identity import ANONYMOUS
from dockrion.runs.store.base import NewRun, RunStore
from dockrion.runtime.backends import backend_of, store_rules

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .cluster import Cluster


@asynccontextmanager
async def store_of(cluster: Cluster) -> AsyncGenerator[RunStore]:
    spec = load_dockspec(str(cluster.folder / "Dockfile-0.yaml"))
    backend = backend_of(spec)
    await backend.open()
    store, _ = backend.runs(store_rules(spec))
    await store.open()
    try:
        yield store
    finally:
        await store.close()
        await backend.close()


async def create_unsubmitted(cluster: Cluster) -> str:
    """Create a run as a server does that is killed before it has told any worker."""
    async with store_of(cluster) as store:
        new = NewRun(run_id="unsubmitted", owner=ANONYMOUS, payload=b"{}", fingerprint="")
        await store.create(new)
    return new.run_id
