"""Which tools may run, as the Dockfile says."""

from __future__ import annotations

import msgspec

from dockrion.spec.policies import PoliciesSpec


class ToolRules(msgspec.Struct, frozen=True, kw_only=True):
    """`halts`: a refused call ends the run."""

    allowed: frozenset[str]
    halts: bool = False

    def allows(self, tool: str) -> bool:
        return tool in self.allowed


def tool_rules(policies: PoliciesSpec) -> ToolRules | None:
    """Return the rules; none where every tool may run."""
    tools = policies.tools
    if tools is None or not tools.deny_by_default:
        return None
    halts = policies.safety is not None and policies.safety.halt_on_violation
    return ToolRules(allowed=frozenset(tools.allowed), halts=halts)
