"""A real Redis for tests: in a folder of its own, on a Unix socket, and a way to it that can be cut."""

from __future__ import annotations

import atexit
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, closing, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.certificates import Certificate, issue

if TYPE_CHECKING:
    from types import TracebackType

HOST: Final = "127.0.0.1"
DATABASES: Final = 512
START_SECONDS: Final = 10.0

_CONFIG: Final = """
port 0
unixsocket {socket}
dir {folder}
logfile redis.log
daemonize no
databases {databases}
save ""
appendonly yes
appendfsync always
repl-diskless-sync-delay 0
"""
_TLS: Final = """
tls-port {port}
bind {host}
tls-cert-file {certificate.chain}
tls-key-file {certificate.key}
tls-ca-cert-file {certificate.authority}
tls-auth-clients no
"""


@cache
def lasting_redis() -> RedisServer:
    """The server of this process for tests that do it no harm: each has names of its own in it."""
    server = RedisServer("appendonly no")
    atexit.register(server.close)
    return server


def redis_program() -> str | None:
    return shutil.which("redis-server") or shutil.which("valkey-server")


class RedisServer:
    """One server, and its data, which outlive a kill and go with `close`.

    `lines` are further ones of its configuration, the last of a setting counts. With a `password` its default user
    needs it; other users come by `user NAME on >PASSWORD ~* &* +@all`. With `tls` it also listens on a TCP port.
    """

    def __init__(self, *lines: str, password: str = "", tls: bool = False) -> None:
        # Not the test's folder: the path of a Unix socket has 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.socket = self.folder / "redis.sock"
        self.password = password
        self.certificate: Certificate | None = None
        self.tls_port = 0
        config = _CONFIG.format(socket=self.socket, folder=self.folder, databases=DATABASES)
        if tls:
            self.certificate = issue(self.folder, HOST)
            self.tls_port = _free_port()
            config += _TLS.format(port=self.tls_port, host=HOST, certificate=self.certificate)
        if password:
            config += f"requirepass {password}\n"
        (self.folder / "redis.conf").write_text(config + "\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def url(self, *, database: int = 0, user: str = "", password: str | None = None) -> str:
        """Return the URL for the Unix socket."""
        who = self._who(user, password)
        return f"unix://{who}{self.socket}?db={database}"

    def tls_url(self, *, database: int = 0, user: str = "", password: str | None = None) -> str:
        assert self.certificate is not None
        who = self._who(user, password)
        trust = f"ssl_ca_certs={self.certificate.authority}"
        return f"rediss://{who}{HOST}:{self.tls_port}/{database}?{trust}"

    def relay_url(
        self, relay: Relay, *, database: int = 0, user: str = "", password: str | None = None
    ) -> str:
        return f"redis://{self._who(user, password)}{HOST}:{relay.port}/{database}"

    def client(self, database: int = 0) -> Any:
        """Return a client for threads, to look and to meddle, which its user closes; it tries nothing twice."""
        return redis.Redis(
            unix_socket_path=str(self.socket),
            password=self.password or None,
            db=database,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
        )

    @property
    def log(self) -> str:
        return (self.folder / "redis.log").read_text(errors="replace")

    @property
    def connections(self) -> int:
        """How many others than this question has."""
        with closing(self.client()) as client:
            return len(client.client_list()) - 1

    def start(self) -> None:
        assert self._process is None
        command = [redis_program() or "redis-server", "redis.conf"]
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        ends = time.monotonic() + START_SECONDS
        while not self._is_up():
            if time.monotonic() > ends or self._process.poll() is not None:
                raise AssertionError(f"redis did not start\n{self.log}")
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """It answers nothing, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def empty(self) -> None:
        """Lose all data of all databases, and the scripts."""
        with closing(self.client()) as client:
            client.flushall()
            client.script_flush()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _who(self, user: str, password: str | None) -> str:
        secret = self.password if password is None else password
        return f"{quote(user, safe='')}:{quote(secret, safe='')}@" if user or secret else ""

    def _is_up(self) -> bool:
        try:
            with closing(socket.socket(socket.AF_UNIX)) as connection:
                connection.settimeout(1.0)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                # While it loads its data it says -LOADING.
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


class Relay:
    """A TCP port that leads to a server, in threads of its own. What it holds back while frozen comes later."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._flows = threading.Event()
        self._flows.set()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connections(self) -> int:
        with self._lock:
            return len(self._pairs)

    def freeze(self) -> None:
        """Let nothing through, not even the end of a connection: what a lost network looks like."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """End all connections; new ones are taken."""
        with self._lock:
            pairs = tuple(self._pairs)
        for pair in pairs:
            _shut(*pair)

    def close(self) -> None:
        # Closing alone does not wake who waits in `accept`.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self.thaw()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            try:
                upstream.connect(str(self._server.socket))
            except OSError:
                client.close()
                upstream.close()
                continue
            self._join(client, upstream)

    def _join(self, client: socket.socket, upstream: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (client, upstream)
        with self._lock:
            self._pairs.add(pair)
        halves = [
            threading.Thread(target=self._pump, args=way, name="relay", daemon=True)
            for way in (pair, pair[::-1])
        ]
        threading.Thread(target=self._bury, args=(pair, halves), name="relay", daemon=True).start()

    def _bury(
        self, pair: tuple[socket.socket, socket.socket], halves: list[threading.Thread]
    ) -> None:
        with ExitStack() as stack:
            for end in pair:
                stack.enter_context(end)
            for half in halves:
                half.start()
            for half in halves:
                half.join()
        with self._lock:
            self._pairs.discard(pair)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._flows.wait()
                target.sendall(data)
        self._flows.wait()
        _shut(source, target)


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _free_port() -> int:
    with closing(socket.create_server((HOST, 0))) as listener:
        return listener.getsockname()[1]
