"""Builds the TypeScript client as its users would have it, and runs programs that use it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.missing import not_tested

WEB = Path(__file__).parents[2] / "web"
CLIENT = WEB / "client"
TSC = WEB / "node_modules" / ".bin" / "tsc"
TIMEOUT_SECONDS = 110.0
# What a program of a user is checked with.
_OPTIONS = {
    "target": "ES2022",
    "module": "NodeNext",
    "lib": ["ES2022", "DOM"],
    "types": [],
    "strict": True,
    "noUnusedLocals": True,
}


def need_web() -> None:
    """Skip the test where the tools of `web/` are missing."""
    if shutil.which("node") is None or not TSC.exists():
        not_tested("Node.js or the npm packages of web are not installed")


def install_client(folder: Path) -> Path:
    """Make `folder` a project that has the client among its packages."""
    need_web()
    package = folder / "node_modules" / "dockrion-client"
    package.mkdir(parents=True)
    shutil.copy(CLIENT / "package.json", package)
    run(TSC, "-p", CLIENT, "--outDir", package / "dist", cwd=folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def compile_programs(project: Path) -> None:
    """Check the TypeScript files of a project, and write JavaScript beside each."""
    config = {"compilerOptions": _OPTIONS, "include": ["*.ts"]}
    (project / "tsconfig.json").write_text(json.dumps(config))
    run(TSC, "-p", project, cwd=project)


def run(*command: str | Path, cwd: Path) -> str:
    """Return all that the program prints; one that fails fails the test."""
    done = subprocess.run(
        list(command),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
