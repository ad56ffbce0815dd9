"""From `streaming.backend` to what is kept there: runs, tickets, rates. Each backend is imported when it is used."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from dockrion._registry import needing_extra
from dockrion.events.filter import EventsFilter
from dockrion.policy.outgoing import Outgoing
from dockrion.runs.channel import Channels, ReadRules
from dockrion.runs.log import Clock
from dockrion.runs.observer import RunObserver
from dockrion.runs.service import RunService, ServiceRules
from dockrion.runs.store.base import StoreRules
from dockrion.runtime.backends.base import Backend
from dockrion.runtime.backends.memory import MemoryBackend
from dockrion.runtime.backends.opening import OpeningBackend
from dockrion.spec import DockSpec


def run_service(
    spec: DockSpec, backend: Backend, observer: RunObserver, clock: Clock, outgoing: Outgoing
) -> RunService | None:
    """Return None where no run outlives its request."""
    streaming = spec.streaming
    connection = streaming.connection
    if not (streaming.async_runs or connection.holds_runs):
        return None
    store, dispatcher = backend.runs(store_rules(spec))
    goes_on = connection.on_disconnect == "continue"
    return RunService(
        store,
        dispatcher,
        Channels(
            store,
            ReadRules(
                max_readers=connection.max_subscribers_per_run,
                heartbeat_events=EventsFilter(streaming.events.allowed).heartbeat,
            ),
            observer,
        ),
        ServiceRules(
            window_seconds=None if goes_on else connection.resume_window,
            concurrency=spec.runs.concurrency if streaming.async_runs and streaming.worker else 0,
        ),
        clock.now,
        outgoing.callers_text,
    )


def backend_of(spec: DockSpec) -> Backend:
    """Return the backend that the Dockfile names, and open nothing yet; raise `MissingExtraError`."""
    match spec.streaming.backend:
        case "memory":
            return MemoryBackend()
        case "sqlite":
            from dockrion.runtime.backends.sqlite import SqliteBackend

            path = spec.folder / spec.streaming.sqlite.path
            return OpeningBackend(SqliteBackend(path, agent_name=spec.agent.name))
        case "redis":
            return OpeningBackend(_redis(spec))


def _redis(spec: DockSpec) -> Backend:
    with needing_extra("redis", "streaming.backend: redis"):
        from dockrion.runtime.backends.redis import RedisBackend
    redis = spec.streaming.redis
    return RedisBackend(redis.url, agent_name=spec.agent.name, pool_size=redis.connection_pool_size)


def place_of_runs(spec: DockSpec) -> str:
    """Say for a person where the runs are; without a password that the URL may have."""
    streaming = spec.streaming
    match streaming.backend:
        case "memory":
            return "this process"
        case "sqlite":
            return str(spec.folder / streaming.sqlite.path)
        case "redis":
            url = urlsplit(streaming.redis.url)
            return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))


def store_rules(spec: DockSpec) -> StoreRules:
    backend = spec.streaming.kept
    return StoreRules(
        lease_seconds=spec.runs.lease_seconds,
        max_attempts=spec.runs.max_attempts,
        ttl_seconds=backend.stream_ttl_seconds,
        max_events=backend.max_events_per_run,
    )
