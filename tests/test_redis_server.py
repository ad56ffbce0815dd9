"""The Redis that tests run on does what they do to it."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any

import pytest
import redis

from tests.redis_fixtures import StartRedis
from tests.redis_server import HOST, RedisServer, Relay

pytestmark = pytest.mark.redis


def client_of(url: str, **options: Any) -> Any:
    return closing(redis.Redis.from_url(url, protocol=2, retry=None, **options))


def test_what_is_written_outlives_kill_9(own_redis: StartRedis) -> None:
    server = own_redis()
    with client_of(server.url(database=3)) as client:
        client.set("a", 1)
        server.restart()
        client.connection_pool.disconnect()
        assert client.get("a") == b"1"
        server.empty()
        assert client.get("a") is None
    folder = server.folder
    server.close()
    assert not folder.exists()


def test_the_databases_of_two_tests_differ(
    redis_server: RedisServer, redis_url: str, redis_client: Any
) -> None:
    with client_of(redis_url) as client:
        client.set("a", 1)
    assert redis_client.get("a") == b"1"
    assert redis_server.connections >= 1


def test_passwords_users_and_tls_are_asked_for(own_redis: StartRedis) -> None:
    server = own_redis("user ann on >p@ss/:? ~* &* +@all", password="se:cr@t/", tls=True)
    for url in (
        server.url(),
        server.tls_url(database=2),
        server.tls_url(user="ann", password="p@ss/:?"),
    ):
        with client_of(url) as client:
            assert client.ping(), url
    with client_of(server.url(password="")) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    plain = server.tls_url().partition("?")[0]
    with client_of(plain) as client, pytest.raises(redis.ConnectionError, match="CERTIFICATE"):
        client.ping()


def test_a_frozen_relay_passes_on_later_what_it_held_back(
    own_redis: StartRedis,
) -> None:
    with (
        Relay(own_redis()) as way,
        closing(socket.create_connection((HOST, way.port), 5.0)) as raw,
    ):
        assert ping(raw)
        way.freeze()
        raw.settimeout(0.05)
        with pytest.raises(TimeoutError):
            ping(raw)
        way.thaw()
        raw.settimeout(5.0)
        assert raw.recv(100) == b"+PONG\r\n"


def test_a_cut_relay_ends_connections_and_takes_new_ones(
    own_redis: StartRedis,
) -> None:
    server = own_redis(password="secret")
    with (
        Relay(server) as way,
        closing(socket.create_connection((HOST, way.port), 5.0)) as raw,
    ):
        with client_of(server.relay_url(way)) as client:
            assert client.ping()
            assert way.connections == 2
            way.cut()
            assert raw.recv(100) == b""
        with client_of(server.relay_url(way)) as client:
            assert client.ping()


def ping(raw: socket.socket) -> bool:
    raw.sendall(b"PING\r\n")
    return raw.recv(100) == b"+PONG\r\n"


def test_a_full_one_refuses_writes(own_redis: StartRedis) -> None:
    server = own_redis("maxmemory 2mb", "maxmemory-policy noeviction")
    with client_of(server.url()) as client, pytest.raises(redis.OutOfMemoryError):
        client.mset({str(n): b"x" * (1 << 18) for n in range(40)})


def test_a_frozen_one_answers_once_it_goes_on(own_redis: StartRedis) -> None:
    server = own_redis()
    with client_of(server.url(), socket_timeout=0.05) as client:
        server.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.thaw()
    with client_of(server.url()) as client:
        assert client.ping()
