"""Measure dockrion and its peers in turn, on the same work: `python benchmarks/run.py --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import loadclient
import report
from loadclient import BenchmarkError
from servers import DOCKRION, PEERS, dockrion_command
from workloads import WORKLOADS

QUICK_SCALE = 0.2


def main() -> int:
    options = _options()
    try:
        results = (
            json.loads(options.figures.read_text()) if options.figures else _measure_all(options)
        )
        rendered = report.table(results["figures"])
        if options.write_docs:
            report.write_page(rendered)
    except BenchmarkError as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 1
    text = json.dumps(results, indent=2, ensure_ascii=False)
    if options.out:
        options.out.write_text(f"{text}\n")
    if options.table:
        print(rendered)
    elif not options.out:
        print(text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=[*WORKLOADS], metavar="NAME", help=", ".join(WORKLOADS)
    )
    parser.add_argument("--servers", help=f"comma separated: {', '.join([DOCKRION, *PEERS])}")
    parser.add_argument("--rounds", type=int, help="how often each server has its turn (3)")
    parser.add_argument("--quick", action="store_true", help="one round of a fifth of the work")
    parser.add_argument("--out", type=Path, help="write the JSON into this file")
    parser.add_argument(
        "--table", action="store_true", help="print the Markdown table, not the JSON"
    )
    parser.add_argument(
        "--figures", type=Path, help="measure nothing, take the JSON of an earlier run"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="put the table into docs/performance.md"
    )
    options = parser.parse_args()
    options.servers = (options.servers or ",".join([DOCKRION, *PEERS])).split(",")
    unknown = {*options.servers} - {DOCKRION, *PEERS}
    if unknown:
        parser.error(f"unknown servers: {', '.join(sorted(unknown))}")
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def _measure_all(options: argparse.Namespace) -> dict[str, Any]:
    if DOCKRION in options.servers:
        dockrion_command()
    began = time.monotonic()
    client = loadclient.capacity()
    figures = {
        name: figure
        for name in options.only or WORKLOADS
        if (figure := _measure(name, options)) is not None
    }
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "quick": options.quick,
        "seconds": round(time.monotonic() - began, 1),
        "client": client,
        "figures": figures,
    }


def _measure(name: str, options: argparse.Namespace) -> dict[str, Any] | None:
    """Give each server its turn, round by round, so that a busy minute of the machine hits them all."""
    workload = WORKLOADS[name]
    kinds = [kind for kind in workload.servers if kind in options.servers]
    if not kinds:
        return None
    values: report.Values = {kind: {key: [] for key in workload.metrics} for kind in kinds}
    for turn in range(options.rounds):
        for kind in kinds:
            figures = workload.measure(kind, QUICK_SCALE if options.quick else 1)
            shown = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
            print(f"{name} {turn + 1}/{options.rounds} {kind}: {shown}", file=sys.stderr)
            for key, value in figures.items():
                values[kind][key].append(value)
    return report.summarise(name, values)


if __name__ == "__main__":
    sys.exit(main())
