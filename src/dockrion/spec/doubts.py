"""What a valid Dockfile says but its author hardly means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockrion.spec.dockspec import DockSpec
    from dockrion.spec.shape import Loc


def doubts(spec: DockSpec) -> Iterator[tuple[Loc, str]]:
    yield from _chat_properties(spec)
    yield from _keys(spec)
    yield from _limits_of_nobody(spec)
    yield from _tools(spec)


def _chat_properties(spec: DockSpec) -> Iterator[tuple[Loc, str]]:
    chat = spec.expose.chat
    if chat is None:
        return
    for field, name, schema in (
        ("input", chat.input, spec.io_schema.input),
        ("output", chat.output, spec.io_schema.output),
    ):
        properties = (schema or {}).get("properties")
        if name is not None and properties is not None and name not in properties:
            yield ("expose", "chat", field), f"{name} is no property of io_schema.{field}"


def _keys(spec: DockSpec) -> Iterator[tuple[Loc, str]]:
    auth = spec.auth
    if auth is None or auth.mode != "api_key":
        return
    if not auth.api_keys.enabled:
        yield ("auth", "api_keys", "enabled"), "is false, so everybody may call"
    roles = {role.name for role in auth.roles}
    for index, key in enumerate(auth.api_keys.keys or ()):
        if (roles or auth.protect) and key.role is not None and key.role not in roles:
            loc = ("auth", "api_keys", "keys", index, "role")
            yield loc, f"{key.role} is none of auth.roles, so this key has no permission"


def _limits_of_nobody(spec: DockSpec) -> Iterator[tuple[Loc, str]]:
    auth = spec.auth
    if auth is None or not auth.rate_limits or "default" in auth.rate_limits:
        return
    if auth.is_open:
        yield (
            ("auth", "rate_limits"),
            "has no `default`, and without authentication nobody has a role: nobody is limited",
        )


def _tools(spec: DockSpec) -> Iterator[tuple[Loc, str]]:
    tools = spec.policies.tools
    if tools is None:
        return
    if not tools.deny_by_default:
        if tools.allowed:
            message = "has no effect while deny_by_default is false: every tool may run"
            yield ("policies", "tools", "allowed"), message
    elif spec.agent.handler is None and spec.agent.framework == "custom":
        message = (
            "cannot be enforced for an entrypoint of framework custom, which will not start; "
            "a handler can call context.guard_tool(name)"
        )
        yield ("policies", "tools"), message
