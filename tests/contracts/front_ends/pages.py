"""Those of pages."""

from __future__ import annotations

from typing import Any

from tests.contracts.front_ends.base import (
    Answer,
    Ask,
    FrontEnd,
    Heard,
    Question,
    is_done,
    messages_of,
)


class AgUi(FrontEnd):
    name = "ag-ui"
    path = "/ag-ui"

    def body(self, text: str) -> Any:
        messages = [{"id": "1", "role": "user", "content": text}]
        told = {"threadId": "t", "runId": "r", "messages": messages}
        return {**told, "tools": [], "context": []}

    def refusal(self, body: Any) -> tuple[str, str]:
        assert body["type"] == "RUN_ERROR"
        return body["code"], body["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        said: list[str] = []
        for event in messages_of(raw):
            match event:
                case {"type": "TEXT_MESSAGE_CONTENT", "delta": delta}:
                    said.append(delta)
                case {"type": "RUN_ERROR", "code": code, "message": message}:
                    heard.failed(code, message)
                case {"type": "RUN_FINISHED", "outcome": {"type": "success"}}:
                    heard.ended, heard.output = "complete", event["result"]
                case {"type": "RUN_FINISHED", "outcome": {"type": "cancelled"}}:
                    heard.ended = "cancelled"
                case {"type": "RUN_FINISHED", "outcome": {"interrupts": questions}}:
                    heard.ended = "interrupt"
                    for one in questions:
                        heard.questions.append(Question(one["id"], one["metadata"]["value"]))
                case _:
                    pass
        heard.text = "".join(said)

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        resume = [
            {"interruptId": question.id, "status": "resolved", "payload": value}
            for question, value in zip(asked.heard.questions, values, strict=True)
        ]
        return Ask(self.path, {**self.body(""), "runId": "r2", "resume": resume})


class AiSdk(FrontEnd):
    name = "ai-sdk"
    path = "/ai-sdk"

    def body(self, text: str) -> Any:
        message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": text}]}
        return {"id": "t", "messages": [message], "trigger": "submit-message"}

    def refusal(self, body: Any) -> tuple[str, str]:
        assert body["type"] == "error"
        return body["code"], body["errorText"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        said: list[str] = []
        for chunk in messages_of(raw):
            match chunk:
                case {"type": "text-delta", "delta": delta}:
                    said.append(delta)
                case {"type": "tool-input-available", "toolName": "question"}:
                    heard.questions.append(Question(chunk["toolCallId"], chunk["input"]))
                case {"type": "error", "errorText": message, "code": code}:
                    heard.failed(code, message)
                case {"type": "abort", "reason": reason}:
                    heard.failed(None, reason, ended="cancelled")
                case {"type": "data-output", "data": output}:
                    heard.output = output
                case {"type": "finish", "finishReason": reason}:
                    heard.ended = "interrupt" if reason == "tool-calls" else "complete"
                case _:
                    pass
        heard.text = "".join(said)
        if not is_done(raw):
            heard.ended = "cut"

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        parts = [
            {
                "type": "dynamic-tool",
                "toolName": "question",
                "toolCallId": question.id,
                "input": question.value,
                "state": "output-available",
                "output": value,
            }
            for question, value in zip(asked.heard.questions, values, strict=True)
        ]
        metadata = {}
        for chunk in messages_of(asked.raw):
            metadata |= chunk.get("messageMetadata", {})
        known = {"id": f"msg_{asked.run_id}", "role": "assistant", "metadata": metadata}
        message = {**known, "parts": parts}
        body = self.body("hi")
        return Ask(self.path, {**body, "messages": [*body["messages"], message]})
