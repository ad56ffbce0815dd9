"""The `build` and `metadata` sections: what goes into the image, and whose agent it is."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated

from pydantic import Field

from dockrion.spec.fields import checked_text, flag, text
from dockrion.spec.section import Section

_OUTSIDE = "must stay inside the project: a relative path without `..`"


def _complain_of_path(entry: str) -> str | None:
    windows = PureWindowsPath(entry)
    rooted = windows.drive or windows.root or entry.startswith("~")
    return _OUTSIDE if rooted or ".." in windows.parts else None


def _complain_of_exclusion(entry: str) -> str | None:
    # A leading slash means the project's folder in a gitignore pattern, a leading `!` takes back.
    return _OUTSIDE if ".." in PurePosixPath(entry.removeprefix("!")).parts else None


Entry = Annotated[str, checked_text(_complain_of_path)]
Text = Annotated[str, text()]


class IncludeSpec(Section):
    directories: tuple[Entry, ...] = Field(
        default=(), description="Folders that go into the image."
    )
    files: tuple[Entry, ...] = Field(default=(), description="Files that go into the image.")
    patterns: tuple[Entry, ...] = Field(
        default=(), description="Globs of files that go into the image."
    )


class BuildSpec(Section):
    include: IncludeSpec = Field(
        default={}, validate_default=True, description="What the image holds beside the agent."
    )
    exclude: tuple[Annotated[str, checked_text(_complain_of_exclusion)], ...] = Field(
        default=(), description="gitignore patterns of what stays out, applied last."
    )
    auto_detect_imports: Annotated[bool, flag()] = Field(
        default=False, description="Whether imports of the agent are followed to find more files."
    )


class MetadataSpec(Section):
    maintainer: Text | None = Field(default=None, description="Who to ask.")
    version: Text | None = Field(default=None, description="Version of the agent.")
    tags: tuple[Text, ...] = Field(default=(), description="Words to find it by.")
