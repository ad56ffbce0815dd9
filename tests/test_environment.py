"""The suite says the same in every shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_what_the_shell_exports_reaches_no_test(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os\n"
        "def test_it(): assert not {'A', 'LOG_LEVEL', 'COLUMNS', 'http_proxy'} & set(os.environ)\n"
    )
    odd = {"A": "b", "LOG_LEVEL": "error", "COLUMNS": "20", "http_proxy": "http://127.0.0.1:1"}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}

    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), str(tmp_path)),
        ],
        cwd=ROOT,
        env={**plain, **odd},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout
