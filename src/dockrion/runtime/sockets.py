"""What a server process needs of the system: listening sockets, and enough open files."""

from __future__ import annotations

import errno
import logging
import socket
import sys

from dockrion.errors import DockrionError

logger = logging.getLogger(__name__)

BACKLOG = 4096
# At least, of those that the system allows.
_FILES_OF_AGENT = 64


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of `host`; with port 0 all on the same free one.

    Done before anything is loaded, so that a taken port is known at once. Callers wait meanwhile.
    """
    if not host.strip():
        # The system takes it for every address.
        raise _wrong_host("host is blank")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as exc:
        raise _wrong_host(f"host {host!r} has no address: {exc.strerror}") from exc
    sockets: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        if sockets and port == 0:
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
        try:
            sockets.append(_listen(family, address))
        except OSError as exc:
            if exc.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and len(found) > 1:
                continue  # a name that also stands for an address of a family that this machine lacks
            for sock in sockets:
                sock.close()
            raise _cannot_listen(exc, host, port) from exc
    if not sockets:
        raise _wrong_host(f"host {host!r} is no address of this machine")
    return sockets


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there the option would let two servers share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _cannot_listen(reason: OSError, host: str, port: int) -> DockrionError:
    match reason.errno:
        case errno.EADDRINUSE:
            error = DockrionError(f"port {port} on {host} is already in use")
        case errno.EACCES:
            error = DockrionError(f"port {port} on {host} may not be used by this user")
        case errno.EADDRNOTAVAIL:
            return _wrong_host(f"host {host!r} is no address of this machine")
        case _:
            error = DockrionError(f"cannot listen on port {port} of {host}: {reason.strerror}")
    error.add_note("choose another one with --port, or with expose.port in the Dockfile")
    return error


def _wrong_host(message: str) -> DockrionError:
    error = DockrionError(message)
    error.add_note(
        "choose another one with --host, or with expose.host in the Dockfile; 0.0.0.0 is all of this machine"
    )
    return error


def raise_file_limit() -> int:
    """Allow as many open files as the system lets this process have; return how many, or 0 for no limit."""
    if sys.platform == "win32":
        return 0
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as exc:  # macOS calls its limit infinite and then refuses that
        logger.debug("open-file limit stays", extra={"limit": soft, "reason": str(exc)})
        hard = soft
    return 0 if hard == resource.RLIM_INFINITY else hard


def connections_within(files: int) -> int:
    """Return how many connections callers may have, so that the agent can still open files and connections of its own."""
    return max(1, files - max(_FILES_OF_AGENT, files // 10)) if files else 0
