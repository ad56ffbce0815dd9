"""`python -m dockrion.cli`, for where the installed command is not on the path."""

from __future__ import annotations

import sys

from dockrion.cli import main

sys.exit(main())
