"""The files of the playground in the package are those that its sources make, and small."""

from __future__ import annotations

import gzip
from pathlib import Path

from .typescript import WEB, need_web, run

BUILT = Path(__file__).parents[2] / "src" / "dockrion" / "runtime" / "static" / "playground"
MAX_COMPRESSED_BYTES = 100_000


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_building_the_sources_gives_the_files_of_the_package(tmp_path: Path) -> None:
    need_web()
    playground = WEB / "playground"
    run(WEB / "node_modules/.bin/tsc", "-p", playground, cwd=WEB)
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
