"""OpenAI's."""

from __future__ import annotations

from typing import Any

from tests.contracts.front_ends.base import FrontEnd, Heard, is_done, messages_of


class Completions(FrontEnd):
    name = "chat completions"
    path = "/v1/chat/completions"
    answers = False

    def body(self, text: str) -> Any:
        messages = [{"role": "user", "content": text}]
        return {"model": "test", "messages": messages, "stream": self.streams}

    def refusal(self, body: Any) -> tuple[str, str]:
        return body["error"]["code"], body["error"]["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        for chunk in messages_of(raw):
            match chunk:
                case {"error": {"code": code, "message": message}}:
                    heard.failed(code, message)
                case {"choices": [{"delta": delta, "finish_reason": reason}]}:
                    heard.text += delta.get("content", "")
                    heard.ended = "complete" if reason else heard.ended
                case _:
                    pass
        if heard.ended == "complete" and not is_done(raw):
            heard.ended = "cut"

    def hear_whole(self, body: Any, heard: Heard) -> None:
        [choice] = body["choices"]
        heard.ended, heard.text = "complete", choice["message"]["content"]


class WholeCompletions(Completions):
    name = "chat completions, whole"
    streams = returns = False


class Responses(FrontEnd):
    name = "responses"
    path = "/v1/responses"
    answers = False
    # There is `GET /v1/responses/{id}` for that.
    returns = False

    def body(self, text: str) -> Any:
        return {"model": "test", "input": text, "stream": self.streams}

    def refusal(self, body: Any) -> tuple[str, str]:
        return body["error"]["code"], body["error"]["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        said: list[str] = []
        for event in messages_of(raw):
            match event:
                case {"type": "response.output_text.delta", "delta": delta}:
                    said.append(delta)
                case {"type": "response.completed" | "response.failed", "response": response}:
                    self.hear_whole(response, heard)
                case _:
                    pass
        heard.text = "".join(said)

    def hear_whole(self, body: Any, heard: Heard) -> None:
        parts = [part for item in body["output"] for part in item.get("content", [])]
        heard.text = "".join(part["text"] for part in parts)
        match body:
            case {"status": "completed"}:
                heard.ended = "complete"
            case {"status": "failed" | "cancelled" as status, "error": error}:
                ended = "error" if status == "failed" else "cancelled"
                heard.failed(error["code"], error["message"], ended)
            case _:
                heard.ended = body["status"]


class WholeResponses(Responses):
    name = "responses, whole"
    streams = False
