"""Where a test and the module that it loads meet."""

from __future__ import annotations

import threading

started = threading.Event()
go_on = threading.Event()
