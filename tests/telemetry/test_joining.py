"""Whoever traces in the process already is joined, and what is not installed is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_OTHERS = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from dockrion.testing import app_for, post, running
from tests.telemetry.collector import collecting, tree

exporter = InMemorySpanExporter()

def set_up():
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

def names(spans):
    return sorted((span.name, span.parent is None) for span in spans)

class Agent:
    framework, in_thread, gates_tools = "custom", False, True
    async def call(self, payload, context, *, streams):
        trace.get_current_span().set_attribute("by", "agent")
        with trace.get_tracer("library").start_as_current_span("inner"):
            return {}
    def describe(self):
        # Its module has been loaded by now.
        if sys.argv[1] == "agent":
            set_up()
        return {}
    async def close(self):
        pass

async def main():
    if sys.argv[1] == "process":
        set_up()
    with collecting() as collector:
        for otlp in (None, {"endpoint": collector.url}):
            exporter.clear()
            async with running(app_for(Agent(), observability={"otlp": otlp})) as app:
                async with post(app, "/invoke", {}) as exchange:
                    assert (await exchange.head()).status == 200, await exchange.read()
            spans = exporter.get_finished_spans()
            print(names(spans))
            [run] = [span for span in spans if span.name == "invoke_agent test"]
            assert run.attributes["by"] == "agent", run.attributes
        print(tree(collector.spans))

asyncio.run(main())
"""


def ran(code: str, *arguments: str) -> list[str]:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("where", ["process", "agent"])
def test_a_provider_that_somebody_has_set_up_gets_our_spans_and_gives_us_theirs(where: str) -> None:
    without, with_otlp, received = ran(_OTHERS, where)
    ours = [("POST /invoke", True), ("inner", False), ("invoke_agent test", False)]
    # With what the agent's module sets up, the request that waited for it was begun before.
    assert without == with_otlp == str(sorted(ours))
    assert received == str([["POST /invoke", [["invoke_agent test", [["inner"]]]]]])


_MISSING = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        # FastAPI has the API among its own needs.
        if name.startswith("opentelemetry.sdk"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import asyncio, logging
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from dockrion.testing import app_for, post, running

async def answer(payload):
    return {}

async def main():
    for section in ({"otlp": {}}, {"langfuse": {"public_key": "pk", "secret_key": "sk"}}):
        try:
            app_for(answer, observability=section)
        except Exception as exc:
            print(type(exc).__name__, exc)
    import os
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://c:1"
    async with running(app_for(answer)) as app:
        async with post(app, "/invoke", {}) as exchange:
            print((await exchange.head()).status)

asyncio.run(main())
"""


def test_without_opentelemetry_what_asks_for_it_is_refused_and_the_rest_runs() -> None:
    otlp, langfuse, warning, status = ran(_MISSING)
    says = "needs the package 'opentelemetry.sdk'; pip install 'dockrion[otel]'"
    assert otlp == f"MissingExtraError observability.otlp: {says}"
    assert langfuse == f"MissingExtraError observability.langfuse: {says}"
    assert warning.startswith("OTEL_EXPORTER_OTLP_ENDPOINT is set, and nothing is traced")
    assert warning.endswith(says)
    assert status == "200"


def test_where_nothing_is_traced_nothing_is_loaded_for_it() -> None:
    code = (
        "import sys, asyncio\n"
        "from dockrion.testing import app_for, post, running\n"
        "async def answer(payload): return {}\n"
        "async def main():\n"
        "    async with running(app_for(answer)) as app:\n"
        "        async with post(app, '/invoke', {}) as exchange:\n"
        "            await exchange.read()\n"
        "asyncio.run(main())\n"
        "print('opentelemetry.sdk' in sys.modules)\n"
    )
    assert ran(code) == ["False"]
