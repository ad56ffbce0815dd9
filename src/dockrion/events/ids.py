"""What ids of runs and of their events look like: patterns in the dialect that Python and JavaScript share, since they
stand in the OpenAPI document too.
"""

from __future__ import annotations

from typing import Final

RUN_ID: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
SEQUENCE: Final = r"[0-9]{1,18}"
EVENT_ID: Final = f"{RUN_ID}:{SEQUENCE}"
