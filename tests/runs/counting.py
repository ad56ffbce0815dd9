"""An observer that remembers the rules that were violated."""

from __future__ import annotations

from dockrion.runs.observer import Unobserved


class Counting(Unobserved):
    def __init__(self) -> None:
        self.rules: list[str] = []

    def violated(self, rule: str) -> None:
        self.rules.append(rule)
