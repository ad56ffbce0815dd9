"""Manifests as YAML text: what is data stays data, whatever it looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML

# The first line of what is written, by which it is known again.
WRITTEN: Final = "# Written by dockrion, which overwrites it."

# kubectl and Compose read YAML 1.1, where `on`, `1e3` and `1:30` without quotes are no text.
_VERSION: Final = "1.1"
# kubectl splits documents before it parses them, and takes no directive between them.
_DIRECTIVE: Final = f"%YAML {_VERSION}\n---\n"


def as_yaml(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the documents as the text of one file."""
    return f"{WRITTEN}\n" + "---\n".join(map(_document, documents))


def _always(_: Any) -> bool:
    return True


def _document(document: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.version = _VERSION
    yaml.width = 1 << 16
    yaml.indent(mapping=2, sequence=4, offset=2)  # pyright: ignore[reportUnknownMemberType]
    yaml.representer.ignore_aliases = _always
    stream = StringIO()
    yaml.dump(document, stream)  # pyright: ignore[reportUnknownMemberType]
    return stream.getvalue().removeprefix(_DIRECTIVE)
