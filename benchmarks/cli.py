"""What a command of the CLI takes from start to end: prints JSON. Each is a process of its own, with bytecode written.

Milliseconds of the median, those of processor time, and how many times as much of that as `python -c ''` takes, which
says more on a machine that is busy: the processes take turns.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from dockrion.scaffold.sections import auth_section

RUNS = 15
TARGETS = {"dockrion --help": 200, "dockrion validate": 400, "dockrion init": 400}


class Took(NamedTuple):
    clock: float
    processor: float


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = _commands(folder)
        seconds = {label: list[Took]() for label in commands}
        for run in range(RUNS + 1):
            for label, command in commands.items():
                took = _seconds(command, folder)
                if run > 0:  # the first one writes bytecode
                    seconds[label].append(took)
    bare = statistics.median(took.processor for took in seconds["python -c ''"])
    result = {label: _row(label, took, bare) for label, took in seconds.items()}
    print(json.dumps(result, indent=2))


def _row(label: str, took: list[Took], bare: float) -> dict[str, float | None]:
    processor = statistics.median(one.processor for one in took)
    return {
        "ms": round(statistics.median(one.clock for one in took) * 1000),
        "best_ms": round(min(one.clock for one in took) * 1000),
        "cpu_ms": round(processor * 1000),
        "best_cpu_ms": round(min(one.processor for one in took) * 1000),
        "times_python": round(processor / bare, 1),
        "target_ms": TARGETS.get(label),
    }


def _commands(folder: Path) -> dict[str, list[str]]:
    dockrion = str(Path(sys.executable).with_name("dockrion"))
    subprocess.run([dockrion, "init", "bench"], cwd=folder, check=True, capture_output=True)
    dockfile = folder / "Dockfile.yaml"
    (folder / "auth.yaml").write_text(f"{dockfile.read_text()}\n{auth_section('api_key')}")
    return {
        "python -c ''": [sys.executable, "-c", ""],
        "dockrion --help": [dockrion, "--help"],
        "dockrion version": [dockrion, "version"],
        "dockrion validate": [dockrion, "validate"],
        "dockrion init": [dockrion, "init", "bench", "--force"],
        "dockrion add": [dockrion, "add", "auth", "auth.yaml", "--force"],
        "completing a word": [
            "env",
            "_DOCKRION_COMPLETE=bash_complete",
            "COMP_WORDS=dockrion in",
            "COMP_CWORD=1",
            dockrion,
        ],
    }


def _seconds(command: list[str], folder: Path) -> Took:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    clock = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


if __name__ == "__main__":
    main()
