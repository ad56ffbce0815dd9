"""What the playground is made of: its sources give the files of the package, and its Markdown keeps its laws."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

from .typescript import WEB, need_web, run

TSC = WEB / "node_modules" / ".bin" / "tsc"

BUILT = Path(__file__).parents[2] / "src" / "dockrion" / "runtime" / "static" / "playground"
MAX_COMPRESSED_BYTES = 100_000


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_building_the_sources_gives_the_files_of_the_package(tmp_path: Path) -> None:
    need_web()
    playground = WEB / "playground"
    run(TSC, "-p", playground, cwd=WEB)
    vite = WEB / "node_modules/.bin/vite"
    config = playground / "vite.config.js"
    run(vite, "build", "--config", config, "--outDir", tmp_path / "built", cwd=WEB)
    same = contents(tmp_path / "built") == contents(BUILT)
    assert same, "web/playground has changed: npm run build in web/"


def test_the_page_is_small() -> None:
    files = contents(BUILT)
    assert set(files) == {"playground.css", "playground.js"}
    page = (BUILT.parent / "playground.html").read_bytes()
    compressed = [gzip.compress(data) for data in (*files.values(), page)]
    assert sum(map(len, compressed)) < MAX_COMPRESSED_BYTES


def test_the_markdown_of_answers_keeps_its_laws(tmp_path: Path) -> None:
    need_web()
    playground = WEB / "playground"
    run(TSC, "-p", playground, "--noEmit", "false", "--outDir", tmp_path, cwd=WEB)
    shutil.copytree(playground / "test", tmp_path / "playground" / "test")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    said = run("node", "--test", "playground/test/markdown.test.mjs", cwd=tmp_path)
    passed = re.search(r"^# pass (\d+)$", said, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= 20
