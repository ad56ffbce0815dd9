"""The Dockfile: its models, how it is loaded, what is wrong with it, and its JSON Schema."""

from __future__ import annotations

from dockrion.spec.dockspec import DockSpec
from dockrion.spec.dump import dump
from dockrion.spec.env import DEFAULT, METRICS_FOLDER, SHELL, Environment, process_setting
from dockrion.spec.frameworks import declare_framework, known_frameworks
from dockrion.spec.hiding import Hider
from dockrion.spec.jsonschema import generate_json_schema, write_json_schema
from dockrion.spec.load import (
    Dockfile,
    expand_env_vars,
    load_dockspec,
    load_environment,
    read_dockfile,
    validate_dockspec,
)

__all__ = [
    "DEFAULT",
    "METRICS_FOLDER",
    "SHELL",
    "DockSpec",
    "Dockfile",
    "Environment",
    "Hider",
    "declare_framework",
    "dump",
    "expand_env_vars",
    "generate_json_schema",
    "known_frameworks",
    "load_dockspec",
    "load_environment",
    "process_setting",
    "read_dockfile",
    "validate_dockspec",
    "write_json_schema",
]
