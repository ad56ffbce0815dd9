"""The names that users import: growth is a decision in a diff of this file."""

from __future__ import annotations

import ast
import inspect

import pytest

import dockrion

PUBLIC = [
    "AdapterError",
    "AdapterLoadError",
    "AdapterNotLoadedError",
    "AgentExecutionError",
    "AsyncClient",
    "AuthError",
    "BuildConflictError",
    "CallableMissingError",
    "Client",
    "ConflictError",
    "DeploymentError",
    "DockSpec",
    "DockrionError",
    "EventsFilter",
    "GoneError",
    "InvalidAgentError",
    "InvalidOutputError",
    "MissingExtraError",
    "MissingSecretError",
    "ModuleMissingError",
    "NotFoundError",
    "OverloadedError",
    "PolicyViolationError",
    "RateLimitError",
    "RunCancelled",
    "RunTimeoutError",
    "ServiceUnavailableError",
    "ShuttingDownError",
    "StreamContext",
    "ValidationError",
    "clean_runtime",
    "create_app",
    "deploy",
    "expand_env_vars",
    "generate_json_schema",
    "generate_runtime",
    "get_current_context",
    "invoke_local",
    "load_dockspec",
    "register_adapter",
    "run_local",
    "validate",
    "validate_dockspec",
    "write_json_schema",
]


def test_the_public_names_are_these() -> None:
    assert dockrion.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC
    assert set(PUBLIC) <= set(dir(dockrion))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_imported(name: str) -> None:
    value = getattr(dockrion, name)

    assert callable(value)
    if name != "validate":
        assert value.__name__ == name


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(inspect.getsource(dockrion))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = [
        alias.asname or alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]

    assert sorted(imported) == PUBLIC


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Dockspec'"):
        dockrion.Dockspec  # type: ignore[attr-defined]  # noqa: B018
