"""Markdown files as passages: each paragraph, list item, table row and block of code, with its heading."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN = MarkdownIt().enable("table")


class Passage(TypedDict):
    """`text` is the file's own, on one line unless it is code; `line` is where it begins."""

    file: str
    heading: str
    line: int
    text: str
    is_code: bool


def read_passages(paths: Iterable[Path]) -> list[Passage]:
    """Read files, and of folders all `*.md` below; names are relative to the folder that holds them all."""
    files = sorted({file.resolve() for path in paths for file in _markdown_files(path)})
    if not files:
        raise ValueError("docs: no Markdown file in what is named there")
    root = os.path.commonpath([file.parent for file in files])
    passages = [
        passage
        for file in files
        for passage in passages_of(
            file.read_text(encoding="utf-8"), file=file.relative_to(root).as_posix()
        )
    ]
    if not passages:
        raise ValueError("docs: the Markdown files that are named there are empty")
    return passages


def _markdown_files(path: Path) -> list[Path]:
    if path.is_dir():
        return list(path.rglob("*.md"))
    if not path.is_file():
        raise ValueError(f"docs: {path.name} is neither a file nor a folder")
    return [path]


def passages_of(source: str, *, file: str) -> Iterator[Passage]:
    heading = ""
    cells: list[str] = []
    block = row = Token("", "", 0)
    for token in _MARKDOWN.parse(source):
        match token.type:
            case "heading_open" | "paragraph_open" | "th_open" | "td_open":
                block = token
            case "tr_open":
                row, cells = token, []
            case "inline" if block.type == "heading_open":
                heading = _plain(token)
            case "inline" if block.type == "paragraph_open":
                yield _passage(file, heading, token, " ".join(token.content.split()))
            case "inline":
                cells.append(token.content)
            case "tr_close":
                yield _passage(file, heading, row, " | ".join(cells))
            case "fence" | "code_block":
                yield _passage(file, heading, token, token.content.rstrip(), is_code=True)
            case _:
                pass


def _passage(file: str, heading: str, token: Token, text: str, *, is_code: bool = False) -> Passage:
    line = token.map[0] + 1 if token.map else 0
    return Passage(file=file, heading=heading, line=line, text=text, is_code=is_code)


def _plain(heading: Token) -> str:
    return "".join(part.content for part in heading.children or ())
