"""Finding an agent: `module.path:name` to the object, and errors that say what is near."""

from __future__ import annotations

import asyncio
import difflib
import importlib
import logging
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from dockrion.errors import AdapterLoadError, CallableMissingError, ModuleMissingError

logger = logging.getLogger(__name__)


def import_object(target: str, *, field: str, folder: Path) -> Any:
    """Import `module.path:name`; `folder`, the Dockfile's, is on `sys.path` already.

    Raises `ModuleMissingError` or `CallableMissingError` with the nearest name; an exception that the module
    itself raises comes back as `AdapterLoadError` with its class and message, chained.
    """
    module_name, _, name = target.partition(":")
    importlib.invalidate_caches()
    module = _import_module(module_name, field=field, folder=folder)
    try:
        return getattr(module, name)
    except AttributeError:
        near = _near(name, [key for key in dir(module) if not key.startswith("_")])
        raise CallableMissingError(
            f"{field}: module {module_name!r} has no {name!r}{near}"
        ) from None


def _import_module(module_name: str, *, field: str, folder: Path) -> Any:
    _check_not_hidden(module_name, field=field, folder=folder)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        missing = exc.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            near = _near(missing.rpartition(".")[2], _modules_in(folder, missing))
            raise ModuleMissingError(
                f"{field}: no module {missing!r} in the Dockfile's folder or among the installed packages{near}"
            ) from None
        raise AdapterLoadError(
            f"{field}: module {module_name!r} needs {missing!r}, which is not installed; pip install it, or fix the import"
        ) from exc
    except SystemExit as exc:
        raise AdapterLoadError(
            f"{field}: module {module_name!r} called sys.exit({exc.code!r}) when it was imported"
        ) from exc
    except BaseException as exc:  # in a thread, where nobody else interrupts or cancels
        raise _raised(f"{field}: module {module_name!r} failed to import", exc) from exc


def _check_not_hidden(module_name: str, *, field: str, folder: Path) -> None:
    """Refuse a module of the folder whose name belongs to another one in this process: that one would be run."""
    top = module_name.partition(".")[0]
    here = PathFinder.find_spec(top, [str(folder)])
    loaded = sys.modules.get(top)
    if here is None or loaded is None or _places(here) & _places(loaded.__spec__):
        return
    owner = getattr(loaded, "__file__", None) or "Python itself"
    raise AdapterLoadError(
        f"{field}: the module {top!r} of the Dockfile's folder cannot be reached, since another module of that name "
        f"is loaded already (from {owner}); rename yours, or serve it in a process of its own"
    )


def _places(spec: ModuleSpec | None) -> set[str]:
    if spec is None:
        return set()
    found = set(spec.submodule_search_locations or ())
    if spec.origin is not None:
        found.add(spec.origin)
    return {os.path.realpath(place) for place in found}


def _raised(what: str, exc: BaseException) -> AdapterLoadError:
    place = ""
    if isinstance(exc, SyntaxError) and exc.filename:
        place = f" ({Path(exc.filename).name}, line {exc.lineno})"
        return AdapterLoadError(f"{what}: {type(exc).__name__}: {exc.msg}{place}")
    text = str(exc)
    return AdapterLoadError(f"{what}: {type(exc).__name__}{f': {text}' if text else ''}")


def load_failure(what: str, exc: BaseException) -> AdapterLoadError:
    """Return the error for a factory or an adapter's `load` that raised `exc`."""
    return exc if isinstance(exc, AdapterLoadError) else _raised(what, exc)


def comes_from_outside(exc: BaseException) -> bool:
    """Whether the task that loads is cancelled or thrown away, so that the agent's code did not raise `exc` itself."""
    match exc:
        case asyncio.CancelledError():
            task = asyncio.current_task()
            return task is None or task.cancelling() > 0
        case GeneratorExit():
            return asyncio._get_running_loop() is None  # pyright: ignore[reportPrivateUsage]
        case _:
            return False


def _modules_in(folder: Path, missing: str) -> list[str]:
    inside = folder.joinpath(*missing.split(".")[:-1])
    try:
        entries = list(inside.iterdir())
    except OSError:
        return []
    return [
        entry.stem
        for entry in entries
        if entry.suffix == ".py" or (entry.is_dir() and entry.name.isidentifier())
    ]


def _near(name: str, candidates: list[str]) -> str:
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
