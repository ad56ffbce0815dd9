"""`POST /ag-ui`: runs, and the answers that they wait for."""

from __future__ import annotations

from dockrion.errors import DockrionError
from dockrion.runs.call import RunCall
from dockrion.runtime.asgi import ASGIApp, Scope
from dockrion.runtime.endpoints.answers import answer
from dockrion.runtime.endpoints.wired import Known, Told, WiredEndpoint, wire_of
from dockrion.runtime.host import AgentHost
from dockrion.runtime.unforeseen import Refusal
from dockrion.wires.ag_ui.requests import AgUi, AgUiCall
from dockrion.wires.base import WireCall
from dockrion.wires.chat import Chat


class AgUiPaths:
    """Finds what answers a path."""

    paths: tuple[str, ...] = (AgUi.path,)

    def __init__(self, host: AgentHost) -> None:
        self._endpoint = AgUiEndpoint(host, AgUi(Chat(host.spec)))

    def find(self, path: str) -> ASGIApp | None:
        return self._endpoint if path == AgUi.path else None

    def refusal(self, error: DockrionError, _scope: Scope) -> Refusal:
        return Refusal(error.status, self._endpoint.path.refusal(error))


class AgUiEndpoint(WiredEndpoint):
    """An answer makes a run of the page's own, which tells how the run that has asked goes on."""

    async def begin(self, asked: WireCall, call: RunCall) -> Told | Known:
        if not (isinstance(asked, AgUiCall) and asked.answers):
            return await super().begin(asked, call)
        reader, left = await answer(
            self.host, call, asked.answers, field="resume", thread_field="threadId"
        )
        return Told(reader, wire_of(asked, reader, thread_id=call.thread_id), left=left)
