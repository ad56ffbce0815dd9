"""The curl lines of docs/runs.md do what the page says, one after the other."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import StartServer

DOCS = Path(__file__).parents[2] / "docs"
LINES = re.findall(r"^\$ (curl .*)$", (DOCS / "runs.md").read_text(), re.MULTILINE)
[APPROVING, *_] = re.findall(
    r"^```python\n(.*?)^```", (DOCS / "interrupts.md").read_text(), re.MULTILINE | re.DOTALL
)


def test_the_lines_of_the_page_work(server: StartServer) -> None:
    # The run that nobody answers is not waited for.
    one = server(APPROVING, expose={"shutdown_grace": 1})

    def run(line: str) -> tuple[int, str]:
        here = line.replace("http://localhost:8080", one.url)
        command = f"{here} -s -w '\\n%{{http_code}}' --max-time 20"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def wait(status: str) -> None:
        deadline = time.monotonic() + 10
        while one.get("/runs/report-7")[1]["status"] != status:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    start, first, same, look, listing, follow, part, resume, answer, cancel = LINES
    assert run(start)[0] == 202
    wait("INTERRUPTED")
    accepted, again = run(first), run(same)
    assert (accepted[0], again[0]) == (202, 200)
    assert json.loads(accepted[1])["run_id"] == json.loads(again[1])["run_id"]
    assert json.loads(run(look)[1])["interrupts"][0]["value"]["text"] == "Hello"
    assert "report-7" in run(listing)[1]
    assert run(answer)[0] == 202
    wait("COMPLETED")
    events = [re.findall("^event: (.*)$", run(line)[1], re.MULTILINE) for line in (follow, part)]
    whole = ["started", "interrupt", "token", "complete"]
    assert events == [whole, whole[1:]]
    assert re.findall("^event: (.*)$", run(resume)[1], re.MULTILINE) == whole[1:]
    assert run(cancel)[0] == 400
    assert run(start.replace("report-7", "report-8"))[0] == 202
    assert run(cancel.replace("report-7", "report-8")) == (
        200,
        '{"run_id":"report-8","status":"CANCELLED"}',
    )
