"""Those of other agents, and of programs that look for tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.contracts.front_ends.base import (
    Answer,
    Ask,
    FrontEnd,
    Heard,
    Question,
    joined,
    messages_of,
)


class A2a(FrontEnd):
    name = "a2a"
    path = "/a2a"
    method = "SendStreamingMessage"

    def _message(self, text: str) -> dict[str, Any]:
        return {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]}

    def body(self, text: str) -> Any:
        return self._call(message=self._message(text))

    def _call(self, **params: Any) -> Any:
        return {"jsonrpc": "2.0", "id": "q", "method": self.method, "params": params}

    def is_refusal(self, body: Any) -> bool:
        return "error" in body

    def refusal(self, body: Any) -> tuple[str, str]:
        error = body["error"]
        return error["data"][0]["metadata"]["code"], error["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        said: list[str] = []
        for frame in messages_of(raw):
            if "error" in frame:
                heard.failed(*self.refusal(frame))
                continue
            result = frame["result"]
            match result:
                case {"artifactUpdate": update} | ({"kind": "artifact-update"} as update):
                    artifact = update["artifact"]
                    if artifact["artifactId"].startswith("text"):
                        said += [part["text"] for part in artifact["parts"]]
                    else:
                        self._hear_output(artifact, heard, said)
                case {"statusUpdate": {"status": status}} | {
                    "kind": "status-update",
                    "status": status,
                }:
                    self._hear_status(status, heard)
                case {"task": task} | ({"kind": "task"} as task):
                    said += [text for text, _ in self._texts(task)]
                    self._hear_status(task["status"], heard)
                case _:
                    raise AssertionError(result)
        heard.text = "".join(said)

    def _texts(self, task: Any) -> Iterator[tuple[str, Any]]:
        for artifact in task.get("artifacts", []):
            if artifact["artifactId"].startswith("text"):
                yield "".join(part["text"] for part in artifact["parts"]), artifact

    def _hear_output(self, artifact: Any, heard: Heard, said: list[str]) -> None:
        for part in artifact["parts"]:
            if "data" in part:
                heard.output = part["data"]
            if not said:
                said.append(part["text"] if "text" in part else joined(part["data"]))

    def _hear_status(self, status: Any, heard: Heard) -> None:
        state = status["state"].removeprefix("TASK_STATE_").lower().replace("-", "_")
        message = status.get("message", {"parts": []})
        text = "".join(part["text"] for part in message["parts"])
        match state:
            case "failed" | "rejected":
                heard.failed(message["metadata"]["code"], text)
            case "canceled":
                heard.failed(None, text, ended="cancelled")
            case "completed":
                heard.ended = "complete"
            case "input_required":
                heard.ended = "interrupt"
                asked = message["metadata"]["interrupts"]
                heard.questions = [Question(one["interrupt_id"], one["value"]) for one in asked]
            case _:
                heard.ended = "cut"

    def hear_whole(self, body: Any, heard: Heard) -> None:
        result = body["result"]
        task = result.get("task", result)
        said = [text for text, _ in self._texts(task)]
        for artifact in task.get("artifacts", []):
            if not artifact["artifactId"].startswith("text"):
                self._hear_output(artifact, heard, said)
        heard.text = "".join(said)
        self._hear_status(task["status"], heard)

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        if len(values) > 1:
            given = zip(asked.heard.questions, values, strict=True)
            parts = [{"data": {question.id: value for question, value in given}}]
        else:
            parts = [{"text": values[0]}]
        message = {**self._message(""), "messageId": "m2", "parts": parts}
        return Ask(self.path, self._call(message={**message, "taskId": asked.run_id}))


class WholeA2a(A2a):
    name = "a2a, whole"
    method = "SendMessage"
    streams = returns = False


class LegacyA2a(A2a):
    name = "a2a 0.3"
    method = "message/stream"

    def _message(self, text: str) -> dict[str, Any]:
        parts = [{"kind": "text", "text": text}]
        return {"kind": "message", "messageId": "m", "role": "user", "parts": parts}

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        ask = super().answer(asked, values)
        [part] = ask.body["params"]["message"]["parts"]
        part["kind"] = "text" if "text" in part else "data"
        return ask


class Mcp(FrontEnd):
    """A client that cannot ask its user, and takes all progress."""

    name = "mcp"
    path = "/mcp"
    answers = False
    headers: ClassVar[Mapping[str, str]] = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
    }

    def body(self, text: str) -> Any:
        meta = {"progressToken": "p", "dockrion/tokens": True}
        return self._call({"name": "test", "arguments": {"query": text}, "_meta": meta})

    def _call(self, params: dict[str, Any]) -> Any:
        return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    def is_refusal(self, body: Any) -> bool:
        return "error" in body

    def refusal(self, body: Any) -> tuple[str, str]:
        error = body["error"]
        data = error.get("data") or {}
        return data.get("code", "VALIDATION_ERROR"), error["message"]

    def hear(self, raw: bytes, heard: Heard) -> None:
        for message in messages_of(raw):
            if "result" in message:
                self.hear_whole(message, heard)
            elif "error" in message:
                heard.failed(*self.refusal(message))

    def hear_whole(self, body: Any, heard: Heard) -> None:
        result = body["result"]
        if result.get("resultType") == "input_required":
            heard.ended = "interrupt"
            for interrupt_id, one in result["inputRequests"].items():
                heard.questions.append(Question(interrupt_id, one["params"]["message"]))
            return
        [content] = result["content"]
        meta = result["_meta"]
        if not result["isError"]:
            heard.ended, heard.text = "complete", content["text"]
            heard.output = result.get("structuredContent")
        elif meta["dockrion/code"] == "INTERRUPTED":
            heard.ended = "interrupt"
            asked = meta["dockrion/interrupts"]
            heard.questions = [Question(one["interrupt_id"], one["value"]) for one in asked]
        else:
            code = meta["dockrion/code"]
            # Known before there is a run, it is the answer of a request that was refused.
            ended = "error" if "dockrion/run_id" in meta else "refused"
            ended = "cancelled" if code == "CANCELLED" else ended
            heard.failed(code, content["text"].removeprefix(f"{code}: "), ended)


class WholeMcp(Mcp):
    name = "mcp, whole"
    streams = returns = False
    headers: ClassVar[Mapping[str, str]] = {
        "accept": "application/json",
        "mcp-protocol-version": "2025-11-25",
    }


class ModernMcp(Mcp):
    """A client of the newest revision, whose user can be asked."""

    name = "mcp 2026"
    answers = True
    headers: ClassVar[Mapping[str, str]] = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "test",
    }

    def _call(self, params: dict[str, Any]) -> Any:
        key = "io.modelcontextprotocol/"
        capabilities = {f"{key}clientCapabilities": {"elicitation": {}}}
        meta = {**params["_meta"], f"{key}protocolVersion": "2026-07-28", **capabilities}
        return super()._call({**params, "_meta": meta})

    def answer(self, asked: Answer, values: list[Any]) -> Ask:
        body = self.body("hi")
        body["params"]["requestState"] = asked.run_id
        body["params"]["inputResponses"] = {
            question.id: {"action": "accept", "content": {"answer": value}}
            for question, value in zip(asked.heard.questions, values, strict=True)
        }
        return Ask(self.path, body, self.headers)
