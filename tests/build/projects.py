"""Projects to build images from: files in a folder, and the Dockfile among them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from dockerfile_parse import DockerfileParser

from dockrion.build.image import Plan, plan_image
from dockrion.spec import read_dockfile

HANDLER = "def answer(payload): return {'answer': 'yes'}\n"


def project(
    folder: Path,
    files: Mapping[str, str | bytes],
    *,
    handler: str = "service:answer",
    name: str = "Dockfile.yaml",
    **sections: Any,
) -> Path:
    """Write the files, and a Dockfile that names the handler; return the Dockfile's path."""
    for place, content in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    dockfile = folder / name
    dockfile.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "version": "1.0",
        "agent": {"name": "packed", "handler": handler},
        "io_schema": {},
        "expose": {},
        **sections,
    }
    dockfile.write_text(json.dumps(content, indent=2))
    return dockfile


def plan(dockfile: Path, **options: Any) -> Plan:
    return plan_image(dockfile, read_dockfile(dockfile), **options)


def held(dockfile: Path, **options: Any) -> set[str]:
    """Return the places of all files that the image holds, the Dockfile's left out."""
    return set(plan(dockfile, **options).contents.files) - {dockfile.name}


def parsed(text: str) -> DockerfileParser:
    return DockerfileParser(fileobj=BytesIO(text.encode()))  # pyright: ignore[reportArgumentType]
