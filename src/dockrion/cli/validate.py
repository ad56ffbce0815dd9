"""`dockrion validate`: a Dockfile, checked without its agent, a connection or a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dockrion.cli.dockfile import dockfile_argument, find_dockfile
