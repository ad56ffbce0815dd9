"""Fixtures of the end-to-end tests: real servers, puppets, and the tools that must be there."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from tests.missing import not_tested

from .browser import chromium
from .driving import Browser
from .nginx import nginx
from .playground import AUTH, KEY, TIDES
from .puppet import Puppet
from .server import Server, agent_source

if TYPE_CHECKING:
    from collections.abc import Iterator

NODE_MODULES = Path(__file__).parents[1] / "clients" / "node_modules"


class StartServer(Protocol):
    def __call__(
        self, handler_source: str, *, handler: str = "handle", **sections: Any
    ) -> Server: ...


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Start a server, or give the one that runs with the same agent and Dockfile; all stop at the end, with code 0."""
    running: dict[str, Server] = {}

    def start(handler_source: str, *, handler: str = "handle", **sections: Any) -> Server:
        key = json.dumps([handler_source, handler, sections], sort_keys=True)
        if key not in running:
            running[key] = Server(
                tmp_path_factory.mktemp("server"),
                handler_source,
                handler=handler,
                sections=sections,
            )
        return running[key]

    yield start
    for one in running.values():
        one.signal(signal.SIGTERM)
    ends = [(one.wait(), one.log) for one in running.values()]
    assert all(code == 0 for code, _ in ends), ends
    assert not any("Traceback" in log for _, log in ends), ends


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers for this test alone, which may stop them as it likes."""
    running: list[Server] = []

    def start(handler_source: str, *, handler: str = "handle", **sections: Any) -> Server:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        running.append(Server(folder, handler_source, handler=handler, sections=sections))
        return running[-1]

    yield start
    for one in running:
        one.kill()


@pytest.fixture(scope="session")
def greeter(server: StartServer) -> Server:
    return server(agent_source("greeter"))


@pytest.fixture(scope="session")
def strung(server: StartServer) -> Server:
    """The server whose runs are puppets."""
    return server(agent_source("puppet"))


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    with Puppet() as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


@pytest.fixture
def guarded(server: StartServer, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The playground's agent, for callers with a key."""
    monkeypatch.setenv("ANN_KEY", KEY)
    return server(agent_source("playing"), **TIDES, auth=AUTH)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark, missing in (
        ("nginx", _missing_nginx),
        ("node", _missing_node),
        ("chromium", _missing_chromium),
    ):
        if item.get_closest_marker(mark) is not None and (what := missing()):
            not_tested(what)


def _missing_nginx() -> str | None:
    return None if nginx() else "nginx is not installed"


def _missing_chromium() -> str | None:
    return _missing_node() if chromium() else "Chromium is not installed"


def _missing_node() -> str | None:
    if shutil.which("node") is None:
        return "Node.js is not installed"
    return None if NODE_MODULES.is_dir() else "the npm packages of tests/clients are not installed"
