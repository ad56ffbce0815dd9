"""The backend that the Dockfile names: whether it can be used as it is set up."""

from __future__ import annotations

from dockrion.doctor.base import Case, Finding, error, ok, skipped
from dockrion.doctor.sqlite import look_at_sqlite
from dockrion.errors import MissingExtraError, ValidationError
from dockrion.runtime.backends import backend_of


async def look_at_backend(case: Case) -> list[Finding]:
    match case.spec.streaming.backend:
        case "memory":
            return [ok("memory: runs are in this process, and end with it")]
        case "sqlite":
            return await look_at_sqlite(case)
        case "redis":
            return await _look_at_redis(case)


async def _look_at_redis(case: Case) -> list[Finding]:
    if "${" in case.spec.streaming.redis.url:
        return [skipped("streaming.redis.url holds a variable that is not set")]
    try:
        backend = backend_of(case.spec)
    except MissingExtraError as exc:
        return [error(f"redis: {exc.message}", "pip install 'dockrion[redis]'")]
    except ValidationError as exc:
        return [error(f"redis: {exc.message}", "docs/redis.md has what a Redis must be")]
    from dockrion.doctor.redis import look_at_redis

    return await look_at_redis(case, backend)
