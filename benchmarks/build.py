"""What `dockrion build --no-docker` takes for a project of 1,000 files: prints JSON. The budget is two seconds."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

FILES = 1_000
ROUNDS = 5
BUDGET_SECONDS = 2.0
DOCKFILE = """
version: "1.0"
agent: {name: large, handler: "bot.service:answer"}
io_schema: {}
expose: {}
build:
  auto_detect_imports: true
  include: {directories: [data]}
  exclude: ["*.tmp", "tests/", "/data/private/"]
secrets:
  required: [{name: API_KEY}]
"""
MODULE = '''"""Part {number} of a project: a page of code, as an author would write it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bot import {next_module}


@dataclass
class Step{number}:
    name: str
    weight: float = 1.0

    def run(self, payload: dict[str, object]) -> dict[str, object]:
        found = {{key: value for key, value in payload.items() if value is not None}}
        if self.weight > 0.5 and "query" in found:
            found["step"] = f"{{self.name}}-{{self.weight:.2f}}"
        return found


def make(names: list[str]) -> list[Step{number}]:
    return [Step{number}(name=name, weight=len(name) / 10) for name in sorted(names)]
'''


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        dockfile = write_project(Path(folder))
        builds = [run("build", "--no-docker", "--json", dockfile) for _ in range(ROUNDS)]
        # What every command costs, and so how busy the machine is.
        validations = [run("validate", "--json", dockfile) for _ in range(ROUNDS)]
    assert all(one.result["files"] > FILES for one in builds)
    median = statistics.median(one.wall for one in builds)
    result = {
        "files": FILES,
        "wall_s": [round(one.wall, 3) for one in builds],
        "wall_s_median": round(median, 3),
        "cpu_s_median": round(statistics.median(one.cpu for one in builds), 3),
        "validate_cpu_s_median": round(statistics.median(one.cpu for one in validations), 3),
        "budget_s": BUDGET_SECONDS,
        "within_budget": median <= BUDGET_SECONDS,
    }
    print(json.dumps(result, indent=2))


def write_project(folder: Path) -> Path:
    """Half of the files are modules that import each other, half are data."""
    modules = FILES // 2
    (folder / "bot").mkdir()
    (folder / "data").mkdir()
    (folder / "bot" / "__init__.py").write_text("")
    (folder / "bot" / "service.py").write_text(
        "from bot import part_0\ndef answer(payload): return {}\n"
    )
    for number in range(modules):
        text = MODULE.format(number=number, next_module=f"part_{(number + 1) % modules}")
        (folder / "bot" / f"part_{number}.py").write_text(text)
    for number in range(FILES - modules):
        (folder / "data" / f"page_{number}.md").write_text("A page of text. " * 250)
    (folder / ".env").write_text("API_KEY=sk-0123456789abcdef\n")
    dockfile = folder / "Dockfile.yaml"
    dockfile.write_text(DOCKFILE)
    return dockfile


class Run(NamedTuple):
    """One command: seconds by the clock and of the processor, and what it printed."""

    wall: float
    cpu: float
    result: dict[str, Any]


def run(*arguments: str | Path) -> Run:
    command = [str(Path(sys.executable).with_name("dockrion")), *map(str, arguments)]
    before, began = _children(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=True)
    wall = time.perf_counter() - began
    return Run(wall, _children() - before, json.loads(done.stdout))


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
