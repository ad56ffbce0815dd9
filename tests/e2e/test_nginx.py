"""Through a real nginx that nobody told about streaming, each token arrives as it is sent."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from .frames import Stream, frames
from .nginx import Nginx
from .rawhttp import Connection, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .puppet import Puppet
    from .server import Server

pytestmark = pytest.mark.nginx

COMPRESSING = "gzip on; gzip_types *; gzip_proxied any;"
# What nginx speaks to the server: by default HTTP/1.0 and `Connection: close`, which every beginner gets.
KEEP_ALIVE = 'proxy_http_version 1.1; proxy_set_header Connection "";'


@pytest.fixture(scope="module", params=["", KEEP_ALIVE], ids=["default", "keep-alive"])
def proxied(
    request: pytest.FixtureRequest, strung: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nginx]:
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), strung.url, location=request.param)
    yield nginx
    nginx.stop()


@pytest.fixture(scope="module")
def compressing(strung: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), strung.url, http=COMPRESSING)
    yield nginx
    nginx.stop()


def test_each_token_comes_through_before_the_agent_makes_the_next(
    proxied: Nginx, puppet: Puppet
) -> None:
    with Stream(proxied.port, puppet.payload) as stream:
        stream.open()
        assert stream.next().event == "started"
        for number in range(10):
            puppet.token(str(number))
            assert stream.next().data["content"] == str(number)
        puppet.finish()
        assert [frame.event for frame in stream.rest()] == ["complete"]


def test_each_token_comes_through_an_nginx_that_compresses_everything(
    compressing: Nginx, puppet: Puppet
) -> None:
    with Connection(compressing.port) as connection:
        connection.send(
            request("POST", "/invoke/stream", puppet.payload, headers=["Accept-Encoding: gzip"])
        )
        head = connection.head()
        assert head.status == 200
        assert head.values(b"content-encoding") == [b"gzip"], "else this test would show nothing"
        seen = frames(_unzipped(connection.chunk))
        assert next(seen).event == "started"
        for number in range(10):
            puppet.token(str(number))
            assert next(seen).data["content"] == str(number)
        puppet.finish()
        assert [frame.event for frame in seen] == ["complete"]


def _unzipped(read: Callable[[], bytes]) -> Callable[[], bytes]:
    gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def piece() -> bytes:
        while data := read():
            # The header of the format is a piece without text.
            if text := gzip.decompress(data):
                return text
        return b""

    return piece


def test_a_caller_that_leaves_through_the_proxy_ends_the_run_within_a_second(
    proxied: Nginx, puppet: Puppet
) -> None:
    with Stream(proxied.port, puppet.payload) as stream:
        stream.open()
        stream.next()
        puppet.token("one")
        stream.next()
    assert puppet.left(within=1.0) == "CancelledError"
