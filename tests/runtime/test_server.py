"""The server process around an application: its sockets, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from dockrion.errors import AdapterLoadError, DockrionError
from dockrion.events.cancelled import RunCancelled
from dockrion.runtime import last_resort
from dockrion.runtime.server import serve
from dockrion.runtime.sockets import open_sockets, raise_file_limit


class FakeApp:
    """An application whose agent takes as long to load, and goes as wrong, as the test says."""

    def __init__(
        self,
        *,
        load_error: DockrionError | None = None,
        start_fails: bool = False,
        at_end: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.state = SimpleNamespace(dockrion=self)
        self.load_error = load_error
        self.may_load = threading.Event()
        self.may_load.set()
        self.stopped = False
        self._start_fails = start_fails
        self._at_end = at_end

    async def loaded(self) -> None:
        await asyncio.to_thread(self.may_load.wait, 10)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            if self._start_fails:
                await send({"type": "lifespan.startup.failed", "message": "no backend"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.stopped = True
            if self._at_end is not None:
                await self._at_end()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})


def serve_until(app: FakeApp, *, on_ready: Any) -> None:
    sockets = open_sockets("127.0.0.1", 0)
    try:
        serve(app, sockets, on_ready=on_ready)  # type: ignore[arg-type]
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_not_the_process(number: signal.Signals) -> None:
    app = FakeApp()
    before = signal.getsignal(number)

    serve_until(app, on_ready=lambda: os.kill(os.getpid(), number))

    assert app.stopped
    assert signal.getsignal(number) is before


def test_it_serves_on_the_sockets_that_it_is_given() -> None:
    answers: list[bytes] = []
    sockets = open_sockets("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]

    def call_and_stop() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/")
        answers.append(connection.getresponse().read())
        connection.close()
        os.kill(os.getpid(), signal.SIGTERM)

    caller = threading.Thread(target=call_and_stop)
    serve(FakeApp(), sockets, on_ready=caller.start)  # type: ignore[arg-type]
    caller.join()

    assert answers == [b"here"]


def test_an_agent_that_cannot_be_loaded_ends_the_server_with_its_error() -> None:
    app = FakeApp(load_error=AdapterLoadError("agent.handler: no module 'servce'"))
    told: list[str] = []

    with pytest.raises(AdapterLoadError, match="no module 'servce'"):
        serve_until(app, on_ready=lambda: told.append("ready"))

    assert app.stopped
    assert told == []


def test_a_signal_while_the_agent_loads_ends_the_server() -> None:
    app = FakeApp()
    app.may_load.clear()
    told: list[str] = []
    sockets = open_sockets("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]

    def stop_once_it_answers() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
        os.kill(os.getpid(), signal.SIGTERM)
        app.may_load.set()

    caller = threading.Thread(target=stop_once_it_answers)
    caller.start()
    serve(app, sockets, on_ready=lambda: told.append("ready"))  # type: ignore[arg-type]
    caller.join()

    assert app.stopped
    assert told == []


def test_a_second_signal_ends_a_server_whose_application_does_not_end() -> None:
    async def hang() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    app = FakeApp(at_end=hang)

    serve_until(app, on_ready=lambda: os.kill(os.getpid(), signal.SIGTERM))

    assert app.stopped


def test_a_task_that_ignores_its_cancellation_does_not_keep_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    released = asyncio.Event()
    ended: list[asyncio.Task[None]] = []

    async def ignore_cancellation() -> None:
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    async def leave_a_task_behind() -> None:
        ended.append(asyncio.create_task(ignore_cancellation()))

    serve_until(
        FakeApp(at_end=leave_a_task_behind),
        on_ready=lambda: os.kill(os.getpid(), signal.SIGTERM),
    )

    assert "agents ignore their cancellation" in caplog.text
    loop = ended[0].get_loop()
    released.set()
    loop.run_until_complete(ended[0])
    loop.close()


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_nothing_that_a_task_raises_ends_the_server(
    raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    went_on: list[bool] = []

    async def fail() -> None:
        raise raised

    async def fail_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise raised

    async def start_tasks() -> None:
        tasks = [asyncio.create_task(fail()), asyncio.create_task(fail_when_cancelled())]
        left.append(tasks[1])
        await asyncio.wait(tasks[:1])
        assert isinstance(tasks[0].exception(), raised)
        went_on.append(True)

    left: list[asyncio.Task[None]] = []
    serve_until(FakeApp(at_end=start_tasks), on_ready=lambda: os.kill(os.getpid(), signal.SIGTERM))

    assert went_on == [True]
    assert isinstance(left[0].exception(), raised)
    assert caplog.text.count(f"a task of the agent raised {raised.__name__}") == 2


def test_a_thread_of_the_agent_that_learns_of_the_end_leaves_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: said.append(args.exc_type))
    hook = threading.excepthook

    def end_with(exc: BaseException) -> None:
        raise exc

    def on_ready() -> None:
        for exc in (RunCancelled("the run is over"), ValueError("a bug")):
            thread = threading.Thread(target=end_with, args=(exc,))
            thread.start()
            thread.join()
        os.kill(os.getpid(), signal.SIGTERM)

    serve_until(FakeApp(), on_ready=on_ready)

    assert said == [ValueError]
    assert threading.excepthook is hook


def test_a_task_that_blocks_the_loop_when_it_is_cancelled_does_not_keep_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process_ended = threading.Event()
    monkeypatch.setattr(last_resort, "_end", process_ended.set)
    monkeypatch.setattr(last_resort, "_STUCK_SECONDS", 0.05)
    seen: list[bool] = []

    async def block_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(process_ended.wait(5))

    async def leave_a_task_behind() -> None:
        tasks.append(asyncio.create_task(block_when_cancelled()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    serve_until(
        FakeApp(at_end=leave_a_task_behind),
        on_ready=lambda: os.kill(os.getpid(), signal.SIGTERM),
    )

    assert seen == [True]


def test_an_application_that_cannot_start_is_an_error_and_no_exit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(DockrionError, match="could not start"):
        serve_until(FakeApp(start_fails=True), on_ready=lambda: None)

    assert "no backend" in caplog.text


def test_a_taken_port_is_known_before_anything_is_served() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DockrionError, match=rf"port {port} on 127\.0\.0\.1 is already in use"):
            open_sockets("127.0.0.1", port)


def test_two_servers_that_start_at_once_cannot_share_a_port() -> None:
    first = open_sockets("127.0.0.1", 0)
    port = first[0].getsockname()[1]
    try:
        with pytest.raises(DockrionError, match="already in use"):
            open_sockets("127.0.0.1", port)
    finally:
        for sock in first:
            sock.close()


def test_every_address_of_a_host_gets_the_same_port() -> None:
    sockets = open_sockets("localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert len({sock.getsockname()[0] for sock in sockets}) == len(sockets)
    finally:
        for sock in sockets:
            sock.close()


def test_a_host_without_an_address_is_named() -> None:
    with pytest.raises(DockrionError, match=r"'no such host\.invalid' has no address") as caught:
        open_sockets("no such host.invalid", 0)
    assert "--host" in caught.value.__notes__[0]


def test_a_host_that_is_another_machine_is_named() -> None:
    # Of a block that is for documents only.
    with pytest.raises(
        DockrionError, match=r"^host '203\.0\.113\.7' is no address of this machine"
    ) as caught:
        open_sockets("203.0.113.7", 0)
    assert "--host" in caught.value.__notes__[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_the_open_file_limit_is_raised_to_what_the_system_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
