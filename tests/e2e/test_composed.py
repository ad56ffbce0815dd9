"""What a compose file puts around a server, against a real one: its check, and the nginx before several replicas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.build.manifest_cases import NOTHING_KEPT, Case, planned
from websockets.sync.client import connect
from websockets.typing import Origin

from dockrion.build.manifests.compose import compose_of
from dockrion.build.manifests.gateway import configuration_of

from .frames import Stream
from .nginx import Nginx
from .server import agent_source, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import StartServer
    from .puppet import Puppet
    from .server import Server


class Gateway(Nginx):
    """Runs the configuration of a compose file, but for the name of its replicas, which is Docker's to resolve."""

    def __init__(self, folder: Path, agent_port: int) -> None:
        self.port = free_port()
        self._folder = folder
        plan = planned(folder, Case("", NOTHING_KEPT, replicas=2), "compose")
        text = configuration_of(plan, self.port)
        assert "set $agent agent:8080;" in text
        text = text.replace("agent:8080", f"127.0.0.1:{agent_port}").replace("/tmp/", f"{folder}/")
        (folder / "nginx.conf").write_text(text)
        # The image of nginx starts it like that; root's workers would become somebody else.
        self._start("-g", f"daemon off;{' user root;' if os.geteuid() == 0 else ''}")


@pytest.fixture
def gateway(strung: Server, tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path, strung.port)
    yield gateway
    gateway.stop()


@pytest.mark.nginx
def test_each_token_comes_through_before_the_agent_makes_the_next(
    gateway: Gateway, puppet: Puppet
) -> None:
    with Stream(gateway.port, puppet.payload) as stream:
        stream.open()
        assert stream.next().event == "started"
        for number in range(10):
            puppet.token(str(number))
            assert stream.next().data["content"] == str(number)
        puppet.finish()
        assert [frame.event for frame in stream.rest()] == ["complete"]


@pytest.mark.nginx
def test_a_websocket_comes_through(server: StartServer, tmp_path: Path, puppet: Puppet) -> None:
    agent = server(agent_source("puppet"), expose={"streaming": ["sse", "websocket"]})
    gateway = Gateway(tmp_path, agent.port)
    own = Origin(f"http://127.0.0.1:{gateway.port}")
    try:
        with connect(f"ws://127.0.0.1:{gateway.port}/invoke/ws", proxy=None, origin=own) as ws:
            ws.send(json.dumps({"type": "run", "payload": puppet.payload}))
            assert [json.loads(ws.recv(10))["type"] for _ in range(2)] == ["accepted", "started"]
            for number in range(10):
                puppet.token(str(number))
                assert json.loads(ws.recv(10))["content"] == str(number)
            puppet.finish()
            assert json.loads(ws.recv(10))["type"] == "complete"
    finally:
        gateway.stop()


@pytest.mark.nginx
@pytest.mark.parametrize(
    ("headers", "outside"),
    [
        ({}, "http://127.0.0.1:{port}"),
        ({"X-Forwarded-Proto": "https"}, "https://127.0.0.1:{port}"),
        (
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "agents.example.com"},
            "https://agents.example.com",
        ),
    ],
    ids=["alone", "behind TLS", "behind another name"],
)
def test_the_card_of_a2a_names_the_address_that_callers_use(
    server: StartServer, tmp_path: Path, headers: dict[str, str], outside: str
) -> None:
    agent = server(agent_source("puppet"), expose={"protocols": ["a2a"]}, io_schema={})
    gateway = Gateway(tmp_path, agent.port)
    try:
        url = f"http://127.0.0.1:{gateway.port}/.well-known/agent-card.json"
        card = httpx2.get(url, headers=headers, trust_env=False).json()
    finally:
        gateway.stop()
    expected = f"{outside.format(port=gateway.port)}/a2a"
    assert card["url"] == expected
    assert {one["url"] for one in card["supportedInterfaces"]} == {expected}


def test_the_check_tells_whether_a_server_is_ready(strung: Server, tmp_path: Path) -> None:
    assert checked(tmp_path / "ready", strung.port) == 0
    assert checked(tmp_path / "away", free_port()) != 0


def checked(folder: Path, port: int) -> int:
    """Run the check of a compose file as Docker does; return how it ends."""
    plan = planned(folder, Case("", {"expose.port": port}), "compose")
    kind, program, *arguments = compose_of(plan, folder=folder)["services"]["agent"]["healthcheck"][
        "test"
    ]
    assert (kind, program) == ("CMD", "python")
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, timeout=20, check=False
    ).returncode
