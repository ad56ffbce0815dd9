"""`dockrion init`: a new project, with an agent that runs as it is."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from dockrion.cli.asking import NoAnswerError, ask, can_ask, confirm
from dockrion.cli.dockfile import DEFAULT_NAME, reading_only
from dockrion.cli.failures import debug_option
from dockrion.cli.showing import done, next_steps
from dockrion.cli.values import FieldValue, FieldValues, as_events, as_words, secret_names
from dockrion.errors import DockrionError

if TYPE_CHECKING:
    from dockrion.scaffold.dockfile import Choices
    from dockrion.scaffold.writing import NewFile
    from dockrion.spec import DockSpec

# In the order of `dockrion.spec`, whose import would make completion slow.
AUTH_MODES = ("none", "api_key", "jwt", "oauth2")
BACKENDS = ("memory", "sqlite", "redis")
PRESETS = ("minimal", "chat", "debug", "all")

_NAME = FieldValue("agent", "name", name="name")
_FRAMEWORK = FieldValue(
    "agent", "framework", name="framework", offers=("langgraph", "langchain", "custom")
)
# The module that stands for each extra, to see whether it is installed.
_MODULES = {
    "langgraph": "langgraph",
    "langchain": "langchain_core",
    "redis": "docket",
    "jwt": "jwt",
    "otel": "opentelemetry.sdk",
}


@click.command()
@click.argument("name", required=False, type=_NAME)
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    default=DEFAULT_NAME,
    show_default=True,
    help="The Dockfile to write; what else is missing goes into its folder.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite the Dockfile without asking.")
@click.option(
    "-F",
    "--framework",
    type=_FRAMEWORK,
    help="langgraph, langchain, custom, or an installed adapter.  [default: langgraph; custom with -H]",
)
@click.option(
    "-H",
    "--handler",
    type=FieldValue("agent", "handler", name="module:function"),
    help="The function that is called for each request, such as app.service:handle.",
)
@click.option("-a", "--auth", type=click.Choice(AUTH_MODES), help="How callers prove who they are.")
@click.option("--cors", is_flag=True, help="Write which pages in browsers may call.")
@click.option("--secrets", is_flag=True, help="Require OPENAI_API_KEY.")
@click.option(
    "--secret-names", type=secret_names(), help="Require these instead, such as A_KEY,B_KEY."
)
@click.option(
    "-s",
    "--streaming",
    type=FieldValue(
        "expose",
        "streaming",
        name="transport",
        read=as_words,
        offers=("sse", "websocket", "none", "sse,websocket"),
    ),
    default="sse",
    show_default=True,
    help="sse, websocket, both with a comma between them, or none.",
)
@click.option(
    "-P",
    "--protocols",
    type=FieldValues(
        "expose",
        "protocols",
        0,
        example="openai,mcp",
        offers=("openai", "ag-ui", "ai-sdk", "a2a", "mcp"),
    ),
    help="Which other clients are served: openai, ag-ui, ai-sdk, mcp, a2a, with commas between them.",
)
@click.option(
    "-E",
    "--streaming-events",
    type=FieldValue(
        "streaming", "events", "allowed", name="events", read=as_events, offers=PRESETS
    ),
    help="Which events are sent: minimal, chat, debug, all, or types such as token,step.",
)
@click.option("-A", "--async-runs", is_flag=True, help="Write that runs may be started at /runs.")
@click.option(
    "--streaming-backend",
    type=click.Choice(BACKENDS),
    default="memory",
    show_default=True,
    help="Where runs and their events live.",
)
@click.option(
    "--obs", "--observability", "observability", is_flag=True, help="Write logs and metrics."
)
@click.option("-m", "--metadata", is_flag=True, help="Write maintainer, version and tags.")
@click.option("--full", is_flag=True, help="Write every section, with its comments.")
@debug_option
def command(name: str | None, output: str, force: bool, **options: Any) -> None:
    """Start a project, with an agent that runs as it is.

    Beside the Dockfile it writes what is missing of the agent, .env.example, .gitignore and requirements.txt;
    what is there stays as it is. Without NAME, in a terminal, it asks.
    """
    dockfile = Path(output)
    if output.endswith(os.sep) or dockfile.is_dir():
        dockfile /= DEFAULT_NAME
    if name is None and not can_ask():
        raise click.UsageError("Missing argument 'NAME'; in a terminal you would be asked.")
    if dockfile.exists() and not force and not _may_overwrite(dockfile):
        click.echo("Nothing was changed.", err=True)
        return
    if name is None:
        name = _ask_for_the_rest(dockfile, options)
    with reading_only():
        files, spec, choices = _project(dockfile, name, options)
    from dockrion.scaffold.writing import write_all

    try:
        write_all(files)
    except OSError as exc:
        error = DockrionError(f"{exc.filename or dockfile} cannot be written: {exc.strerror}")
        error.add_note("-o names the Dockfile to write; nothing was written")
        raise error from exc
    for file in files:
        done(str(file.path))
    next_steps(_steps(dockfile, spec, choices))


def _may_overwrite(dockfile: Path) -> bool:
    try:
        return confirm(f"{dockfile} exists. Overwrite it?")
    except NoAnswerError:
        error = DockrionError(f"{dockfile} exists")
        error.add_note("--force overwrites it, -o names another file; nothing was changed")
        raise error from None


def _ask_for_the_rest(dockfile: Path, options: dict[str, Any]) -> str:
    """Ask for the name, and for what no option says; return the name."""
    folder = dockfile.absolute().parent.name.lower()
    slug = re.sub(r"[^a-z0-9]+", "-", folder).lstrip("-0123456789").rstrip("-")
    try:
        name = ask("Name of the agent", _NAME, default=slug or "my-agent")
        if options["framework"] is None and options["handler"] is None:
            question = "Framework (langgraph, langchain, custom)"
            options["framework"] = ask(question, _FRAMEWORK, default="langgraph")
        if options["auth"] is None and not options["full"]:
            mode = ask("Authentication", click.Choice(AUTH_MODES), default="none")
            options["auth"] = None if mode == "none" else mode
    except NoAnswerError:
        error = DockrionError("there was no answer")
        error.add_note("give the name: dockrion init my-agent; nothing was written")
        raise error from None
    return name


def _project(
    dockfile: Path, name: str, options: dict[str, Any]
) -> tuple[list[NewFile], DockSpec, Choices]:
    """Return the files to write, the Dockfile first, and what it says: it is valid."""
    from dockrion.scaffold.project import project_files
    from dockrion.spec import read_dockfile

    choices = _choices(dockfile.parent, name, options)
    files = project_files(dockfile, choices)
    return files, read_dockfile(dockfile, text=files[0].text).spec, choices


def _choices(folder: Path, name: str, options: dict[str, Any]) -> Choices:
    from dockrion.scaffold.dockfile import DEFAULT_SECRET, OBJECTS, Choices
    from dockrion.scaffold.project import agent_is_ours

    handler: str | None = options["handler"]
    framework: str = options["framework"] or ("custom" if handler else "langgraph")
    kind: Literal["handler", "entrypoint"] = (
        "handler" if handler or framework == "custom" else "entrypoint"
    )
    full: bool = options["full"]
    secrets: tuple[str, ...] = options["secret_names"] or ()
    if not secrets and (options["secrets"] or full):
        secrets = (DEFAULT_SECRET,)
    choices = Choices(
        name=name,
        framework=framework,
        target=handler or f"agent:{OBJECTS.get(framework, 'agent')}",
        kind=kind,
        streaming=options["streaming"],
        protocols=options["protocols"] or (),
        offers_protocols=full,
        events=options["streaming_events"] or ("all" if full else None),
        async_runs=options["async_runs"] or full,
        backend=options["streaming_backend"],
        auth=options["auth"] or ("api_key" if full else None),
        secrets=secrets,
        cors=options["cors"] or full,
        observability=options["observability"] or full,
        metadata=options["metadata"] or full,
        policies=full,
        build=full,
    )
    is_ours = agent_is_ours(folder, choices, or_installed=handler is not None)
    return replace(choices, is_ours=is_ours)


def _steps(dockfile: Path, spec: DockSpec, choices: Choices) -> list[str]:
    from importlib.util import find_spec

    from dockrion.scaffold.project import variables_of
    from dockrion.spec.extras import extras_of

    path = dockfile.parent if dockfile.name == DEFAULT_NAME else dockfile
    where = "" if str(path) == "." else f" {shlex.quote(str(path))}"
    extras = [e for e in extras_of(spec) if e in _MODULES and find_spec(_MODULES[e]) is None]
    steps = [f"pip install 'dockrion[{','.join(extras)}]'"] if extras else []
    if variables_of(choices) and not (dockfile.parent / ".env").exists():
        example, env = (shlex.quote(str(dockfile.parent / n)) for n in (".env.example", ".env"))
        steps.append(f"cp {example} {env}  # and fill it in")
    if not choices.is_ours:
        steps.append(
            f"dockrion inspect{where} -p '{{}}' -g  # a schema, from what your agent takes"
        )
    else:
        steps.append(f'dockrion test{where} -p \'{{"query": "hello"}}\' --stream')
    return [*steps, f"dockrion run{where}"]
