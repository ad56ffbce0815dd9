"""What a caller sends, from bytes to text messages. No I/O."""

from __future__ import annotations

from typing import cast

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol


class Incoming:
    """Joins the frames that `frames` reads. What is no text of ours fails it: the close to send is there with the other
    `data_to_send`, and nothing more is to be read.
    """

    __slots__ = ("_frames", "_parts", "has_failed")

    def __init__(self, frames: Protocol) -> None:
        self._frames = frames
        # The message that has come in part, with how it began.
        self._parts: bytearray | None = None
        self.has_failed = False

    def read(self, data: bytes) -> list[str]:
        """Return the messages that are whole now; none once a close has been sent."""
        frames = self._frames
        frames.receive_data(data)
        texts: list[str] = []
        for event in frames.events_received():
            message = self._message(cast("Frame", event))
            if message is not None and frames.close_sent is None:
                try:
                    texts.append(message.decode())
                except UnicodeDecodeError:
                    self._fail(CloseCode.INVALID_DATA, "a text message is not UTF-8")
            if self.has_failed:
                break
        return texts

    def _message(self, frame: Frame) -> bytes | None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.CONT:
                if frame.fin and self._parts is None:
                    return bytes(frame.data)
                if self._parts is None:
                    self._parts = bytearray()
                self._parts += frame.data
                if frame.fin:
                    whole, self._parts = bytes(self._parts), None
                    return whole
            case Opcode.BINARY:
                self._fail(CloseCode.UNSUPPORTED_DATA, "messages are JSON, in text frames")
            case _:
                # Pings and closes are answered by the reader of frames; a pong has been heard.
                pass
        return None

    def _fail(self, code: CloseCode, reason: str) -> None:
        self._frames.fail(code, reason)
        self.has_failed = True
