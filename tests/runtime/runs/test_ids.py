"""`streaming.id_generator`: run ids that a function of the Dockfile's makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockrion.runtime.app import create_app
from dockrion.runtime.ids import OwnIds
from dockrion.spec import load_dockspec
from dockrion.testing import app_for, post, running
from tests.runtime.runs.kit import ask, becomes

WAYS = ["/invoke", "/invoke/stream", "/runs"]
REFUSED = "The run could not be given an id (streaming.id_generator); the log says why."


async def echo(payload: Any) -> Any:
    return {"got": payload}


def numbered() -> Callable[[], str]:
    number = 0

    def make() -> str:
        nonlocal number
        number += 1
        return f"job-{number}"

    return make


def using(app: Any, make: Callable[[], Any]) -> None:
    """Give a running app its generator, as if the Dockfile had named it."""
    app.state.dockrion.ids = OwnIds(make, name="service:new_id")


@pytest.mark.parametrize("path", WAYS)
async def test_each_run_without_an_id_of_its_caller_gets_one(path: str) -> None:
    async with running(app_for(echo)) as app:
        await app.state.dockrion.loaded()
        using(app, numbered())
        seen: list[str] = []
        for query in ("", "?run_id=mine", ""):
            async with post(app, path + query, {}) as exchange:
                await exchange.read()
            seen.append(exchange.headers["x-run-id"])
    assert seen == ["job-1", "mine", "job-2"]


async def raises() -> str:
    return "a"


def exits() -> str:
    raise SystemExit(3)


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: 1 // 0, "division by zero"),
        (exits, "SystemExit"),
        (lambda: None, "got NoneType"),
        (lambda: 7, "got int"),
        (lambda: "", "got ''"),
        (lambda: "a b", "got 'a b'"),
        (lambda: "a" * 129, "got 'aaa"),
        (raises, "got coroutine"),
    ],
)
async def test_what_is_no_id_is_a_500_and_a_line_in_the_log(
    path: str, make: Callable[[], Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(app_for(echo)) as app:
        await app.state.dockrion.loaded()
        using(app, make)
        answer = await ask(app, "POST", path, {})
    assert (answer.status, answer.body["code"]) == (500, "INTERNAL_ERROR")
    assert answer.body["error"] == REFUSED
    [record] = [one for one in caplog.records if one.name == "dockrion.runtime.ids"]
    assert record.__dict__["handler"] == "service:new_id"
    assert says in f"{record.__dict__.get('problem')} {record.exc_text}"


@pytest.mark.parametrize("path", WAYS)
async def test_an_id_that_is_taken_is_a_500(path: str) -> None:
    async with running(app_for(echo)) as app:
        await app.state.dockrion.loaded()
        using(app, lambda: "always-this")
        first = await ask(app, "POST", "/runs", {})
        await becomes(app, first.body["run_id"], "COMPLETED")
        second = await ask(app, "POST", path, {})
    assert (first.status, second.status) == (202, 500)
    assert second.body["error"] == REFUSED


async def test_with_a_key_the_same_again_is_the_same_run() -> None:
    key = {"Idempotency-Key": "k"}
    async with running(app_for(echo)) as app:
        await app.state.dockrion.loaded()
        using(app, numbered())
        first = await ask(app, "POST", "/runs", {}, key)
        again = await ask(app, "POST", "/runs", {}, key)
    assert (first.status, again.status) == (202, 200)
    assert first.body["run_id"] == again.body["run_id"] == "job-1"


# From the Dockfile

SOURCE = """
def handle(payload):
    return {}

def new_id():
    return "from-the-file"

async def later():
    return "later"

nothing = 5
"""


def dockfile(folder: Path, module: str, handler: str) -> Any:
    (folder / f"{module}.py").write_text(SOURCE)
    (folder / "Dockfile.yaml").write_text(
        "version: '1.0'\n"
        f"agent: {{name: a, handler: '{module}:handle'}}\n"
        "io_schema: {}\nexpose: {}\n"
        f"streaming: {{id_generator: {{type: custom, handler: '{module}:{handler}'}}}}\n"
    )
    return load_dockspec(folder / "Dockfile.yaml")


async def test_the_dockfile_names_the_function(tmp_path: Path) -> None:
    async with running(create_app(dockfile(tmp_path, "own_ids_a", "new_id"))) as app:
        answer = await ask(app, "POST", "/invoke", {})
    assert answer.headers["x-run-id"] == "from-the-file"


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        ("missing", "has no 'missing'"),
        ("nothing", "is no function, but int"),
        ("later", "must be a plain function, not async"),
    ],
)
async def test_what_cannot_make_ids_is_a_load_error(
    tmp_path: Path, handler: str, says: str
) -> None:
    app = create_app(dockfile(tmp_path, f"own_ids_{handler}", handler))
    async with running(app):
        assert not await app.state.dockrion.loaded()
        ready = await ask(app, "GET", "/ready")
        called = await ask(app, "POST", "/runs", {})
    assert (ready.status, ready.body["status"], called.status) == (503, "failed", 503)
    assert "streaming.id_generator.handler: " in ready.body["error"]
    assert says in ready.body["error"]
