"""Env files, and the environment that they make with the shell's: who wins, and where a value is from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dockrion.spec.document import read_document
from dockrion.spec.fields import is_mapping
from dockrion.spec.problems import Problem, path_of

SHELL: Final = "shell"
DEFAULT: Final = "default"

# Where server processes share their metrics; the name is that of the Prometheus client.
METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"

_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([^\s=#'\"]+)[ \t]*=[ \t]*")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"[ \t]#.*")


@dataclass(frozen=True)
class Environment:
    """What fills `${VAR}`, and what the agent is to see.

    `sources` has the origin of each name: `shell`, the name of a file, or `default`.
    """

    values: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def below(self, values: Mapping[str, str], source: str) -> Environment:
        """Return an environment with these values where it has none yet; an empty one is one."""
        return Environment(
            {**values, **self.values}, {**dict.fromkeys(values, source), **self.sources}
        )

    def beyond_the_shell(self) -> dict[str, str]:
        """Return what is to be added to `os.environ` before the agent is loaded."""
        return {k: v for k, v in self.values.items() if self.sources[k] != SHELL}

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the names without a value; an empty one is none."""
        return [name for name in names if not self.values.get(name)]


def process_setting(name: str) -> str | None:
    """Return a variable of the process that is about the process, not about the agent; an empty one is none."""
    return os.environ.get(name) or None


def process_environment() -> Mapping[str, str]:
    """Return the environment of the process, for a Dockfile that was given without one."""
    return os.environ


def parse_env_file(text: str, *, yaml: bool) -> tuple[dict[str, str], list[Problem]]:
    """Return what the file sets and what is wrong with it; no message has a value in it."""
    values, problems = _parse_yaml(text) if yaml else _parse_dotenv(text)
    for name in [name for name, value in values.items() if "\0" in value or "\0" in name]:
        del values[name]
        problems.append(Problem(name.replace("\0", ""), "must not hold a NUL character"))
    return values, problems


def _parse_yaml(text: str) -> tuple[dict[str, str], list[Problem]]:
    document = read_document(text, only_text=True)
    data: Any = document.data
    problems = document.problems
    if data is None:
        return {}, problems
    if not is_mapping(data):
        return {}, [*problems, Problem("", "must be a mapping of names to values", 1, 1)]
    values: dict[str, str] = {}
    for name, value in data.items():
        if isinstance(value, str):
            values[name] = value
        elif value is not None:
            place = document.places[(name,)].value
            problems.append(Problem(path_of((name,)), "must be one value, nothing nested", *place))
    return values, problems


def _parse_dotenv(text: str) -> tuple[dict[str, str], list[Problem]]:
    values: dict[str, str] = {}
    problems: list[Problem] = []
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for entry in _entries(lines):
        if isinstance(entry, Problem):
            problems.append(entry)
        else:
            values[entry[0]] = entry[1]
    return values, problems


def _entries(text: str) -> Iterator[tuple[str, str] | Problem]:
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
            continue
        line = text.count("\n", 0, position) + 1
        name = _NAME.match(text, position)
        if name is None:
            yield Problem("", "must be NAME=value", line, 1)
            position = _end_of_line(text, position)
            continue
        value, position = _value(text, name.end())
        if value is None:
            yield Problem(name[1], "has a quote that is not closed, or text after it", line, 1)
            position = _end_of_line(text, name.end())
        else:
            yield name[1], value


def _value(text: str, start: int) -> tuple[str | None, int]:
    """Return the value that starts here and where it ends; None when its quotes are wrong."""
    quote = text[start : start + 1]
    if quote not in ("'", '"') or not quote:
        bare = _BARE.match(text, start)
        assert bare is not None, "it matches the empty string"
        # White space before a comment counts from the `=` on, which the name's pattern has passed.
        opens_with_comment = bare[0].startswith("#") and text[start - 1] in " \t"
        value = "" if opens_with_comment else _COMMENT.sub("", bare[0]).strip()
        return value, bare.end()
    quoted = (_SINGLE if quote == "'" else _DOUBLE).match(text, start)
    rest = quoted and _BLANK.match(text, quoted.end())
    if quoted is None or rest is None:
        return None, start
    escapes = _ESCAPES if quote == '"' else {}
    return _unescape(quoted[1], quote, escapes), rest.end()


def _unescape(value: str, quote: str, escapes: Mapping[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        char = match[1]
        if char in ("\\", quote) or (char == "$" and escapes):
            return char
        return escapes.get(char, match[0])

    return re.sub(r"\\(.)", one, value, flags=re.DOTALL)


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1
