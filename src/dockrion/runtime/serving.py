"""Serving the agent of a Dockfile: in this process, in several, or in one that starts anew after each change."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dockrion.auth import make_authenticator
from dockrion.errors import DockrionError
from dockrion.runtime.banner import WILDCARD_HOSTS, banner
from dockrion.runtime.dockfile import enter, read_for_agent
from dockrion.runtime.logfile import log_path
from dockrion.runtime.logs import keep_log
from dockrion.runtime.sharing import refuse_without_shared_runs
from dockrion.runtime.sockets import open_sockets
from dockrion.spec import Dockfile, DockSpec

if TYPE_CHECKING:
    from dockrion.runtime.supervisor.link import Orders

logger = logging.getLogger(__name__)


def _nothing(_: Dockfile) -> None:
    pass


def _log_error(error: DockrionError) -> None:
    logger.error("the agent cannot be served: %s", error.message)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a Dockfile is to be served.

    `on_read` gets the Dockfile each time it has been read and is valid. With `reload`, `on_error` gets what is
    wrong instead of the caller. `verbose` and `debug` are for the logs of other processes.
    """

    path: Path
    host: str | None = None
    port: int | None = None
    env_file: Path | None = None
    workers: int = 1
    reload: bool = False
    verbose: bool = False
    debug: bool = False
    on_read: Callable[[Dockfile], None] = _nothing
    on_error: Callable[[DockrionError], None] = _log_error


def serve_dockfile(serving: Serving) -> None:
    """Serve until SIGTERM or Ctrl-C; raise `DockrionError` where that cannot be done."""
    if serving.reload:
        _serve_reloading(serving)
        return
    began = time.perf_counter()
    dockfile = _read(serving)
    host, port = _address(dockfile.spec, serving)
    sockets = open_sockets(host, port)
    bound_port = sockets[0].getsockname()[1]

    def greet() -> None:
        _greet(dockfile.spec, host, bound_port, began)

    try:
        if serving.workers == 1:
            enter(dockfile)
            # The slowest imports: a taken port is told before them.
            from dockrion.runtime.app import build_app
            from dockrion.runtime.server import serve

            serve(
                build_app(dockfile.spec),
                sockets,
                on_ready=greet,
                write_seconds=dockfile.spec.expose.limits.write_timeout,
            )
        else:
            _need_posix("--workers")
            from dockrion.runtime.supervisor.workers import serve_with_workers

            serve_with_workers(_orders(serving), sockets, serving.workers, on_ready=greet)
    finally:
        for sock in sockets:
            sock.close()


def _serve_reloading(serving: Serving) -> None:
    _need_posix("--reload")
    from dockrion.runtime.supervisor.changes import Sources, outputs_of_process
    from dockrion.runtime.supervisor.reload import Plan, serve_reloading

    def make_plan() -> Plan:
        began = time.perf_counter()
        spec = _read(serving).spec
        host, port = _address(spec, serving)
        return Plan(host, port, lambda bound_port: _greet(spec, host, bound_port, began))

    sources = Sources(serving.path.parent, serving.env_file, outputs=outputs_of_process())
    serve_reloading(_orders(serving), sources, make_plan, on_error=serving.on_error)


def _read(serving: Serving) -> Dockfile:
    dockfile = read_for_agent(serving.path, env_file=serving.env_file)
    spec = dockfile.spec
    keep_log(log_path(spec.folder, spec.agent.name))
    refuse_without_shared_runs(spec, serving.workers, named="worker")
    check_keys(spec)
    warn_of_open_server(spec, _address(spec, serving)[0])
    warn_of_separate_counts(spec, serving.workers)
    serving.on_read(dockfile)
    return dockfile


def check_keys(spec: DockSpec) -> None:
    """Raise what would stop the app's start later, perhaps in another process."""
    if spec.auth is not None and not spec.auth.is_open:
        make_authenticator(spec.auth, spec.environ)


def warn_of_open_server(spec: DockSpec, host: str) -> None:
    if spec.is_open and host in WILDCARD_HOSTS and "*" in spec.expose.cors.origins:
        logger.warning(
            "anybody who reaches this machine, and every web page that its users open, may call the agent: "
            "set auth, expose.cors.origins, or --host 127.0.0.1"
        )


def warn_of_separate_counts(spec: DockSpec, workers: int) -> None:
    if spec.streaming.backend != "memory":
        return
    if workers > 1 and spec.auth is not None and spec.auth.rate_limits:
        logger.warning(
            "auth.rate_limits: each of the %d workers counts by itself, so a caller may come up to %d times as often",
            workers,
            workers,
        )


def _address(spec: DockSpec, serving: Serving) -> tuple[str, int]:
    host = spec.expose.host if serving.host is None else serving.host
    port = spec.expose.port if serving.port is None else serving.port
    return host, port


def _greet(spec: DockSpec, host: str, port: int, began: float) -> None:
    text = banner(spec, host=host, port=port, seconds=time.perf_counter() - began)
    with suppress(OSError):  # a server whose standard error takes nothing serves all the same
        print(text, file=sys.stderr, flush=True)  # noqa: T201  (for the person, not for the log)


def _orders(serving: Serving) -> Orders:
    from dockrion.runtime.supervisor.link import Orders

    return Orders(
        path=str(serving.path),
        env_file=None if serving.env_file is None else str(serving.env_file),
        verbose=serving.verbose,
        debug=serving.debug,
        stays=serving.reload,
    )


def _need_posix(option: str) -> None:
    if sys.platform == "win32":
        raise DockrionError(f"{option} needs Linux or macOS")
