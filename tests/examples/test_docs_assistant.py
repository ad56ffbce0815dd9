"""examples/docs-assistant, asked about this project's own documents."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from docs_assistant.answers import NOTHING_FOUND
from docs_assistant.graph import assistant, build_graph
from docs_assistant.index import Index
from docs_assistant.passages import passages_of, read_passages
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.outputs import ChatGenerationChunk

from dockrion.adapters.langgraph import GraphAgent
from dockrion.adapters.shapes import Shapes
from dockrion.events.model import Complete, Step, Token, ToolCall, ToolResult
from dockrion.spec import validate_dockspec
from tests.runs.kit import read_to_end, runner_for_agent

ROOT = Path(__file__).parents[2]
DOCKRION = (sys.executable, "-m", "dockrion.cli")
DOCKFILE = ROOT / "examples" / "docs-assistant" / "Dockfile.yaml"
SIGTERM = "What happens to open streams when the server gets SIGTERM?"

# Questions, the source that must be there, and words that the quote of it must have.
QUESTIONS = [
    (SIGTERM, "docs/serving.md", "Shutdown", "expose.shutdown_grace"),
    (
        "How do I serve an agent with several worker processes?",
        "docs/serving.md",
        "More than one process: --workers",
        "shares one port between processes",
    ),
    (
        "How can I reload the agent when its code changes?",
        "docs/serving.md",
        "While you write it: --reload",
        "starts the agent anew",
    ),
    ("How do I use uvicorn to serve it?", "docs/serving.md", "Under another server", "uvicorn"),
    (
        "Where do I get the JSON Schema for my editor?",
        "docs/serving.md",
        "Editors",
        "dockrion schema",
    ),
    ("What does the error code OVERLOADED mean?", "docs/errors.md", "Codes", "max_queue"),
    ("Where are the Prometheus metrics?", "docs/metrics.md", "Metrics", "GET /metrics"),
    (
        "What replaces the values of secrets in log lines?",
        "docs/observability.md",
        "Logs",
        "replaced by `***`",
    ),
    (
        "How much memory does an idle stream take?",
        "docs/performance.md",
        "Performance",
        "memory of an idle stream",
    ),
    ("What happens when a caller reads slowly?", "README.md", "What is different", "slows"),
]
UNANSWERABLE = [
    "What is the capital of France?",
    "Does dockrion support GraphQL subscriptions?",
    "How do I train a neural network?",
    "What?",
]


@pytest.fixture(scope="module")
def index() -> Index:
    return Index(read_passages([ROOT / "README.md", ROOT / "docs"]))


async def answer_to(question: str, graph: Any) -> Any:
    return await graph.ainvoke({"question": question})


async def events_of(question: str, graph: Any) -> list[Any]:
    shapes = Shapes(output_keys=("answer", "sources"))
    agent = await GraphAgent.load(graph, name="docs_assistant.graph:assistant", shapes=shapes)
    return await read_to_end(runner_for_agent(agent).start({"question": question}, streams=True))


@pytest.mark.parametrize(
    ("question", "file", "heading", "words"), QUESTIONS, ids=[q[0] for q in QUESTIONS]
)
async def test_a_question_is_answered_from_the_right_place(
    index: Index, question: str, file: str, heading: str, words: str
) -> None:
    state = await answer_to(question, build_graph(index))

    places = [(source["file"], source["heading"]) for source in state["sources"]]
    assert (file, heading) in places
    assert words in state["answer"]
    assert f"[{places.index((file, heading)) + 1}] {file}, {heading}" in state["answer"]


@pytest.mark.parametrize("question", [question for question, *_ in QUESTIONS])
async def test_what_is_quoted_stands_in_the_file_and_below_the_heading_that_are_named(
    index: Index, question: str
) -> None:
    state = await answer_to(question, build_graph(index))
    quotes = [line[2:] for line in state["answer"].splitlines() if line.startswith("> ")]

    assert quotes or "```" in state["answer"]
    for quote in quotes:
        text, _, number = quote.rpartition(" [")
        source = state["sources"][int(number.rstrip("]")) - 1]
        lines = (ROOT / source["file"]).read_text().splitlines()
        heading = next(line for line in reversed(lines[: source["line"]]) if line.startswith("#"))
        assert heading.lstrip("# ").replace("`", "") == source["heading"]
        whole = " ".join(" ".join(lines).split())
        for sentence in text.split(" … "):
            assert sentence in whole or all(cell in whole for cell in sentence.split(" | "))


@pytest.mark.parametrize("question", UNANSWERABLE)
async def test_what_the_documents_do_not_say_is_not_answered(index: Index, question: str) -> None:
    # A model would answer anyway: it is not asked.
    model = FakeListChatModel(responses=["Paris, of course."])
    state = await answer_to(question, build_graph(index, model=model))
    assert (state["answer"], state["sources"]) == (NOTHING_FOUND, [])


async def test_a_stream_has_the_search_the_steps_and_the_answer_word_by_word(
    index: Index,
) -> None:
    events = await events_of(SIGTERM, build_graph(index))

    [call] = [event for event in events if isinstance(event, ToolCall)]
    [result] = [event for event in events if isinstance(event, ToolResult)]
    assert (call.tool, call.arguments) == ("search_docs", {"question": SIGTERM})
    assert result.call_id == call.call_id
    assert "Shutdown" in [found["heading"] for found in result.output]
    steps = [event.node_name for event in events if isinstance(event, Step)]
    assert steps == ["retrieve", "rank", "answer"]
    words = [event for event in events if isinstance(event, Token)]
    assert len(words) > 20
    assert {word.node for word in words} == {"answer"}
    assert isinstance(events[-1], Complete)
    assert "".join(word.content for word in words) == events[-1].output["answer"]
    assert set(events[-1].output) == {"answer", "sources"}


async def test_a_model_answers_from_the_passages_and_its_tokens_are_the_stream(
    index: Index,
) -> None:
    asked: list[Any] = []

    class Model(FakeListChatModel):
        async def _astream(
            self, messages: Any, *args: Any, **options: Any
        ) -> AsyncIterator[ChatGenerationChunk]:
            asked.extend(messages)
            async for chunk in super()._astream(messages, *args, **options):
                yield chunk

    events = await events_of(
        SIGTERM, build_graph(index, model=Model(responses=["They have time [1]."]))
    )

    answer = events[-1].output["answer"]
    assert answer.startswith("They have time [1].\n\nSources:\n[1] docs/serving.md, ")
    tokens = [event.content for event in events if isinstance(event, Token)]
    assert "".join(tokens) == answer
    assert tokens[:4] == list("They")
    system, user = asked
    assert "] docs/serving.md, Shutdown:\nOn SIGTERM" in system.content
    assert user.content == SIGTERM


def test_markdown_is_cut_into_blocks_with_their_heading_and_line() -> None:
    source = (
        "Before.\n\n# One `code`\n\nTwo\nlines.\n\n* item\n  goes on\n\n| a | b |\n|---|---|\n| c | d |\n"
        "\n## Two\n\n```sh\n# no heading\nrun\n```\n"
    )
    cut = [
        (passage["heading"], passage["line"], passage["text"], passage["is_code"])
        for passage in passages_of(source, file="x.md")
    ]
    assert cut == [
        ("", 1, "Before.", False),
        ("One code", 5, "Two lines.", False),
        ("One code", 8, "item goes on", False),
        ("One code", 11, "a | b", False),
        ("One code", 13, "c | d", False),
        ("Two", 17, "# no heading\nrun", True),
    ]


def test_the_dockfile_is_valid_and_its_agent_answers_on_the_command_line() -> None:
    report = validate_dockspec(DOCKFILE)
    assert (report["errors"], report["warnings"]) == ([], [])

    done = subprocess.run(
        [*DOCKRION, "test", str(DOCKFILE), "-p", json.dumps({"question": SIGTERM})],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    output = json.loads(done.stdout)
    assert "Shutdown" in [source["heading"] for source in output["sources"]]


def test_questions_at_the_same_time_do_not_mix_their_words(index: Index) -> None:
    texts = [passage["text"] for passage in index.passages]
    alone = list(map(index.words, texts))
    switch_after = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(index.words, texts)) == alone
    finally:
        sys.setswitchinterval(switch_after)


@pytest.mark.parametrize("docs", [["nothing-there.md"], ["docs_assistant"]])
def test_documents_that_are_not_there_are_an_error(docs: list[str]) -> None:
    with pytest.raises(ValueError, match="docs: "):
        assistant(docs)


def test_documents_without_a_word_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.md").touch()
    with pytest.raises(ValueError, match="empty"):
        read_passages([tmp_path])


def test_a_key_without_the_package_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.setitem(sys.modules, "langchain_openai", None)
    with pytest.raises(RuntimeError, match="pip install langchain-openai"):
        assistant(["README.md"])


class Completions(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that always streams the same two words."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta, reason in (({"content": "It "}, None), ({"content": "drains."}, "stop")):
            choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": reason}
            chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
            self.wfile.write(f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.mark.skipif(
    importlib.util.find_spec("langchain_openai") is None,
    reason="NOT TESTED: a model behind an OpenAI-compatible endpoint; pip install langchain-openai",
)
async def test_the_model_of_an_endpoint_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Completions) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        try:
            graph = assistant(["../../README.md", "../../docs"], model="m")
            events = await events_of(SIGTERM, graph)
        finally:
            server.shutdown()
    tokens = [event.content for event in events if isinstance(event, Token)]
    assert tokens[:2] == ["It ", "drains."]
    assert events[-1].output["answer"].startswith("It drains.\n\nSources:\n[1] ")
