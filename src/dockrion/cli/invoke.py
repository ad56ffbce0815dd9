"""`dockrion invoke`: one run of an agent that is served somewhere."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import click

from dockrion.cli.failures import EXIT_ERROR, Settings, debug_option
from dockrion.cli.payload import (
    as_json,
    check_place,
    output_option,
    parse_payload,
    payload_options,
    payload_text,
    show_output,
)
from dockrion.cli.showing import json_option, progress
from dockrion.errors import (
    AgentExecutionError,
    AuthError,
    DockrionError,
    GoneError,
    MethodNotAllowedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RunTimeoutError,
    ServiceUnavailableError,
    UnexpectedAnswerError,
    ValidationError,
)

if TYPE_CHECKING:
    from dockrion.client import Client, Run, StreamEvent

CANCEL_SECONDS: Final = 5.0
KEY_VARIABLE: Final = "DOCKRION_API_KEY"
# What every event has; on the terminal only what is its own.
_COMMON: Final = frozenset({"id", "type", "run_id", "sequence", "timestamp"})
_SECRET_HEADER: Final = re.compile("(?i)auth|cookie|key|token|secret")
_LOCAL: Final = ("localhost", "127.", "[::1]", "0.0.0.0")  # noqa: S104  (a URL that people paste)


def _read_headers(
    _ctx: click.Context, _: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    headers: dict[str, str] = {}
    for one in given:
        name, colon, value = one.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter("must be 'Name: value'.")
        headers[name.strip()] = value.strip()
    return headers


@click.command()
@click.argument("url")
@payload_options
@output_option
@click.option("--stream", is_flag=True, help="Show the events, as they come, on standard error.")
@click.option("--last-event-id", help="Go on with a stream behind this event, without a new run.")
@click.option(
    "--api-key",
    envvar=KEY_VARIABLE,
    help=f"Key to call with; better in {KEY_VARIABLE}, since others can see command lines.",
)
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    callback=_read_headers,
    help="Another header, 'Name: value'; may be repeated.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    help="Seconds after which it must be over.",
)
@json_option
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    url: str,
    payload: str | None,
    payload_file: Path | None,
    output: Path | None,
    stream: bool,
    last_event_id: str | None,
    api_key: str | None,
    headers: dict[str, str],
    timeout: float | None,
    as_json: bool,
) -> int:
    """Run the agent at URL once and print its output, alone, as JSON."""
    value = None
    if last_event_id is None:
        text = payload_text(payload, payload_file)
        value = parse_payload(text, of_file=payload_file is not None)
    if output is not None:
        check_place(output)
    settings.secrets = [secret for secret in (api_key, *_credentials(headers)) if secret]
    from dockrion.client import Client

    call = _Call(has_key=bool(api_key), has_headers=bool(headers), shows=stream)
    try:
        with Client(_with_scheme(url), api_key=api_key, headers=headers, timeout=timeout) as client:
            call.url = client.url
            if stream or last_event_id is not None:
                run = call.follow(client, value, last_event_id)
            else:
                with progress(f"waiting for {client.url}"):
                    run = client.invoke(value)
        if run.interrupts:
            if as_json:
                _print(_described(run), output)
            _show_questions(run, call)
            return EXIT_ERROR
        result = run.result()
    except DockrionError as exc:
        if hint := call.hint(exc):
            exc.add_note(hint)
        if as_json:
            _print({"success": False, **exc.to_dict()}, output)
        raise
    _print(_described(run) if as_json else result, output)
    return 0


class _Call:
    """One call, and how far it got."""

    def __init__(self, *, has_key: bool, has_headers: bool, shows: bool) -> None:
        self.url = ""
        self.last_event_id: str | None = None
        self._is_cut = False
        self.has_key = has_key
        self._has_headers = has_headers
        self._shows = shows

    def follow(self, client: Client, payload: Any, last_event_id: str | None) -> Run:
        """Follow the run to its end; Ctrl-C ends it, also where it would outlive its stream, and before that has begun."""
        if last_event_id is not None:
            return self._follow(client, payload, last_event_id=last_event_id)
        try:
            # Its id is known before the server tells it.
            return self._follow(client, payload, run_id=str(uuid4()))
        except ValidationError as exc:
            if not exc.message.startswith("run_id:"):
                raise
        # Callers may not choose it there; nothing has begun.
        return self._follow(client, payload)

    def _follow(
        self,
        client: Client,
        payload: Any,
        *,
        run_id: str | None = None,
        last_event_id: str | None = None,
    ) -> Run:
        events = client.stream(payload, run_id=run_id, last_event_id=last_event_id)
        try:
            with events:
                for event in events:
                    if self._shows:
                        _show(event)
        except KeyboardInterrupt:
            if events.was_sent:
                _cancel(client, events.run_id)
            raise
        finally:
            self.last_event_id = events.last_event_id
            self._is_cut = self.last_event_id != last_event_id
        run = events.run
        if run.status == "RUNNING":
            # There was no event behind that one.
            return client.runs.get(run.run_id)
        return run

    def hint(self, error: DockrionError) -> str | None:
        """Return what to do about an error of a remote agent."""
        place = self.last_event_id
        match error:
            case PermissionDeniedError():
                return "these credentials are right, but may not do that: auth.roles of the Dockfile says who may"
            case AuthError() if self.has_key or self._has_headers:
                return "the server does not take these credentials; docs/auth.md says what it takes"
            case AuthError():
                return (
                    f"put the key into {KEY_VARIABLE}, or give it with --api-key; other credentials with "
                    "-H 'Authorization: Bearer ...'"
                )
            case RateLimitError(retry_after=seconds) if seconds is not None:
                return f"try again in {seconds} s"
            case GoneError() if not self._is_cut:
                return "without --last-event-id a new run is started"
            case GoneError():
                return "streaming.connection of its Dockfile says whether streams can be taken up again"
            case RunTimeoutError():
                return "--timeout is for the whole call; streaming.events.max_run_duration bounds the run"
            case ServiceUnavailableError() if place is not None:
                return f"dockrion invoke {self.url} --stream --last-event-id {place} goes on from there"
            case ServiceUnavailableError():
                return _hint_of_unreachable(error, self.url)
            case UnexpectedAnswerError() | NotFoundError() | MethodNotAllowedError():
                return (
                    f"{self.url}/info tells whether a dockrion server is there; expose.rest and expose.streaming of its "
                    "Dockfile say whether it takes calls without and with --stream"
                )
            case ValidationError() if not self.url:
                return "the URL is that of the agent, such as http://localhost:8080"
            case ValidationError() if error.details:
                return f"{self.url}/schema says what the agent takes"
            case ValidationError():
                return "`dockrion invoke --help` says what each option takes"
            case AgentExecutionError():
                return "the agent itself raised this; the log of its server has the traceback"
            case _:
                return "docs/errors.md says what the code means"


def _credentials(headers: dict[str, str]) -> list[str]:
    """Return the values that no message may show; those of other headers may be any word."""
    return [value for name, value in headers.items() if _SECRET_HEADER.search(name)]


def _hint_of_unreachable(error: DockrionError, url: str) -> str:
    text = error.message
    if "certificate" in text:
        return "SSL_CERT_FILE names a file with the certificates to trust"
    if url.startswith("https:") and "SSL" in text:
        return "the server may speak http:// there"
    if "no connection" in text:
        return "is the server running, and is this its host and port? `dockrion run` starts one"
    return f"{url}/ready says how the server is"


def _with_scheme(url: str) -> str:
    """Return a URL as people write it: without a scheme it is a host, with encryption unless it is this machine."""
    if "://" in url:
        return url
    return f"{'http' if url.startswith(_LOCAL) else 'https'}://{url}"


def _show(event: StreamEvent) -> None:
    own = {name: value for name, value in event.fields.items() if name not in _COMMON}
    click.echo(f"{event.type} {as_json(own)}", err=True)


def _cancel(client: Client, run_id: str | None) -> None:
    """Cancel the run, if the server lets us; that the stream is gone ends most runs anyway."""
    if run_id is None:
        return
    with suppress(DockrionError):
        client.runs.cancel(run_id, reason="Ctrl-C", timeout=CANCEL_SECONDS)
        click.echo(f"Cancelled the run {run_id}.", err=True)


def _show_questions(run: Run, call: _Call) -> None:
    click.echo(f"The run {run.run_id} waits for an answer to:", err=True)
    for one in run.interrupts:
        click.echo(f"  {one.interrupt_id}  {as_json(one.value)}", err=True)
    single = len(run.interrupts) == 1
    body = '"yes"' if single else as_json({one.interrupt_id: "yes" for one in run.interrupts})
    curl = f'curl -H "X-API-Key: ${KEY_VARIABLE}"' if call.has_key else "curl"
    click.echo(
        f"Answer it, with JSON:\n  {curl} -X POST {call.url}/runs/{run.run_id}/resume "
        f"-H 'Content-Type: application/json' -d '{body}'",
        err=True,
    )
    if call.last_event_id is not None:
        click.echo(
            f"Then go on:\n  dockrion invoke {call.url} --stream --last-event-id {call.last_event_id}",
            err=True,
        )
    else:
        click.echo(f"Then look:\n  {curl} {call.url}/runs/{run.run_id}", err=True)


def _described(run: Run) -> dict[str, Any]:
    described: dict[str, Any] = {"success": True, "run_id": run.run_id, "status": run.status}
    if run.interrupts:
        described["interrupts"] = run.interrupts
    else:
        described["output"] = run.output
    return {**described, "metadata": run.metadata}


def _print(value: Any, output: Path | None) -> None:
    show_output(as_json(value, indent=2), output)
