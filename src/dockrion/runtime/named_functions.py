"""The functions that a Dockfile names beside its agent: imported from its folder when the agent is loaded."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from dockrion.adapters.loading import import_object
from dockrion.errors import CallableMissingError, InvalidAgentError
from dockrion.policy.injection import InjectionFilter
from dockrion.runtime.ids import OwnIds
from dockrion.spec import DockSpec


async def injection_filter(spec: DockSpec) -> InjectionFilter | None:
    """Return what `policies.safety` checks payloads with."""
    safety = spec.policies.safety
    if safety is None or not (safety.block_prompt_injection or safety.classifier):
        return None
    classifier = None
    if safety.classifier is not None:
        classifier = await _function(safety.classifier, spec, field="policies.safety.classifier")
    return InjectionFilter(
        builtin=safety.block_prompt_injection,
        patterns=safety.injection_patterns if safety.block_prompt_injection else (),
        classifier=classifier,
    )


async def own_ids(spec: DockSpec) -> OwnIds | None:
    """Return the ids of `streaming.id_generator`, where it has a handler."""
    generator = spec.streaming.id_generator
    if generator.type != "custom":
        return None
    assert generator.handler is not None, "the Dockfile's rules ask for it"
    field = "streaming.id_generator.handler"
    make = await _function(generator.handler, spec, field=field)
    if inspect.iscoroutinefunction(make):
        raise InvalidAgentError(f"{field}: {generator.handler} must be a plain function, not async")
    return OwnIds(make, name=generator.handler)


async def _function(target: str, spec: DockSpec, *, field: str) -> Callable[..., Any]:
    """Import a function that the Dockfile names beside the agent."""
    found = await asyncio.to_thread(import_object, target, field=field, folder=spec.folder)
    if not callable(found):
        raise CallableMissingError(f"{field}: {target} is no function, but {type(found).__name__}")
    return found
