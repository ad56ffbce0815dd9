"""News between a server process and its supervisor: an error arrives as what it was."""

from __future__ import annotations

import msgspec
import pytest

from dockrion.errors import (
    AdapterLoadError,
    BuildConflictError,
    DockrionError,
    MissingSecretError,
    ModuleMissingError,
)
from dockrion.runtime.supervisor.link import Failed, Ready, error_of, news_of, parse_news


class ForeignLoadError(AdapterLoadError):
    """Of a package that the supervisor has not imported."""


@pytest.mark.parametrize(
    ("error", "arrives_as"),
    [
        (DockrionError("no"), DockrionError),
        (ModuleMissingError("no module 'servce'"), ModuleMissingError),
        (MissingSecretError(["A", "B"]), MissingSecretError),
        (BuildConflictError("no", conflicts=["a"]), BuildConflictError),
        (ForeignLoadError("line\nline"), AdapterLoadError),
    ],
)
def test_an_error_keeps_class_message_and_notes(
    error: DockrionError, arrives_as: type[DockrionError]
) -> None:
    error.add_note("try again")

    line = msgspec.json.encode(news_of(error))
    news = parse_news(line)

    assert b"\n" not in line
    assert isinstance(news, Failed)
    arrived = error_of(news)
    assert type(arrived) is arrives_as
    assert (arrived.message, arrived.__notes__) == (error.message, ["try again"])


def test_ready_arrives() -> None:
    assert parse_news(msgspec.json.encode(Ready())) == Ready()
