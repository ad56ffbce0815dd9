"""How A2A 1.0 and 0.3 call the same things: tasks, messages, parts, updates."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from dockrion.wires.a2a.rpc import RpcId

Parts = list[dict[str, Any]]


class State(StrEnum):
    """Of a task, as 0.3 writes it."""

    SUBMITTED = "submitted"
    WORKING = "working"
    INPUT_REQUIRED = "input-required"
    # No task of ours is ever in it.
    AUTH_REQUIRED = "auth-required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    REJECTED = "rejected"

    @property
    def ends_a_stream(self) -> bool:
        return self not in (State.SUBMITTED, State.WORKING)


class Words:
    """One of the two, for one request: `request_id` is the id of all its answers."""

    def __init__(self, *, legacy: bool, request_id: RpcId) -> None:
        self.legacy: Final = legacy
        self.request_id: Final = request_id

    def answer(self, result: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": self.request_id, "result": result}

    def text(self, text: str) -> dict[str, Any]:
        return {"kind": "text", "text": text} if self.legacy else {"text": text}

    def data(self, value: Any) -> dict[str, Any]:
        if not self.legacy:
            return {"data": value, "mediaType": "application/json"}
        if isinstance(value, dict):
            return {"kind": "data", "data": value}
        # There data is an object; this is how clients that know both make one of anything else.
        wrapped = {"value": value}
        return {"kind": "data", "data": wrapped, "metadata": {"data_part_compat": True}}

    def message(
        self, message_id: str, ids: dict[str, str], parts: Parts, metadata: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return what the agent says about a task."""
        message: dict[str, Any] = {
            "messageId": message_id,
            "role": "agent" if self.legacy else "ROLE_AGENT",
            "parts": parts,
            **ids,
        }
        if metadata is not None:
            message["metadata"] = metadata
        return self._named("message", message)

    def status(
        self, state: State, timestamp: str | None, message: dict[str, Any] | None
    ) -> dict[str, Any]:
        status: dict[str, Any] = {"state": self.state(state)}
        if timestamp is not None:
            status["timestamp"] = timestamp
        return status if message is None else {**status, "message": message}

    def state(self, state: State) -> str:
        return state.value if self.legacy else f"TASK_STATE_{state.name}"

    def task(
        self,
        ids: dict[str, str],
        status: dict[str, Any],
        artifacts: list[dict[str, Any]],
        metadata: dict[str, Any] | None,
    ) -> dict[str, Any]:
        task: dict[str, Any] = {
            "id": ids["taskId"],
            "contextId": ids["contextId"],
            "status": status,
        }
        if artifacts:
            task["artifacts"] = artifacts
        if metadata is not None:
            task["metadata"] = metadata
        return self._named("task", task)

    def sent(self, task: dict[str, Any]) -> dict[str, Any]:
        """Return a task as the result of what sends a message, streamed or not."""
        return task if self.legacy else {"task": task}

    def status_update(
        self,
        ids: dict[str, str],
        state: State,
        status: dict[str, Any],
        metadata: dict[str, Any] | None,
    ) -> dict[str, Any]:
        update: dict[str, Any] = {**ids, "status": status}
        if metadata is not None:
            update["metadata"] = metadata
        if self.legacy:
            return {"kind": "status-update", **update, "final": state.ends_a_stream}
        return {"statusUpdate": update}

    def artifact_update(self, ids: dict[str, str], update: dict[str, Any]) -> dict[str, Any]:
        if self.legacy:
            return {"kind": "artifact-update", **ids, **update}
        return {"artifactUpdate": {**ids, **update}}

    def _named(self, kind: str, value: dict[str, Any]) -> dict[str, Any]:
        return {"kind": kind, **value} if self.legacy else value
