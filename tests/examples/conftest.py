"""The folder of the assistant on the path, where `dockrion run` puts it."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parents[2] / "examples" / "docs-assistant")

if FOLDER not in sys.path:
    sys.path.append(FOLDER)
