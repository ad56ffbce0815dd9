"""`GET /metrics`: the tallies of an app as Prometheus metrics, summed over the server's worker processes.

Several workers share a folder, named by the variable `PROMETHEUS_MULTIPROC_DIR`, which whoever starts them
makes empty and sets before they start. Each then writes its numbers there with every tally, and whichever is asked answers
for all. The variable has to be set before `prometheus_client` is imported, and one app may live in a worker.

What a process does is its own, and summed. What waits in a backend is everybody's: it is asked for at each scrape, and
added once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from dockrion.events.model import KINDS, Event, Interrupted, RunStatus
from dockrion.runs.ending import STATUS_OF
from dockrion.runs.store.base import StoreError, Waiting
from dockrion.runtime.host import AgentHost
from dockrion.runtime.traffic import Call, Tally
from dockrion.spec import METRICS_FOLDER, process_setting
from dockrion.telemetry.base import Usage
from dockrion.version import VERSION

logger = logging.getLogger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# From a handler that computes nothing to an agent that works for minutes.
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)


# Longer than a backend that is well takes, and shorter than scrapers wait.
_BACKEND_SECONDS: Final = 2.0

# More of a series, by its name and status.
InBackend: TypeAlias = dict[tuple[str, str], int | None]

# Of `dockrion_tokens_total`; those that models report are parts of `Usage`.
EMITTED: Final = "emitted"
_USED: Final = ("input", "output", "cache_read", "cache_write", "reasoning")


class Metrics:
    """The metrics of one app, with a registry of their own; a sink of its traffic."""

    def __init__(self, host: AgentHost) -> None:
        self._host = host
        folder = process_setting(METRICS_FOLDER)
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._registry = CollectorRegistry()
        self._requests = Requests(
            host.spec.agent.name,
            self._registry,
            latency=host.spec.observability.metrics.latency,
        )
        families = host.spec.observability.metrics
        self._runs = Runs(self._registry, tokens=families.tokens, cost=families.cost)
        self._process = Process(self._registry)
        self._now = Gauges(self._registry)
        host.traffic.sinks.append(self.add)

    def add(self, tally: Tally) -> None:
        self._requests.add(tally.calls)
        self._runs.add(tally)
        self._process.add(tally, self._host.tracing.lost)
        host, runner = self._host, self._host.runner
        waiting = 0 if runner is None else runner.waiting
        ended = self._runs.ended
        if host.runs is not None:
            # Those that wait for answers are in the store.
            ended = {status: n for status, n in ended.items() if status != RunStatus.INTERRUPTED}
        self._now.show(
            {
                "active_requests": host.traffic.active,
                "active_streams": host.streams.open,
                "queue_depth": waiting,
                "abandoned_threads": host.abandoned_threads,
            },
            {
                RunStatus.ACCEPTED: waiting,
                RunStatus.RUNNING: 0 if runner is None else runner.active - waiting - runner.asking,
                **ended,
            },
        )

    async def text(self) -> bytes:
        """Return the exposition, of all workers."""
        in_backend = await self._in_backend()
        self._host.traffic.flush()
        if self._folder is None:
            return generate_latest(_With(in_backend, _WithoutBirthdays(self._registry)))
        _forget_the_dead(self._folder)
        shared = CollectorRegistry()
        MultiProcessCollector(shared, path=str(self._folder))
        return generate_latest(_With(in_backend, shared))

    async def _in_backend(self) -> InBackend:
        """Return by series what is there beyond the processes' own; None for what cannot be known now."""
        runs = self._host.runs
        if runs is None:
            return {}
        found: Waiting | None = None
        try:
            async with asyncio.timeout(_BACKEND_SECONDS):
                found = await runs.store.waiting()
        except (TimeoutError, StoreError) as exc:
            logger.warning("runs that wait cannot be counted: %s", exc or "no answer")
        accepted = None if found is None else found.accepted
        return {
            ("dockrion_queue_depth", ""): accepted,
            ("dockrion_runs", RunStatus.ACCEPTED): accepted,
            ("dockrion_runs", RunStatus.INTERRUPTED): None if found is None else found.interrupted,
        }


class Requests:
    """Invocations, by endpoint."""

    def __init__(self, agent: str, registry: CollectorRegistry, *, latency: bool) -> None:
        self._labels = (agent, VERSION)
        self._total = Counter(
            "dockrion_requests",
            "Invocations that have been answered, by the status of their ending.",
            ("agent", "version", "endpoint", "status"),
            registry=registry,
        )
        self._latency = (
            Histogram(
                "dockrion_request_latency_seconds",
                "From the head of an invocation to the end of its answer.",
                ("agent", "version", "endpoint"),
                buckets=SECONDS,
                registry=registry,
            )
            if latency
            else None
        )
        self._counters: dict[tuple[str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def add(self, calls: list[Call]) -> None:
        counts: dict[tuple[str, int], int] = {}
        for call in calls:
            key = (call.endpoint, call.status)
            counts[key] = counts.get(key, 0) + 1
            if self._latency is not None:
                self._histogram(self._latency, call.endpoint).observe(call.seconds)
        for key, count in counts.items():
            self._counter(*key).inc(count)

    def _counter(self, endpoint: str, status: int) -> Counter:
        child = self._counters.get((endpoint, status))
        if child is None:
            child = self._total.labels(*self._labels, endpoint, str(status))
            self._counters[endpoint, status] = child
        return child

    def _histogram(self, family: Histogram, endpoint: str) -> Histogram:
        child = self._histograms.get(endpoint)
        if child is None:
            child = self._histograms[endpoint] = family.labels(*self._labels, endpoint)
        return child


class Runs:
    """What runs have done; `ended` has how many, by status."""

    def __init__(self, registry: CollectorRegistry, *, tokens: bool, cost: bool) -> None:
        self.ended: dict[str, int] = dict.fromkeys(STATUS_OF.values(), 0)
        self._events = Counter(
            "dockrion_events",
            "Events of runs, by type; those that the filter leaves out are not counted.",
            ("type",),
            registry=registry,
        )
        self._by_type = {kind: self._events.labels(kind) for kind in KINDS.values()}
        self._by_type["heartbeat"] = self._events.labels("heartbeat")
        self._first_token = Histogram(
            "dockrion_time_to_first_token_seconds",
            "From the start of a stream's run to its first token.",
            buckets=SECONDS,
            registry=registry,
        )
        self._tokens: dict[str, Counter] = {}
        if tokens:
            family = Counter(
                "dockrion_tokens",
                "Tokens, by kind; emitted: the pieces of text that agents emitted; the others as models report them.",
                ("kind",),
                registry=registry,
            )
            self._tokens = {kind: family.labels(kind) for kind in (EMITTED, *_USED)}
        self._cost = (
            Counter(
                "dockrion_cost",
                "What models cost, in the currency of their provider, where it is reported.",
                registry=registry,
            )
            if cost
            else None
        )
        self._violations = Counter(
            "dockrion_policy_violations",
            "What policies refused, by rule; agent: a PolicyViolationError of the agent's own.",
            ("rule",),
            registry=registry,
        )

    def add(self, tally: Tally) -> None:
        for kind, count in tally.events.items():
            self._by_type[kind].inc(count)
        for seconds in tally.first_tokens:
            self._first_token.observe(seconds)
        if self._tokens and tally.tokens:
            self._tokens[EMITTED].inc(tally.tokens)
        if tally.used is not None:
            self._add_used(tally.used)
        for rule, count in tally.violations.items():
            self._violations.labels(rule).inc(count)
        for outcome, count in tally.ended.items():
            # The interrupts of a run have been counted one by one.
            if outcome is not Interrupted:
                self._by_type[KINDS[cast("type[Event]", outcome)]].inc(count)
            self.ended[STATUS_OF[outcome]] += count

    def _add_used(self, used: Usage) -> None:
        if self._tokens:
            for kind in _USED:
                self._tokens[kind].inc(getattr(used, kind))
        if self._cost is not None:
            self._cost.inc(used.cost)


class Process:
    """What goes wrong in a process beside its runs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._blocks = Counter(
            "dockrion_loop_blocks",
            "How often code of the agent has blocked the event loop for longer than expose.limits.block_warning_ms.",
            registry=registry,
        )
        self._lost_spans = Counter(
            "dockrion_lost_spans",
            "Spans that could not be delivered to where traces go.",
            registry=registry,
        )
        self._lost = 0

    def add(self, tally: Tally, lost_spans: int) -> None:
        self._blocks.inc(tally.blocks)
        self._lost_spans.inc(lost_spans - self._lost)
        self._lost = lost_spans


class Gauges:
    """What is the case now, in this worker; the sum over those that live is the server's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(
                f"dockrion_{name}", text, labels, registry=registry, multiprocess_mode="livesum"
            )

        self._plain = {
            "active_requests": gauge("active_requests", "Invocations that are being answered."),
            "active_streams": gauge("active_streams", "Streams that are open."),
            "queue_depth": gauge("queue_depth", "Runs that wait for their turn."),
            "abandoned_threads": gauge(
                "abandoned_threads", "Threads at work for runs that have ended."
            ),
        }
        runs = gauge("runs", "Runs since the start, by the status that they have now.", "status")
        self._runs = {status: runs.labels(status) for status in RunStatus}
        self._shown: dict[Gauge, int] = {}

    def show(self, plain: Mapping[str, int], runs: Mapping[str, int]) -> None:
        for name, value in plain.items():
            self._set(self._plain[name], value)
        for status, value in runs.items():
            self._set(self._runs[RunStatus(status)], value)

    def _set(self, gauge: Gauge, value: int) -> None:
        # In a shared folder each write costs; most values stay what they were.
        if self._shown.get(gauge) != value:
            self._shown[gauge] = value
            gauge.set(value)


class _WithoutBirthdays(Collector):
    """A registry without its `_created` series, which several workers together do not have either."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric


class _With(Collector):
    """What processes know, with what is in their backend; where that is not known, there is no such series."""

    def __init__(self, in_backend: InBackend, processes: Collector) -> None:
        self._in_backend = in_backend
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        for metric in self._processes.collect():
            if any(name == metric.name for name, _ in self._in_backend):
                metric.samples = [more for s in metric.samples if (more := self._added(s))]
            yield metric

    def _added(self, sample: Sample) -> Sample | None:
        more = self._in_backend.get((sample.name, sample.labels.get("status", "")), 0)
        return None if more is None else sample._replace(value=sample.value + more)


def _forget_the_dead(folder: Path) -> None:
    """Take away what workers that have died were doing; what they had counted stays."""
    if sys.platform == "win32":
        return
    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not _is_alive(int(pid)):
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
