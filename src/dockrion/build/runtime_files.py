"""`.dockrion_runtime/`: the app as a module for any ASGI server, and what it needs installed.

Nothing in these files comes out of a variable, so no secret stands in them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from dockrion._files import write_whole
from dockrion.build.requirements import REQUIREMENTS, including_requirements
from dockrion.spec import DockSpec

RUNTIME_FOLDER: Final = ".dockrion_runtime"
MAIN: Final = "main.py"

_MAIN: Final = '''"""The ASGI app of this agent, for any server: uvicorn --app-dir <this folder> main:app

Written by dockrion, which overwrites it.
"""

from pathlib import Path

from dockrion import create_app
from dockrion.runtime.dockfile import load_for_agent

DOCKFILE = Path(__file__).absolute().parent / {dockfile!r}

app = create_app(load_for_agent(DOCKFILE))
'''


def write_runtime(dockfile: Path, spec: DockSpec, output_folder: Path | None = None) -> Path:
    """Write the files beside the Dockfile, or where it is said; return the folder.

    Raises `OSError`, and `BuildConflictError` where the agent's requirements cannot be met.
    """
    folder = dockfile.parent / RUNTIME_FOLDER if output_folder is None else output_folder
    write_main(dockfile, folder)
    requirements = folder / REQUIREMENTS
    # The one of an image says what is installed there, and belongs to root, or to a file system that is read-only.
    if os.access(requirements, os.W_OK) or not requirements.exists():
        included = _way(dockfile.parent / REQUIREMENTS, folder)
        write_text(requirements, including_requirements(spec, dockfile.parent, included=included))
    return folder


def write_main(dockfile: Path, folder: Path) -> None:
    """Write main.py into a folder, which is made where it is missing. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / MAIN, main_for(_way(dockfile, folder)))


def main_for(dockfile: str) -> str:
    """Return the text of main.py for a Dockfile whose path from there it is, with slashes."""
    return _MAIN.format(dockfile=dockfile)


def write_text(path: Path, text: str) -> None:
    # A file that stays as it is keeps its time.
    with suppress(FileNotFoundError):
        if path.read_bytes() == text.encode():
            return
    write_whole(path, text)


def _way(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()
