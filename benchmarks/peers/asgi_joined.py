"""Bare ASGI, one send for all that the agent has ready: the limit of what can be had on this server."""

from __future__ import annotations

import asyncio
import inspect
import threading
import types
from functools import partial
from typing import TYPE_CHECKING, Any

from peers.bare import application, chosen_agent
from peers.frames import Frames

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

    from peers.bare import Send

FRAMES_A_SEND = 256  # about 64 KiB, from where on the transport asks to wait
FRAMES_AHEAD = 1024  # of a thread

_agent = chosen_agent()


async def _stream(payload: Any, send: Send) -> None:
    frames = Frames()
    ready = [frames.started()]
    if inspect.isasyncgenfunction(_agent):
        await _from_generator(_agent(payload), frames, ready, send)
    else:
        await _from_thread(_agent(payload), frames, ready, send)
    ready.append(frames.complete())
    await _send(send, ready, more=False)


async def _from_generator(
    tokens: AsyncGenerator[str], frames: Frames, ready: list[str], send: Send
) -> None:
    async def produce() -> None:
        async for token in tokens:
            if not ready:
                frames.tick()
            ready.append(frames.token(token))
            if len(ready) == FRAMES_A_SEND:
                await _send(send, ready)
                await asyncio.sleep(0)  # other streams want to send as well

    await _flushing(produce(), ready, lambda: _send(send, ready))


@types.coroutine
def _flushing(
    work: Coroutine[Any, Any, None],
    ready: list[str],
    flush: Callable[[], Coroutine[Any, Any, None]],
) -> Generator[Any, Any, None]:
    """Run `work`; whenever it is about to wait and something is ready, `flush` that first."""
    resume = partial(work.send, None)
    while True:
        try:
            awaited = resume()
        except StopIteration:
            return
        if ready:
            yield from flush()
        try:
            resume = partial(work.send, (yield awaited))
        except BaseException as exc:  # a cancel is for the one who waits
            resume = partial(work.throw, exc)


async def _from_thread(
    tokens: Generator[str], frames: Frames, ready: list[str], send: Send
) -> None:
    """Drain what a thread makes: it wakes the loop once for all that is made until the loop comes."""
    loop = asyncio.get_running_loop()
    made, room = asyncio.Event(), threading.Event()
    woken = over = False

    def wake() -> None:
        nonlocal woken
        woken = True
        loop.call_soon_threadsafe(made.set)

    def produce() -> None:
        nonlocal over
        for token in tokens:
            if not ready:
                frames.tick()
            ready.append(frames.token(token))
            if not woken:
                wake()
            if len(ready) >= FRAMES_AHEAD:
                room.clear()
                if len(ready) >= FRAMES_AHEAD and not over:
                    room.wait()
            if over:
                return
        over = True
        wake()

    await _send(send, ready)
    threading.Thread(target=produce, daemon=True).start()
    try:
        while not over or ready:
            await made.wait()
            made.clear()
            woken = False
            if ready:
                await _send(send, ready)
                room.set()
    finally:
        over = True
        room.set()


async def _send(send: Send, ready: list[str], *, more: bool = True) -> None:
    # A thread may append meanwhile: take a copy, then drop just what was copied.
    taken = ready[:]
    del ready[: len(taken)]
    body = "".join(taken).encode()
    await send({"type": "http.response.body", "body": body, "more_body": more})


app = application(_stream)
