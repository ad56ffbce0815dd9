"""What a module imports, from its syntax tree: statements wherever they stand, and names that are given as text."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["module", "data", "below"]

_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")
# Nothing of a source that has none of these can be an import that is no statement.
_DYNAMIC: Final = (b"import_module", b"__import__", b"resources", b"pkgutil")
_IMPORTERS: Final = frozenset({"import_module", "__import__"})
_OPENERS: Final = frozenset({"files", "get_data"})


@dataclass(frozen=True)
class Import:
    """`name` is what may be a module, or an attribute of one.

    `data`: its files are read; `below`: any module that it holds may be meant, as in `import_module(f"plugins.{x}")`.
    """

    name: str
    kind: Kind = "module"


class UnreadableSourceError(Exception):
    """The source is no Python that this version can read."""


def imports_of(source: bytes, *, module: str, package: str) -> list[Import]:
    """Return what a module called `module` in `package` imports; what only type checkers run is left out."""
    try:
        with warnings.catch_warnings():
            # What the compiler thinks of the source is for its author, when the agent runs.
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError) as exc:
        line = getattr(exc, "lineno", None)
        raise UnreadableSourceError(f"line {line}" if line else str(exc)) from exc
    except (RecursionError, MemoryError) as exc:
        raise UnreadableSourceError("nested too deeply") from exc
    reading = _Reading(module, package)
    reading.statements(tree.body)
    if any(word in source for word in _DYNAMIC):
        reading.calls(tree)
    return list(dict.fromkeys(reading.found))


class _Reading:
    def __init__(self, module: str, package: str) -> None:
        self._module = module
        self._package = package
        self._importers = set(_IMPORTERS)
        self._openers = set[str]()
        self.found: list[Import] = []

    def statements(self, body: list[ast.stmt]) -> None:
        # Not ast.walk(): most nodes are expressions, in which no import statement can stand.
        stack: list[ast.AST] = [*body]
        while stack:
            node = stack.pop()
            match node:
                case ast.Import():
                    self.found += [Import(alias.name) for alias in node.names]
                case ast.ImportFrom():
                    self._import_from(node)
                case ast.Assign(targets=[ast.Name(id="__all__")]):
                    self._exported(node.value)
                case ast.If() if _is_type_checking(node.test):
                    stack += node.orelse
                case _:
                    for block in _BLOCKS:
                        stack += getattr(node, block, ())

    def calls(self, tree: ast.AST) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                self._call(node)

    def _import_from(self, node: ast.ImportFrom) -> None:
        base = self._absolute(node.module or "", node.level)
        if base is None:
            return
        if base:
            self.found.append(Import(base))
        for alias in node.names:
            if base == "importlib" and alias.name == "import_module":
                self._importers.add(alias.asname or alias.name)
            elif alias.name in _OPENERS and base.endswith(("resources", "pkgutil")):
                self._openers.add(alias.asname or alias.name)
            if alias.name != "*":
                self.found.append(Import(f"{base}.{alias.name}"))

    def _exported(self, value: ast.expr) -> None:
        # `from package import *` imports the modules that are named here.
        if self._module == self._package and isinstance(value, ast.List | ast.Tuple):
            self.found += [
                Import(f"{self._module}.{name}") for name in map(_text, value.elts) if name
            ]

    def _call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Name(id=name):
                importing, opening = name in self._importers, name in self._openers
            case ast.Attribute(attr=name):
                importing, opening = name in _IMPORTERS, name in _OPENERS
            case _:
                return
        if importing:
            self._imported_by_name(node)
        elif opening:
            name = _text(_argument(node, 0, "anchor", "package"))
            if name:
                self.found.append(Import(name, "data"))

    def _imported_by_name(self, node: ast.Call) -> None:
        argument = _argument(node, 0, "name")
        name = _text(argument)
        if name is not None:
            level = len(name) - len(name.lstrip("."))
            package = self._named_package(_argument(node, 1, "package"))
            absolute = _relative(name[level:], level, package)
            if absolute:
                self.found.append(Import(absolute))
            return
        prefix = _beginning(argument)
        if prefix.endswith(".") and not prefix.startswith("."):
            self.found.append(Import(prefix.rstrip("."), "below"))

    def _named_package(self, node: ast.expr | None) -> str:
        match node:
            case ast.Constant(value=str(name)):
                return name
            case ast.Name(id="__name__"):
                return self._module
            case _:
                return self._package

    def _absolute(self, name: str, level: int) -> str | None:
        return name if level == 0 else _relative(name, level, self._package)


def _relative(name: str, level: int, package: str) -> str | None:
    """Return the absolute name; None where it would lead out of the topmost package."""
    if level == 0:
        return name
    parts = package.split(".") if package else []
    if level > len(parts):
        return None
    return ".".join([*parts[: len(parts) - level + 1], *filter(None, [name])])


def _is_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case _:
            return False


def _argument(node: ast.Call, position: int, *names: str) -> ast.expr | None:
    if len(node.args) > position:
        return node.args[position]
    return next((keyword.value for keyword in node.keywords if keyword.arg in names), None)


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _beginning(node: ast.expr | None) -> str:
    """Return the text that a computed one begins with: of f-strings, sums and `%`."""
    match node:
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return text
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Add()):
            return text
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return text.partition("%")[0]
        case _:
            return ""
