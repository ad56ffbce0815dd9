"""The files of a new project, as they are to be written: the Dockfile, and beside it what is missing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from typing import Final

from dockrion.errors import DockrionError
from dockrion.scaffold.dockfile import OBJECTS, Choices, dockfile_text
from dockrion.scaffold.writing import NewFile

# What `pip install dockrion[<framework>]` brings, as pyproject.toml says.
REQUIREMENTS: Final = {"langgraph": "langgraph>=1.0", "langchain": "langchain-core>=1.0"}
_AGENTS: Final = Path(__file__).parent / "agents"
_SOURCES: Final = {"langgraph": "graph.py", "langchain": "chain.py", "custom": "handler.py"}


def agent_is_ours(folder: Path, choices: Choices, *, or_installed: bool) -> bool:
    """Whether the agent of a Dockfile in `folder` is one of ours, there or to be written.

    It is not where its module exists, there or installed, and holds something else; no module is imported.
    """
    if choices.kind == "entrypoint" and choices.framework not in OBJECTS:
        return False
    module = choices.target.partition(":")[0]
    base = folder.joinpath(*module.split("."))
    source = base.with_suffix(".py")
    if source.exists():
        return source.read_bytes() == _agent_source(choices).encode()
    if (base / "__init__.py").exists():
        return False
    top = module.partition(".")[0]
    if not or_installed or (folder / top).is_dir():
        return True
    if top in sys.stdlib_module_names:
        error = DockrionError(f"{choices.target}: {top} is a module of Python itself")
        error.add_note("name a module of your own, such as app.service:handle")
        raise error
    return find_spec(top) is None


def project_files(dockfile: Path, choices: Choices) -> list[NewFile]:
    """Return what is to be written for a Dockfile at that path; raise `DockrionError` where that cannot be."""
    folder = dockfile.parent
    beside = [
        NewFile(folder / ".env.example", _env_example(choices)),
        NewFile(folder / ".gitignore", _GITIGNORE),
        NewFile(folder / "requirements.txt", _requirements(choices)),
    ]
    if choices.is_ours:
        beside = [*_agent_files(folder, choices), *beside]
    missing = [file for file in beside if not file.path.exists()]
    return [NewFile(dockfile, dockfile_text(choices)), *missing]


def _agent_files(folder: Path, choices: Choices) -> Iterator[NewFile]:
    *packages, last = choices.target.partition(":")[0].split(".")
    for depth, package in enumerate(packages, start=1):
        place = folder.joinpath(*packages[:depth])
        if place.with_suffix(".py").exists():
            error = DockrionError(f"{choices.target}: {package} is the module {package}.py already")
            error.add_note(f"name a module beside it, or move {package}.py into a folder {package}")
            raise error
        if not place.exists():
            yield NewFile(place / "__init__.py", "")
    yield NewFile(folder.joinpath(*packages, f"{last}.py"), _agent_source(choices))


def _agent_source(choices: Choices) -> str:
    kind = "custom" if choices.kind == "handler" else choices.framework
    text = (_AGENTS / _SOURCES[kind]).read_text(encoding="utf-8")
    name = choices.target.partition(":")[2]
    if iskeyword(name):
        error = DockrionError(f"{choices.target}: {name} is a word of Python's own")
        error.add_note("name a function as you would in code, such as app.service:handle")
        raise error
    return re.sub(rf"\b{OBJECTS[kind]}\b", name, text)


def variables_of(choices: Choices) -> list[tuple[str, str]]:
    """Return the variables that a project needs or takes, each with what it is."""
    found = [(name, "required") for name in choices.secrets]
    if choices.auth == "api_key":
        found.append(("DOCKRION_API_KEY", "what callers send as X-API-Key"))
    if choices.auth == "oauth2":
        found += [
            (
                "OAUTH2_CLIENT_ID",
                "what this server proves itself with, where tokens are asked about",
            ),
            ("OAUTH2_CLIENT_SECRET", "the secret that goes with it"),
        ]
    if choices.backend == "redis":
        found.append(("REDIS_URL", "redis://localhost:6379/0 when it is empty"))
    return found


def _env_example(choices: Choices) -> str:
    lines = [
        "# Copy this to .env and fill it in. dockrion reads .env; git and images leave it out."
    ]
    for name, what in dict(variables_of(choices)).items():
        lines += ["", f"# {what}", f"{name}="]
    return "\n".join([*lines, ""])


_GITIGNORE: Final = """\
.env
.venv/
__pycache__/
.dockrion/
.dockrion_runtime/
"""


def _requirements(choices: Choices) -> str:
    head = "# What the agent imports, one package a line; dockrion itself is added for images.\n"
    line = REQUIREMENTS.get(choices.framework)
    return head if line is None or choices.kind == "handler" else f"{head}{line}\n"
