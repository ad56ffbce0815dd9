"""The Dockfile itself, the files with variables beside it, and whether its secrets are there."""

from __future__ import annotations

from collections import Counter
from typing import Final

from dockrion.doctor.base import Case, Finding, error, info, ok, warning
from dockrion.runtime.front_ends import front_ends
from dockrion.spec.env import DEFAULT, SHELL

_HINT: Final = (
    "each line starts with where it is: file, line, column; `dockrion schema` has all fields"
)
_NO_FILE: Final = "go to the agent's folder, name its Dockfile, or make one with `dockrion init`"


async def look_at_dockfile(case: Case) -> list[Finding]:
    if case.problem is not None:
        if not case.path.exists():
            return [error(f"{case.path} not found", _NO_FILE)]
        notes: list[str] = getattr(case.problem, "__notes__", [])
        hint = notes[0] if notes else _HINT
        return [error(line, hint) for line in case.problem.message.split("\n")]
    spec = case.spec
    agent = spec.agent
    served = agent.handler or agent.entrypoint
    others = ", ".join(f"{path} ({title})" for title, path in front_ends(spec))
    return [
        ok(f"{case.path} is valid: {agent.name}, {served}, {agent.framework}"),
        *([ok(f"it is also served at {others}")] if others else []),
        *(warning(text, "see docs/dockfile.md, or `dockrion schema`") for text in spec.warnings),
    ]


async def look_at_secrets(case: Case) -> list[Finding]:
    assert case.dockfile is not None
    environment = case.dockfile.environment
    secrets = case.spec.secrets
    findings: list[Finding] = []
    for secret in secrets.required:
        if secret.name in case.dockfile.missing_secrets:
            what = f" ({secret.description})" if secret.description else ""
            findings.append(
                error(
                    f"{secret.name} is not set{what}",
                    "set it in the shell, in .env beside the Dockfile, or with --env-file",
                )
            )
    unset = environment.missing(secret.name for secret in secrets.optional)
    if unset:
        findings.append(info(f"optional ones that are not set: {', '.join(unset)}"))
    there = [one.name for one in secrets.declared if environment.values.get(one.name)]
    if there:
        listed = ", ".join(f"{name} (from {_source(environment.sources[name])})" for name in there)
        findings.append(ok(f"set: {listed}"))
    if not secrets.declared:
        findings.append(ok("the Dockfile declares none"))
    files = Counter(
        source for source in environment.sources.values() if source not in (SHELL, DEFAULT)
    )
    findings += [ok(f"{name} gives {count} variables") for name, count in files.items()]
    return findings


def _source(source: str) -> str:
    return {SHELL: "the shell", DEFAULT: "its default"}.get(source, source)
