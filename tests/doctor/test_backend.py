"""Backends: what a start would refuse, and what an operator would regret later."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dockrion.doctor import redis as redis_check
from dockrion.doctor import sqlite
from dockrion.doctor.backend import look_at_backend
from dockrion.doctor.base import Status, info, ok
from dockrion.runtime.backends import backend_of
from tests.redis_fixtures import StartRedis

from .conftest import MakeCase, only, problems

SQLITE = {"backend": "sqlite"}


def _redis(url: str) -> dict[str, Any]:
    return {"backend": "redis", "redis": {"url": url}}


async def test_memory_is_what_it_is(make_case: MakeCase) -> None:
    assert not problems(list(await look_at_backend(make_case())))


async def test_a_database_that_is_not_there_yet_is_not_made(
    make_case: MakeCase, tmp_path: Path
) -> None:
    findings = await look_at_backend(make_case(streaming=SQLITE))

    assert findings[0] == ok(f"sqlite: {tmp_path / '.dockrion/runs.db'} will be made")
    assert not (tmp_path / ".dockrion").exists()


async def test_a_database_of_this_agent_is_sound(make_case: MakeCase, tmp_path: Path) -> None:
    case = make_case(streaming=SQLITE)
    backend = backend_of(case.spec)
    await backend.open()
    # Also while somebody uses it.
    findings = await look_at_backend(case)
    await backend.close()

    assert findings == [ok(f"sqlite: {tmp_path / '.dockrion/runs.db'} is sound")]
    assert await look_at_backend(case) == findings


async def test_a_database_of_another_agent_or_program_is_refused(
    make_case: MakeCase, tmp_path: Path
) -> None:
    backend = backend_of(make_case(streaming=SQLITE).spec)
    await backend.open()
    await backend.close()
    other = make_case(agent={"name": "writer", "handler": "service:words"}, streaming=SQLITE)
    assert "holds the runs of the agent 'speller'" in only(await look_at_backend(other)).message

    with closing(sqlite3.connect(tmp_path / "foreign.db")) as db:
        db.execute("CREATE TABLE mine (x)")
    foreign = make_case(streaming={**SQLITE, "sqlite": {"path": "foreign.db"}})
    assert "the database of another program" in only(await look_at_backend(foreign)).message


async def test_a_database_that_is_damaged_or_none_is_told(
    make_case: MakeCase, tmp_path: Path
) -> None:
    case = make_case(streaming=SQLITE)
    backend = backend_of(case.spec)
    await backend.open()
    await backend.close()
    path = tmp_path / ".dockrion/runs.db"
    whole = path.read_bytes()
    # All but the header, and the schema's page.
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    assert "is damaged" in only(await look_at_backend(case)).message

    path.write_bytes(b"no database" * 1000)
    assert "is no SQLite database" in only(await look_at_backend(case)).message


async def test_a_large_database_is_not_checked_to_its_end(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case = make_case(streaming=SQLITE)
    backend = backend_of(case.spec)
    await backend.open()
    await backend.close()
    with closing(sqlite3.connect(tmp_path / ".dockrion/runs.db")) as db:
        db.execute(
            "CREATE TABLE filler AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 50000) SELECT i FROM n"
        )
        db.commit()
    monkeypatch.setattr(sqlite, "_CHECK_SECONDS", -1.0)

    findings = await look_at_backend(case)

    assert not problems(list(findings))
    assert "too large to be checked whole" in findings[0].message


async def test_a_folder_that_cannot_be_written_is_an_error(
    make_case: MakeCase, tmp_path: Path
) -> None:
    (tmp_path / ".dockrion").write_text("a file in the way")

    assert "cannot be written" in only(await look_at_backend(make_case(streaming=SQLITE))).message


async def test_a_full_disk_and_a_network_disk_are_told(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_LITTLE_ROOM", 1 << 80)
    monkeypatch.setattr(sqlite, "_file_system", lambda _: "nfs4")

    room, network = problems(list(await look_at_backend(make_case(streaming=SQLITE))))

    assert room.status is Status.WARNING
    assert "MiB left" in room.message
    assert "network file system (nfs4)" in network.message


@pytest.mark.redis
async def test_a_redis_as_it_should_be_is_told_without_its_password(
    make_case: MakeCase, own_redis: StartRedis
) -> None:
    server = own_redis(password="sesame-open")

    findings = await look_at_backend(make_case(streaming=_redis(server.url())))

    assert not problems(list(findings))
    assert findings[0].message.startswith("redis: Redis ")
    assert "sesame-open" not in repr(findings)


@pytest.mark.redis
@pytest.mark.parametrize(
    ("lines", "user", "said", "hint"),
    [
        (["appendonly no"], "", "appendonly is off", "appendonly yes"),
        (["maxmemory 100mb", "maxmemory-policy allkeys-lru"], "", "drops keys", "noeviction"),
        (["user app on >word ~* &* +get +ping"], "app", "may not run EVALSHA", "ACL"),
        (["user app on >word ~* &* +@all -info"], "app", "may not run INFO", "+info"),
        (
            ["user app on >other ~* &* +@all"],
            "app",
            "refuses the user or the password",
            "REDIS_URL",
        ),
        (["maxmemory 1mb"], "", "Redis is full", "docs/redis.md"),
    ],
)
async def test_what_is_wrong_with_a_redis_is_named(
    make_case: MakeCase, own_redis: StartRedis, lines: list[str], user: str, said: str, hint: str
) -> None:
    server = own_redis(*lines)
    url = server.url(user=user, password="word" if user else "")

    found = only(list(await look_at_backend(make_case(streaming=_redis(url)))))

    assert said in found.message
    assert hint in (found.hint or "")


@pytest.mark.redis
async def test_a_redis_whose_clock_is_wrong_is_told(
    make_case: MakeCase, own_redis: StartRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own_redis().url()
    monkeypatch.setattr(redis_check, "time", lambda: 1_000_000_000.0)

    found = only(list(await look_at_backend(make_case(streaming=_redis(url)))))

    assert "ahead of this machine's" in found.message
    assert "NTP" in (found.hint or "")


@pytest.mark.redis
async def test_a_redis_that_is_nearly_full_and_has_replicas_is_told() -> None:
    server = {"maxmemory": 100, "used_memory": 90, "aof_enabled": 1, "connected_slaves": 2}

    findings = [*redis_check._durability(server), *redis_check._memory(server)]

    assert "90% of its memory is used" in only(findings).message
    assert info(findings[1].message) in findings
    assert "2 replicas" in findings[1].message


async def test_a_missing_package_comes_with_its_pip_line(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the import of it does where redis is not installed.
    monkeypatch.delitem(sys.modules, "dockrion.runtime.backends.redis", raising=False)
    monkeypatch.delitem(sys.modules, "dockrion.runtime.backends", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("dockrion.backends.redis")]:
        monkeypatch.delitem(sys.modules, name)

    found = only(list(await look_at_backend(make_case(streaming=_redis("redis://127.0.0.1/0")))))

    assert "streaming.backend: redis needs the package 'redis" in found.message
    assert found.hint == "pip install 'dockrion[redis]'"


async def test_a_redis_url_that_needs_a_missing_secret_is_left_alone(make_case: MakeCase) -> None:
    secrets = {"required": [{"name": "REDIS_URL"}]}

    (found,) = await look_at_backend(make_case(streaming={"backend": "redis"}, secrets=secrets))

    assert found.status is Status.SKIPPED


async def test_a_redis_that_is_not_there_is_told_soon(make_case: MakeCase) -> None:
    case = make_case(streaming=_redis("redis://user:hidden-word@127.0.0.1:1/0"))

    async with asyncio.timeout(10):
        found = only(list(await look_at_backend(case)))

    assert "Redis cannot be reached. It should be at 127.0.0.1:1" in found.message
    assert "hidden-word" not in repr(found)
