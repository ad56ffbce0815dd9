"""Turn an AI agent into a production HTTP API with live streaming, from one YAML file.

Names are imported on first use, so that `import dockrion` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockrion.adapters import register_adapter
    from dockrion.build.image import clean_runtime, deploy, generate_runtime
    from dockrion.client import AsyncClient, Client
    from dockrion.errors import (
        AdapterError,
        AdapterLoadError,
        AdapterNotLoadedError,
        AgentExecutionError,
        AuthError,
        BuildConflictError,
        CallableMissingError,
        ConflictError,
        DeploymentError,
        DockrionError,
        GoneError,
        InvalidAgentError,
        InvalidOutputError,
        MissingExtraError,
        MissingSecretError,
        ModuleMissingError,
        NotFoundError,
        OverloadedError,
        PolicyViolationError,
        RateLimitError,
        RunTimeoutError,
        ServiceUnavailableError,
        ShuttingDownError,
        ValidationError,
    )
    from dockrion.events.cancelled import RunCancelled
    from dockrion.events.context import StreamContext, get_current_context
    from dockrion.events.filter import EventsFilter
    from dockrion.runtime.app import create_app
    from dockrion.runtime.dockfile import invoke_local, run_local
    from dockrion.spec import (
        DockSpec,
        expand_env_vars,
        generate_json_schema,
        load_dockspec,
        validate_dockspec,
        write_json_schema,
    )
    from dockrion.spec import validate_dockspec as validate

    __version__: str

__all__ = [
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

# Where the names are that are no errors: a module, and the name there when it is another one.
_HOMES = {
    "__version__": "dockrion.version:VERSION",
    "AsyncClient": "dockrion.client",
    "Client": "dockrion.client",
    "DockSpec": "dockrion.spec",
    "EventsFilter": "dockrion.events.filter",
    "RunCancelled": "dockrion.events.cancelled",
    "StreamContext": "dockrion.events.context",
    "clean_runtime": "dockrion.build.image",
    "create_app": "dockrion.runtime.app",
    "deploy": "dockrion.build.image",
    "expand_env_vars": "dockrion.spec",
    "generate_json_schema": "dockrion.spec",
    "generate_runtime": "dockrion.build.image",
    "get_current_context": "dockrion.events.context",
    "invoke_local": "dockrion.runtime.dockfile",
    "load_dockspec": "dockrion.spec",
    "register_adapter": "dockrion.adapters",
    "run_local": "dockrion.runtime.dockfile",
    "validate": "dockrion.spec:validate_dockspec",
    "validate_dockspec": "dockrion.spec",
    "write_json_schema": "dockrion.spec",
}


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, other_name = _HOMES.get(name, "dockrion.errors").partition(":")
    value = getattr(import_module(module), other_name or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
