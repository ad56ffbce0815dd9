"""The backend that the Dockfile names: whether it can be used as it is set up."""

from __future__ import annotations

from dockrion.doctor.base import Case, Finding, ok
from dockrion.doctor.sqlite import look_at_sqlite


async def look_at_backend(case: Case) -> list[Finding]:
    match case.spec.streaming.backend:
        case "memory":
            return [ok("memory: runs are in this process, and end with it")]
        case "sqlite":
            return await look_at_sqlite(case)
        case "redis":
            from dockrion.doctor.redis import look_at_redis

            return await look_at_redis(case)
