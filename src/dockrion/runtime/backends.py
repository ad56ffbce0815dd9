"""From `streaming.backend` to what keeps an app's runs. Parts of a backend are imported when it is used."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from dockrion.errors import MissingExtraError
from dockrion.events.filter import EventsFilter
from dockrion.runs.channel import Channels, ReadRules
from dockrion.runs.dispatch.base import Dispatcher
from dockrion.runs.dispatch.local import LocalDispatcher
from dockrion.runs.log import Clock
from dockrion.runs.observer import RunObserver
from dockrion.runs.service import RunService, ServiceRules
from dockrion.runs.store.base import RunStore, StoreRules
from dockrion.runs.store.memory import MemoryStore
from dockrion.spec import DockSpec


def run_service(spec: DockSpec, observer: RunObserver, clock: Clock) -> RunService | None:
    """Return None where no run outlives its request."""
    streaming = spec.streaming
    connection = streaming.connection
    if not (streaming.async_runs or connection.holds_runs):
        return None
    store, dispatcher = _backend(spec)
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
            keeps_direct=connection.holds_runs,
            window_seconds=None if goes_on else connection.resume_window,
            concurrency=spec.runs.concurrency if streaming.async_runs and streaming.worker else 0,
        ),
        clock.now,
    )


def _backend(spec: DockSpec) -> tuple[RunStore, Dispatcher]:
    rules = store_rules(spec)
    match spec.streaming.backend:
        case "memory":
            memory = MemoryStore(rules)
            return memory, LocalDispatcher(memory)
        case "sqlite":
            from dockrion.runs.store.sqlite import SqliteStore

            sqlite = SqliteStore(spec.folder / spec.streaming.sqlite.path, rules)
            return sqlite, LocalDispatcher(sqlite)
        case "redis":
            return _redis(spec, rules)


def _redis(spec: DockSpec, rules: StoreRules) -> tuple[RunStore, Dispatcher]:
    try:
        from dockrion.backends.redis import RedisBackend
        from dockrion.runs.dispatch.docket import DocketDispatcher
        from dockrion.runs.store.redis import RedisStore, prefix_of
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("dockrion"):
            raise
        raise MissingExtraError(
            f"streaming.backend: redis needs the package {exc.name!r}; pip install 'dockrion[redis]'"
        ) from exc
    url, prefix = spec.streaming.redis.url, prefix_of(spec.agent.name)
    return RedisStore(RedisBackend(url), rules, prefix=prefix), DocketDispatcher(url, prefix=prefix)


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
