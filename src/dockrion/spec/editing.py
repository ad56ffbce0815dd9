"""Changes to the text of a Dockfile: sections put in, replaced and taken out, all other text left as it stands.

The text is cut and joined where the YAML parser says that a value begins and ends, so comments, order, quotes,
indentation and line ends around it stay. What comes out is read again and compared with what was meant; a file that
is written too cleverly for that is refused, never damaged.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dockrion.errors import DockrionError, ValidationError
from dockrion.spec.document import read_document
from dockrion.spec.fields import is_list, is_mapping
from dockrion.spec.load import read_dockfile, read_mapping, text_of_dockfile
from dockrion.spec.problems import Source

# A node of `ruamel.yaml.nodes`, whose attributes are not typed.
Node = Any
_STEP: Final = "  "


class DockfileText:
    """The text of one Dockfile, a YAML mapping; raises `ValidationError` when it is none.

    Each change either succeeds or raises and changes nothing.
    """

    def __init__(self, text: str, *, name: str = "Dockfile.yaml") -> None:
        self._bom = "\ufeff" if text.startswith("\ufeff") else ""
        self._name = name
        self._set(text.removeprefix("\ufeff"))

    @classmethod
    def read(cls, path: Path) -> DockfileText:
        """Read the file as it stands, down to its line ends."""
        return cls(text_of_dockfile(path, exactly=True), name=path.name)

    def __str__(self) -> str:
        return self._bom + self._text

    def has(self, section: str) -> bool:
        return self._data.get(section) is not None

    def secret_names(self) -> list[str]:
        """Return the names of the secrets that are listed, required or not."""
        section: Any = self._data.get("secrets")
        lists = (
            [section.get(key) for key in ("required", "optional")] if is_mapping(section) else []
        )
        items: list[Any] = [item for listed in lists if is_list(listed) for item in listed]
        return [item["name"] for item in items if is_mapping(item) and "name" in item]

    def put(self, section: str, block: str) -> None:
        """Make `block`, which is `<section>: ...` in block style, the file's section of that name."""
        value = read_document(block).data[section]
        meant = {**self._data, section: value}
        entry = self._entry(self._root, section)
        if self._root.flow_style:
            text = self._put_in_flow(entry, section, value)
        elif entry is None:
            text = self._at_end(self._as_written_here(block))
        else:
            start, end = self._lines_of(entry)
            text = self._text[:start] + self._as_written_here(block) + self._text[end:]
        self._change(text, meant)

    def remove(self, section: str) -> None:
        entry = self._entry(self._root, section)
        if entry is None:
            return
        meant = {key: value for key, value in self._data.items() if key != section}
        start, end = self._span_in_flow(entry) if self._root.flow_style else self._lines_of(entry)
        before, after = self._text[:start], self._text[end:]
        # The blank line in front of the section goes with it.
        blank = self._newline * 2
        if before.endswith(blank) and (after == "" or after.startswith(self._newline)):
            before = before.removesuffix(self._newline)
        self._change(before + after, meant)

    def add_secrets(self, key: str, names: Sequence[str]) -> None:
        """Add names to the list `secrets.<key>` of a section that is there."""
        section = self._data["secrets"]
        items = [{"name": name} for name in names]
        known: Any = section.get(key) if is_mapping(section) else None
        if not is_mapping(section) or not (known is None or is_list(known)):
            raise ValidationError(f"{self._name}: secrets.{key} must be a list")
        meant = {**self._data, "secrets": {**section, key: [*(known or ()), *items]}}
        entry = self._entry(self._root, "secrets")
        assert entry is not None, "it is in the data"
        self._change(self._with_items(entry, key, items, is_known=bool(known)), meant)

    def _set(self, text: str) -> None:
        self._data: dict[str, Any] = read_mapping(text, Source(name=self._name)).data
        yaml: Any = importlib.import_module("ruamel.yaml")
        self._root: Node = yaml.YAML(typ="safe", pure=True).compose(text)
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def _change(self, text: str, meant: dict[str, Any]) -> None:
        found = read_document(text)
        # As text, for the order of keys counts.
        if found.problems or repr(found.data) != repr(meant):
            raise self._too_clever()
        self._set(text)

    def _too_clever(self) -> DockrionError:
        error = DockrionError(f"{self._name} cannot be changed without changing more of it")
        error.add_note(
            "anchors, aliases or keys written with ? stand in the way: edit it by hand; nothing was changed"
        )
        return error

    def _entry(self, mapping: Node, key: str) -> tuple[Node, Node] | None:
        return next((entry for entry in mapping.value if entry[0].value == key), None)

    # Block style: whole lines

    def _as_written_here(self, block: str) -> str:
        column = " " * (self._root.value[0][0].start_mark.column if self._root.value else 0)
        lines = block.rstrip("\n").split("\n")
        return "".join(f"{column}{line}".rstrip() + self._newline for line in lines)

    def _at_end(self, block: str) -> str:
        end = len(self._text)
        lines = self._text.splitlines(keepends=True)
        for line in reversed(lines):
            if line.strip() == "...":
                end -= len(line)
                break
            if line.strip():
                break
            end -= len(line)
        else:
            end = len(self._text)
        if not self._text[end:].strip():
            end = len(self._text)
        head = self._text[:end]
        if head and not head.endswith("\n"):
            head += self._newline
        if head and not head.endswith(self._newline * 2):
            head += self._newline
        return head + block + self._text[end:]

    def _lines_of(self, entry: tuple[Node, Node]) -> tuple[int, int]:
        """Return from where to where the lines of a section are, with the comments that are indented below it."""
        key = entry[0]
        start = self._line_start(key)
        column = key.start_mark.column
        later = [
            self._line_start(other)
            for other, _ in self._root.value
            if other.start_mark.index > key.start_mark.index
        ]
        end = min(later, default=len(self._text))
        return start, start + _length(self._text[start:end].splitlines(keepends=True), column)

    def _line_start(self, node: Node) -> int:
        start: int = node.start_mark.index - node.start_mark.column
        if self._text[start : node.start_mark.index].strip():
            raise self._too_clever()
        return start

    # Flow style: between brackets

    def _put_in_flow(self, entry: tuple[Node, Node] | None, section: str, value: Any) -> str:
        if entry is not None:
            start, end = self._place_of(entry)
            return self._text[:start] + self._as_json(value) + self._text[end:]
        return self._into_flow(self._root, f"{json.dumps(section)}: {self._as_json(value)}")

    def _as_json(self, value: Any) -> str:
        """Return JSON that is indented as the mapping of the file is, when that is on many lines."""
        if self._root.start_mark.line == self._root.end_mark.line or not self._root.value:
            return json.dumps(value, ensure_ascii=False)
        column = " " * self._root.value[0][0].start_mark.column
        text = json.dumps(value, ensure_ascii=False, indent=len(column) or 2)
        return text.replace("\n", self._newline + column)

    def _into_flow(self, node: Node, item: str) -> str:
        """Return the text with one more item at the end of a list or mapping in brackets."""
        close: int = node.end_mark.index - 1
        if not node.value:
            return self._text[:close] + item + self._text[close:]
        last = node.value[-1][1] if isinstance(node.value[-1], tuple) else node.value[-1]
        first = node.value[0][0] if isinstance(node.value[0], tuple) else node.value[0]
        end: int = last.end_mark.index
        if not node.start_mark.index < end <= close:  # an alias, whose node is elsewhere
            raise self._too_clever()
        separator = ", "
        if first.start_mark.line != node.start_mark.line:
            separator = f",{self._newline}{' ' * first.start_mark.column}"
        if self._text[end:close].lstrip().startswith(","):
            end = self._text.index(",", end)
            return self._text[:end] + separator + item + self._text[end:]
        return self._text[:end] + separator + item + self._text[end:]

    def _span_in_flow(self, entry: tuple[Node, Node]) -> tuple[int, int]:
        """Return from where to where an entry is, with the one comma that goes with it."""
        _, end = self._place_of(entry)
        start: int = entry[0].start_mark.index
        rest = self._text[end:]
        if rest.lstrip().startswith(","):
            end += rest.index(",") + 1
            return start, end + len(self._text[end:]) - len(self._text[end:].lstrip())
        before = self._text[:start].rstrip()
        return len(before) - before.endswith(","), end

    def _place_of(self, entry: tuple[Node, Node]) -> tuple[int, int]:
        key, value = entry
        if value.start_mark.index < key.end_mark.index:  # an alias
            raise self._too_clever()
        return value.start_mark.index, value.end_mark.index

    # Lists of secrets, in either style

    def _with_items(
        self, entry: tuple[Node, Node], key: str, items: list[dict[str, str]], *, is_known: bool
    ) -> str:
        section = entry[1]
        self._place_of(entry)
        quoted = entry[0].style == '"'
        listed = self._entry(section, key)
        if listed is None:
            return self._with_list(section, key, items, quoted=quoted)
        name, value = listed
        start, end = self._place_of(listed)
        if not is_known and not self._text[start:end] and not section.flow_style:
            column = " " * name.start_mark.column + _STEP
            return self._after(name, self._block(items, column))
        if not is_known:
            return self._text[:start] + f"[{_flow(items, quoted)}]" + self._text[end:]
        if value.flow_style:
            return self._into_flow(value, _flow(items, quoted))
        return self._after(value, self._block(items, self._dash_of(value)))

    def _with_list(
        self, section: Node, key: str, items: list[dict[str, str]], *, quoted: bool
    ) -> str:
        if section.flow_style:
            name = json.dumps(key) if quoted else key
            return self._into_flow(section, f"{name}: [{_flow(items, quoted)}]")
        column = " " * section.value[0][0].start_mark.column
        return self._after(
            section, f"{column}{key}:{self._newline}" + self._block(items, column + _STEP)
        )

    def _block(self, items: list[dict[str, str]], column: str) -> str:
        return "".join(f"{column}- name: {item['name']}{self._newline}" for item in items)

    def _dash_of(self, listed: Node) -> str:
        """Return the white space in front of the dashes of a list."""
        # A list that is indented no deeper than its key begins, for the parser, behind its first dash.
        dash = self._text.rfind("-", 0, listed.start_mark.index + 1)
        return " " * (dash - self._text.rfind("\n", 0, dash) - 1)

    def _after(self, node: Node, block: str) -> str:
        """Return the text with lines put behind the last line of a node in block style."""
        end = len(self._text[: _end_of(node)].rstrip())
        newline = self._text.find("\n", end)
        if newline < 0:
            return self._text + self._newline + block
        return self._text[: newline + 1] + block + self._text[newline + 1 :]


def problems_of(path: Path, text: str) -> list[str]:
    """Return what would be wrong with a Dockfile of that text, without the places, which changes move."""
    try:
        read_dockfile(path, text=text)
    except ValidationError as exc:
        details: Any = exc.details
        if not details:
            return [exc.message]
        return [": ".join(filter(None, (one["path"], one["message"]))) for one in details]
    return []


def _length(lines: list[str], column: int) -> int:
    """Return how many characters of these lines are a section whose key is in that column.

    Of the blank lines and comments at their end, those go with it that lead to a comment which is indented deeper.
    """
    kept = len(lines)
    while kept > 1 and lines[kept - 1].lstrip()[:1] in ("", "#"):
        kept -= 1
    if kept > 1 and lines[kept - 1].startswith("..."):
        kept -= 1
    for number in range(kept, len(lines)):
        text = lines[number].lstrip()
        if text and len(lines[number]) - len(text) <= column:
            break
        if text:
            kept = number + 1
    return sum(map(len, lines[:kept]))


def _end_of(node: Node) -> int:
    """Return where the last text of a node ends; the parser's own mark is at what comes next."""
    content: Any = node.value
    below: list[Any] = [] if isinstance(content, str) or node.flow_style else content
    is_mapping_node = bool(below) and isinstance(below[0], tuple)
    parts: list[Node] = [part for entry in below for part in entry] if is_mapping_node else below
    # The node of an alias is where its anchor is.
    ends = [_end_of(part) for part in parts if part.start_mark.index >= node.start_mark.index]
    return max(ends, default=node.end_mark.index)


def _flow(items: list[dict[str, str]], quoted: bool) -> str:
    """Return items as they stand between brackets; their names need no quotes."""
    if quoted:
        return ", ".join(json.dumps(item) for item in items)
    return ", ".join(f"{{name: {item['name']}}}" for item in items)
