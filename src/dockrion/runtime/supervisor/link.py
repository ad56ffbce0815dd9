"""What a server process and its supervisor tell each other: orders on the command line, news on a socket.

The process reads nothing from the socket; that it ends tells that the supervisor has gone.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress

import msgspec

from dockrion import errors
from dockrion.errors import DockrionError


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a server process is to do; it reads the Dockfile itself, so no value of it stands in here.

    `sockets` and `link` are file descriptors that it inherits. One that `stays` serves without an agent when that
    cannot be loaded, and gives its streams no grace at its end.
    """

    path: str
    env_file: str | None
    verbose: bool
    debug: bool
    stays: bool
    sockets: tuple[int, ...] = ()
    link: int = -1


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The agent is loaded, and the process serves it."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The agent cannot be served; `error` is the name of a class of `dockrion.errors`."""

    error: str
    message: str
    notes: tuple[str, ...] = ()


News = Ready | Failed

_decoder = msgspec.json.Decoder(News)


def news_of(error: DockrionError) -> Failed:
    # A class of another package is told as what it is for us.
    ours = next(cls for cls in type(error).__mro__ if cls.__module__ == errors.__name__)
    return Failed(ours.__name__, error.message, tuple(getattr(error, "__notes__", ())))


def error_of(news: Failed) -> DockrionError:
    cls: type[DockrionError] = getattr(errors, news.error)
    # Not through the class's own __init__, which may make the message of something else.
    error = cls.__new__(cls)
    DockrionError.__init__(error, news.message)
    for note in news.notes:
        error.add_note(note)
    return error


def parse_news(line: bytes) -> News:
    return _decoder.decode(line)


class Link:
    """The server process's end."""

    def __init__(self, fileno: int) -> None:
        self._socket = socket.socket(fileno=fileno)
        # What the agent starts must not hold it.
        self._socket.set_inheritable(False)

    def tell(self, news: News) -> None:
        # A supervisor that has gone ends this process anyway.
        with suppress(OSError):
            self._socket.sendall(msgspec.json.encode(news) + b"\n")

    def end_with_supervisor(self) -> None:
        """End as with SIGTERM when the supervisor is killed: nobody else would end this process."""
        threading.Thread(target=self._wait_for_end, name="dockrion-link", daemon=True).start()

    def _wait_for_end(self) -> None:
        with suppress(OSError):
            self._socket.recv(1)
        os.kill(os.getpid(), signal.SIGTERM)
