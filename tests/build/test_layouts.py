"""Imports are found in every layout of a project: what the agent needs is in its image, and nothing else of the project."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from .projects import HANDLER, held, plan, project

ELSEWHERE = {
    "unused.py": "import other\n",
    "other.py": "",
    "notes/todo.md": "",
    "tests/test_it.py": "",
}


class Layout(NamedTuple):
    """`needed` come into the image because of imports, beside the agent's own package or module."""

    files: dict[str, str]
    needed: set[str]
    handler: str = "service:answer"
    own: frozenset[str] = frozenset({"service.py"})


LAYOUTS = {
    "a single module beside the agent": Layout(
        {"service.py": f"import prices\n{HANDLER}", "prices.py": ""}, {"prices.py"}
    ),
    "modules that import each other in a circle": Layout(
        {
            "service.py": f"import first\n{HANDLER}",
            "first.py": "import second",
            "second.py": "import first, service",
        },
        {"first.py", "second.py"},
    ),
    "a package with data next to its code": Layout(
        {
            "service.py": f"from prompts.store import load\n{HANDLER}",
            "prompts/__init__.py": "",
            "prompts/store.py": "",
            "prompts/system.txt": "Be kind.",
            "prompts/few/shots.json": "[]",
        },
        {"prompts/__init__.py", "prompts/store.py", "prompts/system.txt", "prompts/few/shots.json"},
    ),
    "a src folder without __init__.py": Layout(
        {
            "src/bot/__init__.py": "",
            "src/bot/service.py": f"from src.shared.text import clean\nfrom lib import x\n{HANDLER}",
            "src/shared/__init__.py": "",
            "src/shared/text.py": "from . import words",
            "src/shared/words.py": "",
            "lib.py": "",
        },
        {"lib.py"},
        handler="src.bot.service:answer",
        own=frozenset(
            {
                "src/bot/__init__.py",
                "src/bot/service.py",
                "src/shared/__init__.py",
                "src/shared/text.py",
                "src/shared/words.py",
            }
        ),
    ),
    "namespace packages": Layout(
        {
            "service.py": f"import acme.search.index\n{HANDLER}",
            "acme/search/index.py": "from acme.text import fold",
            "acme/search/stop.txt": "",
            "acme/text/__init__.py": "",
            "acme/text/data.bin": "",
            "acme/billing/__init__.py": "",
            "acme/billing/keys.py": "",
        },
        {
            "acme/search/index.py",
            "acme/search/stop.txt",
            "acme/text/__init__.py",
            "acme/text/data.bin",
        },
    ),
    "relative imports, up and down": Layout(
        {
            "bot/__init__.py": "",
            "bot/api/__init__.py": "from .service import answer",
            "bot/api/service.py": f"from ..core import model\nfrom ...outside import x\n{HANDLER}",
            "bot/core/__init__.py": "from .model import *",
            "bot/core/model.py": "import tables",
            "tables.py": "",
            "core.py": "the wrong one",
            "outside.py": "not reached: a package cannot be left",
        },
        {"tables.py"},
        handler="bot.api.service:answer",
        own=frozenset(
            {
                "bot/__init__.py",
                "bot/api/__init__.py",
                "bot/api/service.py",
                "bot/core/__init__.py",
                "bot/core/model.py",
            }
        ),
    ),
    "importlib with a name as text": Layout(
        {
            "service.py": (
                "import importlib\nfrom importlib import import_module as load\n"
                "a = importlib.import_module('late')\nb = load(name='later')\n"
                f"c = __import__('latest', globals())\n{HANDLER}"
            ),
            "late.py": "",
            "later.py": "",
            "latest.py": "",
        },
        {"late.py", "later.py", "latest.py"},
    ),
    "importlib with a relative name": Layout(
        {
            "service.py": f"import kit\n{HANDLER}",
            "kit/__init__.py": (
                "from importlib import import_module\n"
                "import_module('.parts', __package__)\nimport_module('.more', package='gear')\n"
            ),
            "kit/parts.py": "import bolts",
            "gear/__init__.py": "",
            "gear/more.py": "",
            "bolts.py": "",
        },
        {"kit/__init__.py", "kit/parts.py", "gear/__init__.py", "gear/more.py", "bolts.py"},
    ),
    "importlib with a name that begins with a package": Layout(
        {
            "service.py": (
                "from importlib import import_module\n"
                f"def load(name): return import_module(f'plugins.{{name}}')\n{HANDLER}"
            ),
            "plugins/mail.py": "import smtp_settings",
            "plugins/chat/__init__.py": "",
            "smtp_settings.py": "",
        },
        {"plugins/mail.py", "plugins/chat/__init__.py", "smtp_settings.py"},
    ),
    "conditional imports": Layout(
        {
            "service.py": (
                "import sys\nfrom typing import TYPE_CHECKING\n"
                "try:\n    import fast\nexcept ImportError:\n    import slow\n"
                "if sys.platform == 'win32':\n    import windows\nelse:\n    import posix_paths\n"
                "match sys.platform:\n    case 'linux':\n        import matched\n"
                "with open(__file__) as f:\n    import inside_with\n"
                f"if TYPE_CHECKING:\n    from only_types import T\n{HANDLER}"
            ),
            **dict.fromkeys(
                (
                    "fast.py",
                    "slow.py",
                    "windows.py",
                    "posix_paths.py",
                    "matched.py",
                    "inside_with.py",
                    "only_types.py",
                ),
                "",
            ),
        },
        {"fast.py", "slow.py", "windows.py", "posix_paths.py", "matched.py", "inside_with.py"},
    ),
    "imports inside of functions and classes": Layout(
        {
            "service.py": (
                "class Agent:\n    from in_class import x\n    async def go(self):\n"
                "        for _ in ():\n            import in_loop\n"
                "def answer(payload):\n    import in_function\n"
            ),
            "in_class.py": "",
            "in_loop.py": "",
            "in_function.py": "",
        },
        {"in_class.py", "in_loop.py", "in_function.py"},
    ),
    "files with the names of installed packages and of the standard library": Layout(
        {
            "service.py": f"import click, statistics, redis, email\n{HANDLER}",
            "click.py": "the folder's own comes first",
            "statistics.py": "",
            # No package: what is installed, or Python's own, comes before a folder without `__init__.py`.
            "redis/dump.py": "",
            "email/mail.py": "",
            "json.py": "nobody imports it",
        },
        {"click.py", "statistics.py"},
    ),
    "a package and a module of one name": Layout(
        {
            "service.py": f"import tools\nfrom helpers import x\n{HANDLER}",
            "tools/__init__.py": "",
            "tools.py": "a package comes before a module",
            "helpers.py": "",
            "helpers/notes.txt": "a module comes before a folder",
        },
        {"tools/__init__.py", "helpers.py"},
    ),
    "syntax errors, in a file that is needed and in one that is not": Layout(
        {
            "service.py": f"import broken\n{HANDLER}",
            "broken.py": "def (:\nimport never_found",
            "unrelated.py": "def (:",
            "never_found.py": "",
        },
        {"broken.py"},
    ),
    "stubs and extension modules": Layout(
        {
            "service.py": f"import fast, typed.core, only_stub\n{HANDLER}",
            "fast.cpython-312-x86_64-linux-gnu.so": "",
            "fast.pyi": "",
            "typed/__init__.py": "",
            "typed/core.py": "",
            "typed/core.pyi": "",
            "typed/py.typed": "",
            "only_stub.pyi": "",
        },
        {
            "fast.cpython-312-x86_64-linux-gnu.so",
            "typed/__init__.py",
            "typed/core.py",
            "typed/core.pyi",
            "typed/py.typed",
        },
    ),
    "a package with a __main__": Layout(
        {
            "service.py": f"import tool.__main__\n{HANDLER}",
            "tool/__init__.py": "",
            "tool/__main__.py": "import settings",
            "settings.py": "",
        },
        {"tool/__init__.py", "tool/__main__.py", "settings.py"},
    ),
    "packages that are read as data": Layout(
        {
            "service.py": (
                "import pkgutil\nfrom importlib import resources\nfrom importlib.resources import files\n"
                "a = resources.files('prompts')\nb = files('models.small')\n"
                f"c = pkgutil.get_data('tables', 'x.csv')\n{HANDLER}"
            ),
            "prompts/system.txt": "",
            "models/__init__.py": "",
            "models/small/weights.bin": "",
            "tables/x.csv": "",
        },
        {"prompts/system.txt", "models/__init__.py", "models/small/weights.bin", "tables/x.csv"},
    ),
    "names that a star import asks for": Layout(
        {
            "service.py": f"from shapes import *\n{HANDLER}",
            "shapes/__init__.py": "__all__ = ['square']",
            "shapes/square.py": "import geometry",
            "geometry.py": "",
        },
        {"shapes/__init__.py", "shapes/square.py", "geometry.py"},
    ),
    "another encoding, and escapes that Python warns of": Layout(
        {
            "service.py": f"import latin, escapes\n{HANDLER}",
            "latin.py": "# coding: latin-1\nname = '\xe9'\nimport found",
            "escapes.py": "path = '\\d'\nimport found_too",
            "found.py": "",
            "found_too.py": "",
        },
        {"latin.py", "escapes.py", "found.py", "found_too.py"},
    ),
}


def write(folder: Path, layout: Layout, *, detect: bool) -> Path:
    files = {
        place: content.encode("latin-1" if "latin-1" in content else "utf-8")
        for place, content in layout.files.items()
    }
    return project(
        folder,
        {**ELSEWHERE, **files},
        handler=layout.handler,
        build={"auto_detect_imports": detect},
    )


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_image_holds_what_the_agent_imports_and_nothing_else(
    tmp_path: Path, layout: Layout
) -> None:
    assert held(write(tmp_path, layout, detect=True)) == layout.own | layout.needed


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_without_detection_there_is_a_warning_of_each_import_that_is_missing(
    tmp_path: Path, layout: Layout
) -> None:
    planned = plan(write(tmp_path, layout, detect=False))

    assert set(planned.contents.files) == layout.own | {"Dockfile.yaml"}
    told = "\n".join(planned.contents.warnings)
    for place in layout.needed:
        assert any(f" imports {unit}," in told for unit in units(place))


def units(place: str) -> list[str]:
    """Return a file's path and the folders on its way."""
    parts = place.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def test_a_source_that_cannot_be_read_is_told_with_its_line(tmp_path: Path) -> None:
    layout = LAYOUTS["syntax errors, in a file that is needed and in one that is not"]

    planned = plan(write(tmp_path, layout, detect=True))

    assert planned.contents.warnings == [
        "broken.py is no Python that could be read (line 1): what it imports is not looked for"
    ]


def test_imports_that_lead_to_excluded_files_are_left_out_without_a_word(tmp_path: Path) -> None:
    dockfile = project(
        tmp_path,
        {"service.py": f"import heavy, light\n{HANDLER}", "heavy.py": "", "light.py": ""},
        build={"auto_detect_imports": True, "exclude": ["heavy.py"]},
    )

    planned = plan(dockfile)

    assert set(planned.contents.files) == {"Dockfile.yaml", "light.py", "service.py"}
    assert planned.contents.warnings == []


def test_the_imports_of_every_module_that_the_dockfile_names_are_followed(tmp_path: Path) -> None:
    dockfile = project(
        tmp_path,
        {
            "service.py": HANDLER,
            "graphs/__init__.py": "from shared import x\ngraph = None",
            "ids.py": "import clock\ndef new(): return 'x'",
            "judge.py": "import words\ndef bad(text): return False",
            "shared.py": "",
            "clock.py": "",
            "words.py": "",
        },
        agent={"name": "packed", "handler": "service:answer", "entrypoint": "graphs:graph"},
        streaming={"id_generator": {"type": "custom", "handler": "ids:new"}},
        policies={"safety": {"classifier": "judge:bad"}},
        build={"auto_detect_imports": True},
    )

    assert held(dockfile) == {
        "service.py",
        "graphs/__init__.py",
        "ids.py",
        "judge.py",
        "shared.py",
        "clock.py",
        "words.py",
    }
