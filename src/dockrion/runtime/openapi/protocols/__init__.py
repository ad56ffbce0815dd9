"""What the paths of other protocols take and answer, as far as this server goes: a module for each, and what they have in common.

Their own pages say the rest.
"""

from __future__ import annotations

from typing import Any, Final

from dockrion.runtime.openapi.parts import Operation
from dockrion.runtime.openapi.protocols.a2a import A2A_OPERATIONS, A2A_SCHEMAS
from dockrion.runtime.openapi.protocols.ag_ui import AG_UI_OPERATIONS, AG_UI_SCHEMAS
from dockrion.runtime.openapi.protocols.ai_sdk import AI_SDK_OPERATIONS, AI_SDK_SCHEMAS
from dockrion.runtime.openapi.protocols.mcp import MCP_OPERATIONS, MCP_SCHEMAS
from dockrion.runtime.openapi.protocols.openai import OPENAI_OPERATIONS, OPENAI_SCHEMAS
from dockrion.runtime.openapi.protocols.shared import CHAT_SCHEMAS

PROTOCOL_OPERATIONS: Final[tuple[Operation, ...]] = (
    *AG_UI_OPERATIONS,
    *AI_SDK_OPERATIONS,
    *MCP_OPERATIONS,
    *OPENAI_OPERATIONS,
    *A2A_OPERATIONS,
)
PROTOCOL_SCHEMAS: Final[dict[str, Any]] = {
    **CHAT_SCHEMAS,
    **AG_UI_SCHEMAS,
    **AI_SDK_SCHEMAS,
    **MCP_SCHEMAS,
    **OPENAI_SCHEMAS,
    **A2A_SCHEMAS,
}
