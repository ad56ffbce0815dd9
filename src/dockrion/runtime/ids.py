"""Run ids that a function of the Dockfile's makes: `streaming.id_generator`."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from dockrion.errors import DockrionError
from dockrion.runtime.requests import RUN_ID_SAYS, is_run_id, shown

logger = logging.getLogger(__name__)


class OwnIds:
    """Asks a function for the id of each run that has none from its caller. `name` is the one in the Dockfile."""

    def __init__(self, make: Callable[[], Any], *, name: str) -> None:
        self._make = make
        self._name = name

    def new(self) -> str:
        """Raise a plain `DockrionError` where what comes is no id: it is for the author, whose log has the rest."""
        try:
            made = self._make()
        except (Exception, SystemExit) as exc:
            logger.exception("id generator raised", extra={"handler": self._name})
            raise _no_id() from exc
        if isinstance(made, str) and is_run_id(made):
            return made
        if inspect.iscoroutine(made):
            made.close()
        got = shown(made) if isinstance(made, str) else type(made).__name__
        raise self.refused(f"must be {RUN_ID_SAYS}, got {got}")

    def refused(self, problem: str) -> DockrionError:
        """Log what is wrong with an id, and return what its caller hears."""
        extra = {"handler": self._name, "problem": problem}
        logger.error("id generator gave no usable id", extra=extra)
        return _no_id()


def _no_id() -> DockrionError:
    return DockrionError(
        "The run could not be given an id (streaming.id_generator); the log says why."
    )
