"""`streaming.backend: redis`: what a start would refuse, and what an operator would regret later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from time import perf_counter, time
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from dockrion.backends.redis_errors import as_backend_error
from dockrion.backends.redis_url import RedisUrl
from dockrion.doctor.base import Case, Finding, error, info, ok, warning
from dockrion.errors import DockrionError
from dockrion.runtime.backends import store_rules
from dockrion.runtime.backends.base import Backend

_SECONDS: Final = 3.0
_PAGE: Final = "docs/redis.md has what a Redis must be"
# By the clock of Redis leases run out, by that of a machine its events are dated.
_SKEW_SECONDS: Final = 2.0
_SLOW_SECONDS: Final = 0.05
_NEARLY_FULL: Final = 0.8


async def look_at_redis(case: Case, backend: Backend) -> list[Finding]:
    try:
        # All that a start would look at: the server, and what its user may do.
        store, _ = backend.runs(store_rules(case.spec))
        await store.open()
        await store.close()
        return await asyncio.to_thread(_look, RedisUrl(case.spec.streaming.redis.url))
    except DockrionError as exc:
        return [refused(exc)]
    except (RedisError, OSError) as exc:
        return [refused(as_backend_error(exc))]


def refused(exc: DockrionError) -> Finding:
    return error(f"redis: {exc.message}", _hint(exc.message))


def _hint(message: str) -> str:
    if "maxmemory-policy" in message:
        return "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
    if "may not" in message:
        return "docs/redis.md has the ACL line of a user that may do what is needed"
    if "password" in message:
        return "redis://user:password@host:6379/0 in streaming.redis.url, or in REDIS_URL"
    if "cannot be reached" in message or "in time" in message:
        return "is it running, is the address in streaming.redis.url right, does a firewall stand between?"
    return _PAGE


def _look(url: RedisUrl) -> list[Finding]:
    client: Any = url.blocking(_SECONDS)
    try:
        client.ping()
        began = perf_counter()
        seconds, microseconds = client.time()
        took = perf_counter() - began
        skew = seconds + microseconds / 1e6 - time()
        server = _info(client)
    finally:
        client.close()
    which = f"Redis {server['redis_version']}" if server else "Redis"
    findings = [ok(f"redis: {which} at {url.place} answers in {took * 1000:.1f} ms")]
    if took > _SLOW_SECONDS:
        findings.append(
            warning(
                f"redis: an answer takes {took * 1000:.0f} ms, and each batch of events waits for one",
                "run the agent near its Redis: same region, same network",
            )
        )
    if abs(skew) > _SKEW_SECONDS + took:
        findings.append(
            warning(
                f"redis: its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's",
                "let both machines set their clocks by NTP",
            )
        )
    if server is None:
        findings.append(
            warning(
                "redis: this user may not run INFO, so its settings cannot be looked at",
                "add +info to its ACL, and see that maxmemory-policy is noeviction and appendonly is yes",
            )
        )
        return findings
    return [*findings, *_durability(server), *_memory(server)]


def _info(client: Any) -> Mapping[str, Any] | None:
    try:
        return client.info()
    except ResponseError:
        return None


def _durability(server: Mapping[str, Any]) -> Iterator[Finding]:
    if not server.get("aof_enabled"):
        yield warning(
            "redis: appendonly is off, so a restart of it forgets runs",
            "CONFIG SET appendonly yes, and the same in redis.conf",
        )
    elif server.get("aof_last_write_status", "ok") != "ok":
        yield error("redis: its last write to disk failed", "see its log, and the room on its disk")
    else:
        yield ok("redis: it keeps its data (appendonly yes)")
    if server.get("rdb_last_bgsave_status", "ok") != "ok":
        yield error(
            "redis: its last snapshot failed, after which it may take no writes",
            "see its log, and the room on its disk",
        )
    replicas = server.get("connected_slaves", 0)
    if replicas:
        yield info(
            f"redis: {replicas} replicas; dockrion fails over to none by itself, and what they lack is lost then"
        )


def _memory(server: Mapping[str, Any]) -> Iterator[Finding]:
    limit, used = server.get("maxmemory", 0), server.get("used_memory", 0)
    if limit and used > _NEARLY_FULL * limit:
        yield warning(
            f"redis: {used / limit:.0%} of its memory is used; when it is full, new runs get 503",
            "raise maxmemory, or lower streaming.redis.stream_ttl_seconds",
        )
