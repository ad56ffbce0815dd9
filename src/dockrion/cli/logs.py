"""`dockrion logs`: what an agent that runs here has logged, line by line as it stands in the file."""

from __future__ import annotations

import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
from click.shell_completion import CompletionItem

from dockrion.cli.failures import debug_option
from dockrion.errors import DockrionError

if TYPE_CHECKING:
    from dockrion.runtime.logreading import LogReader

# As `dockrion.runtime.logfile` says, whose package takes too long to import for a completion.
_FOLDER = Path(".dockrion_runtime", "logs")
_PACE_SECONDS = 0.2


class _AgentName(click.ParamType[Any, Any]):
    name = "agent"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in _agents() if name.startswith(incomplete)]


@click.command()
@click.argument("agent", type=_AgentName())
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="How many of the last lines to print.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged, until Ctrl-C.")
@click.option("-v", "--verbose", is_flag=True, help="Say on standard error which files are read.")
@debug_option
def command(agent: str, lines: int, follow: bool, verbose: bool) -> None:
    """Print what an agent has logged, from `dockrion run` in this folder.

    The lines are those of .dockrion_runtime/logs/<agent>.log and, where those are too few, of the older files beside it.
    """
    if agent not in _agents():
        raise _unknown(agent)
    from dockrion.runtime.logreading import LogReader

    out = sys.stdout.buffer
    reader = LogReader(_FOLDER / f"{agent}.log")
    try:
        out.writelines(reader.last(lines))
        out.flush()
        if verbose:
            for path in reader.read:
                click.echo(f"read {path}", err=True)
        if follow:
            _follow(reader, out)
    except KeyboardInterrupt:
        if not follow:
            raise
    except BrokenPipeError:
        raise  # whoever reads has enough
    except OSError as exc:
        error = DockrionError(f"{exc.filename or _FOLDER} cannot be read: {exc.strerror}")
        error.add_note("log files belong to whoever ran the agent")
        raise error from exc
    finally:
        reader.close()


def _follow(reader: LogReader, out: BinaryIO) -> None:
    waiter = _Waiter()
    while not waiter.reader_is_gone(_PACE_SECONDS):
        out.writelines(reader.more())
        out.flush()


class _Waiter:
    """Waits, and sees when nobody reads standard output any more, though nothing is written."""

    def __init__(self) -> None:
        self._poll: Any = None
        # Not on Windows, and not where standard output is no file.
        with suppress(AttributeError, OSError, ValueError):
            poll = select.poll()
            poll.register(sys.stdout.fileno(), 0)
            self._poll = poll

    def reader_is_gone(self, seconds: float) -> bool:
        if self._poll is None:
            time.sleep(seconds)
            return False
        return bool(self._poll.poll(seconds * 1000))


def _agents() -> list[str]:
    with suppress(OSError):
        return sorted(path.name.removesuffix(".log") for path in _FOLDER.glob("*.log"))
    return []


def _unknown(agent: str) -> DockrionError:
    known = _agents()
    if known:
        error = DockrionError(f"no agent {agent!r} has logged here")
        error.add_note(f"there are: {', '.join(known)}")
    else:
        error = DockrionError(f"no agent {agent!r} has logged here: {_FOLDER} has no log")
        error.add_note("`dockrion run` writes one; go to the folder of the agent's Dockfile")
    return error
