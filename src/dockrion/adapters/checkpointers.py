"""Checkpointers that only have sync methods, for graphs that run on the event loop."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, cast
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)

Saver = BaseCheckpointSaver[Any]
# For a saver whose database does not answer now; its runs will say so themselves.
_PROBE_SECONDS: Final = 5.0


async def usable_on_loop(saver: Saver) -> Saver:
    """Return `saver`, or a copy whose async methods call its sync ones in worker threads when it has none.

    Some savers have the async methods and raise in them, so one that defines them is asked for a thread that nobody has.
    """
    kind: Any = type(saver)
    if kind.aget_tuple is not cast("Any", BaseCheckpointSaver).aget_tuple:
        config: RunnableConfig = {"configurable": {"thread_id": uuid4().hex, "checkpoint_ns": ""}}
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await saver.aget_tuple(config)
        except NotImplementedError:
            pass
        except Exception:  # whatever it is, it has async methods
            return saver
        else:
            return saver
    threaded = copy.copy(saver)
    # A subclass, so that whatever else the saver has stays as it is.
    threaded.__class__ = type(kind.__name__, (_InThreads, kind), {})
    return threaded


class _InThreads(BaseCheckpointSaver[Any]):
    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        def listed() -> list[CheckpointTuple]:
            return list(self.list(config, filter=filter, before=before, limit=limit))

        for found in await asyncio.to_thread(listed):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        await asyncio.to_thread(self.delete_thread, thread_id)
