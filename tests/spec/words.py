"""The words of refusals, and values that a kind of field refuses."""

from __future__ import annotations

from typing import Any

TEXT = "must be text"
FLAG = "must be true or false"
TARGET = "must be module.path:name"
VARIABLE = "must be the name of an environment variable"
WEB_URL = "must be a URL that starts with https:// or http://"
POSITIVE = "must be a number greater than 0"
INSIDE = "must stay inside the project: a relative path without `..`"
STREAMING = "must be sse, websocket, none, or a list of sse and websocket"
PATTERN = "must be a Python regular expression"
CLAIM = "must be the name of a claim, or a dotted path"
SECRET_NAME = "must be upper-case letters, digits and underscores, with no digit first"


def whole(low: int, high: int | None = None) -> str:
    return f"must be a whole number {f'from {low} to {high}' if high else f'of {low} or more'}"


def number(low: int, high: int | None = None) -> str:
    return f"must be a number {f'from {low} to {high}' if high else f'of {low} or more'}"


def not_whole(low: int) -> list[Any]:
    return [low - 1, -5, 1.5, float(low + 1), str(low + 1), True, float("nan"), [], {}]


def not_number(low: float, high: float | None = None) -> list[Any]:
    above = [] if high is None else [high + 1, high + 0.001]
    return [low - 0.001, *above, str(low + 1), True, float("nan"), float("inf"), [], {}]


NO_FLAG = [0, 1, "true", "yes", [], {}]
NO_TEXT = ["", "  ", 3, 1.5, True, [], {}]
NO_LIST = ["a", 3, True, {}]
