"""The URL of a Redis, as what connections are made of. It is a secret: nothing here repeats its password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

import redis
import redis.asyncio.connection as asyncio_connection
import redis.connection as blocking_connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from dockrion.errors import ValidationError

FIELD: Final = "streaming.redis.url"
CONNECT_SECONDS: Final = 5.0

# What redis-py takes in a URL and what is not ours to say: how replies are read, how often is tried, how many
# connections there are.
_OURS: Final = (
    "connection_class",
    "decode_responses",
    "encoding",
    "health_check_interval",
    "legacy_responses",
    "max_connections",
    "protocol",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_timeout",
    "timeout",
)


class RedisUrl:
    """Makes connections. Raises `ValidationError` for a URL that none can be made of."""

    def __init__(self, url: str) -> None:
        self._parts = _parse(url)
        try:
            self.connect()
        # Options have many types, and what is wrong with one comes out as any of these.
        except (TypeError, ValueError, AttributeError, OSError, RedisError) as exc:
            raise ValidationError(
                f"{FIELD}: it has an option that Redis connections do not have"
            ) from exc

    @property
    def place(self) -> str:
        """Where the Redis is, for operators alone."""
        options = self._parts.options
        if "path" in options:
            return cast("str", options["path"])
        return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"

    def connect(self) -> Any:
        """Return a connection for one event loop, which connects when it is used."""
        # RESP2, since all that is asked for here reads the same in it, and a proxy or ACL without HELLO will do.
        # Without time-outs of its own: whoever uses it has one for all that it does.
        return self._parts.asyncio_class(
            **self._parts.options,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def blocking(self, seconds: float) -> redis.Redis:
        """Return a client with one connection for threads, each step of which takes `seconds` at most."""
        pool = blocking_connection.ConnectionPool(
            connection_class=self._parts.blocking_class,
            max_connections=1,
            **self._parts.options,
            protocol=2,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=None,
        )
        return redis.Redis(connection_pool=pool)


class _Parts(NamedTuple):
    options: Mapping[str, Any]
    asyncio_class: Any
    blocking_class: Any


def _parse(url: str) -> _Parts:
    try:
        if urlsplit(url).scheme == "unix" and not urlsplit(url).path:
            raise ValueError("no path")
        for_asyncio = cast("dict[str, Any]", asyncio_connection.parse_url(url))
        for_threads = cast("dict[str, Any]", cast("Any", blocking_connection).parse_url(url))
    except ValueError:
        # Without a cause: its text may have a part of the URL.
        raise ValidationError(
            f"{FIELD}: is no URL of a Redis, such as redis://user:password@host:6379/0 or unix:///path/to/socket"
        ) from None
    return _Parts(
        {name: value for name, value in for_asyncio.items() if name not in _OURS},
        for_asyncio.get("connection_class", asyncio_connection.Connection),
        for_threads.get("connection_class", blocking_connection.Connection),
    )
