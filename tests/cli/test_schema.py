"""`dockrion schema`: the Dockfile's JSON Schema on standard output, or in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from dockrion import generate_json_schema

from .conftest import Result

Call = Callable[..., Result]


def test_it_prints_the_schema_alone(call: Call) -> None:
    result = call("schema")

    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == generate_json_schema()


def test_it_writes_the_same_into_a_file(call: Call, tmp_path: Path) -> None:
    result = call("schema", "-o", tmp_path / "dockfile.schema.json")

    assert (result.code, result.out) == (0, "")
    assert (tmp_path / "dockfile.schema.json").read_text() == call("schema").out


def test_a_file_that_cannot_be_written_is_1(call: Call, tmp_path: Path) -> None:
    result = call("schema", "-o", tmp_path / "nowhere" / "schema.json")

    assert result.code == 1
    assert "cannot be written: No such file or directory" in result.err
