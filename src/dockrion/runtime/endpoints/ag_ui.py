"""`POST /ag-ui`: runs, and the answers that they wait for."""

from __future__ import annotations

from dockrion.runs.service import RunCall
from dockrion.runtime.asgi import ASGIApp
from dockrion.runtime.endpoints.wired import Known, Told, WiredEndpoint, wire_of
from dockrion.runtime.host import AgentHost
from dockrion.wires.ag_ui import AgUi, AgUiCall
from dockrion.wires.base import WireCall
from dockrion.wires.chat import Chat, wrong

_GIVEN_UP = "A caller would not answer."


class AgUiPaths:
    """Finds what answers a path."""

    paths: tuple[str, ...] = (AgUi.path,)

    def __init__(self, host: AgentHost) -> None:
        self._endpoint = AgUiEndpoint(host, AgUi(Chat(host.spec)))

    def find(self, path: str) -> ASGIApp | None:
        return self._endpoint if path == AgUi.path else None


class AgUiEndpoint(WiredEndpoint):
    """An answer makes a run of the page's own, which tells how the run that has asked goes on."""

    async def begin(self, asked: WireCall, call: RunCall) -> Told | Known:
        if not (isinstance(asked, AgUiCall) and asked.answers):
            return await super().begin(asked, call)
        runs = self.host.answered
        if runs is None:
            raise wrong("resume", "this agent has no async runs (streaming.async_runs)")
        run_id = asked.answers[0].question.run_id
        waiting = await runs.get(run_id, call.identity)
        if waiting.thread_id != call.thread_id:
            raise wrong("threadId", "is not that of the run that waits for these answers")
        if all(one.given for one in asked.answers):
            open_ones = {one.interrupt_id for one in waiting.questions}
            if open_ones and open_ones != set(asked.payload):
                raise wrong(
                    "resume", f"must answer {', '.join(sorted(open_ones))}, and nothing else"
                )
            await runs.resume(run_id, call.identity, asked.payload)
        else:
            await runs.cancel(run_id, call.identity, _GIVEN_UP)
        reader = runs.channels.follow(run_id, waiting.end, stops_at_questions=True)
        return Told(reader, wire_of(asked, reader, thread_id=call.thread_id))
