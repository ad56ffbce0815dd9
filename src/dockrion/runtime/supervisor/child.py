"""The server process under a supervisor: `python -m dockrion.runtime.supervisor.child ORDERS`."""

from __future__ import annotations

import signal
import socket
import sys

import msgspec

from dockrion.errors import DockrionError
from dockrion.runtime.dockfile import enter, read_for_agent
from dockrion.runtime.logfile import log_path
from dockrion.runtime.logs import configure_logging, keep_log
from dockrion.runtime.supervisor.link import Link, Orders, Ready, news_of
from dockrion.spec import DockSpec

EXIT_FAILED = 1


def main() -> int:
    # Until the server has its handlers, Ctrl-C ends this process without a traceback. The supervisor has
    # blocked it until here.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    orders = msgspec.json.decode(sys.argv[1], type=Orders)
    link = Link(orders.link)
    link.end_with_supervisor()
    # The supervisor reports what the agent's loading raised.
    configure_logging(
        verbose=orders.verbose, reported=() if orders.debug else ("dockrion.runtime.host",)
    )
    try:
        _serve(orders, link)
    except DockrionError as exc:
        link.tell(news_of(exc))
        return EXIT_FAILED
    # An agent that ignored its cancellation is still there; how it takes the interpreter's end is no news.
    sys.unraisablehook = lambda _: None
    return 0


def _serve(orders: Orders, link: Link) -> None:
    sockets = [socket.socket(fileno=number) for number in orders.sockets]
    for sock in sockets:
        sock.set_inheritable(False)
    dockfile = read_for_agent(orders.path, env_file=orders.env_file, warn=False)
    spec = _without_grace(dockfile.spec) if orders.stays else dockfile.spec
    keep_log(log_path(spec.folder, spec.agent.name))
    enter(dockfile)
    from dockrion.runtime.app import build_app
    from dockrion.runtime.server import serve

    serve(
        build_app(spec, supervised=True, one_of_many=not orders.stays),
        sockets,
        on_ready=lambda: link.tell(Ready()),
        on_failed=(lambda error: link.tell(news_of(error))) if orders.stays else None,
        write_seconds=spec.expose.limits.write_timeout,
    )


def _without_grace(spec: DockSpec) -> DockSpec:
    expose = spec.expose.model_copy(update={"shutdown_grace": 0.0})
    return spec.model_copy(update={"expose": expose})


if __name__ == "__main__":
    sys.exit(main())
