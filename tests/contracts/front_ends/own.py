"""dockrion's own ways in."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from dockrion.testing import read_sse
from tests.contracts.front_ends.base import Answer, Ask, FrontEnd, Heard, Open, Question, joined
from tests.contracts.sockets import socket


class Native(FrontEnd):
    name = path = "/invoke/stream"
    answers = False

    def body(self, text: str) -> Any:
        return {"query": text}

    def refusal(self, body: Any) -> tuple[str, str]:
        match body:
            case [*_, {"type": "refused", "code": code, "error": message}]:
                return code, message
            case {"detail": {"code": code, "message": message}} | {"code": code, "error": message}:
                return code, message
            case _:
                raise AssertionError(body)

    def hear(self, raw: bytes, heard: Heard) -> None:
        _hear_events([event.json() for event in read_sse(raw)], heard)


def _hear_events(events: list[Any], heard: Heard) -> None:
    tokens: list[str] = []
    for event in events:
        match event:
            case {"type": "token", "content": content}:
                tokens.append(content)
            case {"type": "complete", "output": output}:
                heard.ended, heard.output = "complete", output
                tokens = tokens or [joined(output)]
            case {"type": "error", "code": code, "error": message}:
                heard.failed(code, message)
            case {"type": "cancelled", "reason": reason}:
                heard.failed(None, reason, ended="cancelled")
            case {"type": "interrupt", "interrupt_id": interrupt_id, "value": value}:
                heard.ended = "interrupt"
                heard.questions.append(Question(interrupt_id, value))
            case _:
                pass
    heard.text = "".join(tokens)


class Whole(Native):
    name = path = "/invoke"
    streams = returns = False

    def hear_whole(self, body: Any, heard: Heard) -> None:
        if body.get("status") == "INTERRUPTED":
            heard.ended = "interrupt"
            heard.questions = [
                Question(one["interrupt_id"], one["value"]) for one in body["interrupts"]
            ]
        else:
            heard.ended, heard.output = "complete", body["output"]
            heard.text = joined(body["output"])


class Socket(Native):
    """Each message of the body is sent once the one before has been taken."""

    name = path = "/invoke/ws"
    answers = True

    def body(self, text: str) -> Any:
        return [{"type": "run", "payload": {"query": text}}]

    def ask(self, text: str) -> Ask:
        return Ask(self.path, self.body(text))

    def come_back(self, text: str, cursor: str) -> Ask:
        run_id, _, sequence = cursor.partition(":")
        return Ask(self.path, [{"type": "follow", "run_id": run_id, "after": int(sequence)}])

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        given = zip(asked.heard.questions, values, strict=True)
        many = {question.id: value for question, value in given}
        answer = many if len(values) > 1 else values[0]
        [follow] = self.come_back("", asked.heard.cursors[-1]).body
        return Ask(
            self.path, [{"type": "answer", "run_id": asked.run_id, "answer": answer}, follow]
        )

    def open(self, app: FastAPI, ask: Ask, **more: Any) -> Open:
        return socket(app, ask.path, ask.body, ask.headers)

    def is_refusal(self, body: Any) -> bool:
        return any(one["type"] == "refused" for one in body)

    def hear_whole(self, body: Any, heard: Heard) -> None:
        events = [one for one in body if "sequence" in one]
        heard.cursors = [one["id"] for one in events]
        _hear_events(events, heard)
