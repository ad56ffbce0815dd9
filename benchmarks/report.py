"""Owns what becomes of the figures: medians, ratios, budgets; JSON, a Markdown table, the page in `docs/`."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadclient import BenchmarkError
from servers import DOCKRION, TITLES
from workloads import WORKLOADS

if TYPE_CHECKING:
    from workloads import Metric

    Values = dict[str, dict[str, list[float]]]  # server, metric: one value a round

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
_START, _END = "<!-- figures: start -->", "<!-- figures: end -->"


def summarise(name: str, values: Values) -> dict[str, Any]:
    """Return the figures of one workload: a median for each server, and dockrion's as a multiple of each peer's."""
    return {
        key: _figure(metric, {kind: by_metric[key] for kind, by_metric in values.items()})
        for key, metric in WORKLOADS[name].metrics.items()
    }


def _figure(metric: Metric, rounds: dict[str, list[float]]) -> dict[str, Any]:
    medians = {kind: statistics.median(values) for kind, values in rounds.items()}
    own = medians.get(DOCKRION)
    budget = _budget(metric, medians)
    return {
        "title": metric.title,
        "unit": metric.unit,
        "budget": budget,
        "within_budget": None if own is None or budget is None else own <= budget,
        "median": medians,
        "rounds": rounds,
        "dockrion_over": {
            kind: round(own / value, 2)
            for kind, value in medians.items()
            if own is not None and kind != DOCKRION and value > 0
        },
    }


def _budget(metric: Metric, medians: dict[str, float]) -> float | None:
    if metric.budget is None or metric.budget_of is None:
        return metric.budget
    peer = medians.get(metric.budget_of)
    return None if peer is None else metric.budget * peer


def table(figures: dict[str, Any]) -> str:
    """Return a Markdown table: dockrion, its budget, and each peer as a multiple of dockrion."""
    kinds = [kind for kind in TITLES if kind != DOCKRION]
    header = ["work", "unit", "dockrion", "budget", *(TITLES[kind] for kind in kinds)]
    lines = [_row(header), _row(["---", "---", "---:", "---:", *("---:" for _ in kinds)])]
    for name, by_metric in figures.items():
        for key, figure in by_metric.items():
            digits = WORKLOADS[name].metrics[key].digits
            medians: dict[str, float] = figure["median"]
            own = medians.get(DOCKRION)
            cells = [_number(own, digits), _number(figure["budget"], digits)]
            cells += [_peer(medians.get(kind), own, digits) for kind in kinds]
            lines.append(_row([figure["title"], figure["unit"], *cells]))
    return "\n".join(lines)


def write_page(rendered: str) -> None:
    """Put the table between the two marks of `docs/performance.md`."""
    text = PAGE.read_text()
    before, start, rest = text.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        raise BenchmarkError(f"{PAGE.name} has no place for the table: {_START} ... {_END}")
    PAGE.write_text(f"{before}{start}\n{rendered}\n{end}{after}")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _peer(value: float | None, own: float | None, digits: int) -> str:
    if value is None:
        return ""
    if not own:
        return _number(value, digits)
    return f"{_number(value, digits)} ({value / own:.2g}x)"
