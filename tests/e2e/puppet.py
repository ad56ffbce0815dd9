"""The other end of `agents/puppet.py`: the test holds the strings, so that nothing depends on time.

A run of a puppet agent connects to the port in its payload, carries out one command after the other, answers each,
and tells at last how it left.
"""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

TIMEOUT_SECONDS = 30.0
# Behind the source of the agent: a handler for those who talk to it, and say the port.
CHAT = """

async def chat(payload, context):
    said = payload["messages"][-1]["content"]
    return await handle({"puppet": int(said)}, context)
"""


class Puppet:
    """Holds the strings of one run, whose payload must be `payload`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_SECONDS)
        self.payload = {"puppet": self._listener.getsockname()[1]}
        self._socket: socket.socket | None = None
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut the strings: a run that is still there returns."""
        self._listener.close()
        if self._socket is not None:
            self._socket.close()

    def tell(self, command: str, **arguments: Any) -> None:
        """Give a command without waiting for it."""
        self._strings.sendall(json.dumps({"do": command, **arguments}).encode() + b"\n")

    def do(self, command: str, **arguments: Any) -> None:
        """Give a command; return when the agent has carried it out."""
        self.tell(command, **arguments)
        self.done(command)

    def done(self, command: str) -> None:
        """Wait until the agent has carried out what it was told."""
        answer = self._answer(TIMEOUT_SECONDS)
        assert answer == {"done": command}, answer

    def token(self, content: str) -> None:
        self.do("token", content=content)

    def finish(self, output: Any = None) -> None:
        """Make the agent return; with no output its tokens are the output."""
        self.tell("finish", output=output)
        assert self.left() == "returned"

    def left(self, *, within: float = TIMEOUT_SECONDS) -> str:
        """Wait for the agent's `finally`: `returned`, or the class of the exception that it left with."""
        while "left" not in (answer := self._answer(within)):
            pass
        return answer["left"]

    def leaves_at_an_emit(self, *, within: float) -> str:
        """Emit token after token until the agent leaves: sync code is stopped there and nowhere else."""
        deadline = time.monotonic() + within
        while (remaining := deadline - time.monotonic()) > 0:
            self.tell("token", content="nobody hears this")
            answer = self._answer(remaining)
            if "left" in answer:
                return answer["left"]
        raise AssertionError(f"the agent still emits after {within} s")

    @property
    def _strings(self) -> socket.socket:
        if self._socket is None:
            self._socket, _ = self._listener.accept()
        return self._socket

    def _answer(self, within: float) -> dict[str, str]:
        strings = self._strings
        strings.settimeout(within)
        while b"\n" not in self._buffer:
            data = strings.recv(65536)
            assert data, "the agent went away without a word"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)
