"""A real Redis that a test starts, stops and starts again, on a Unix socket of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

import redis

from tests.missing import not_tested


class RedisServer:
    """`options` are those of its configuration file, such as `requirepass`; the data of a stopped one is gone."""

    def __init__(self, folder: Path, **options: str) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            not_tested("redis-server is not installed")
        self.path = folder / "redis.sock"
        self.log = folder / "redis.log"
        settings = {
            "port": "0",
            "unixsocket": str(self.path),
            "save": "",
            "dir": str(folder),
            "logfile": str(self.log),
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        self._command = [program]
        for name, value in settings.items():
            self._command += [f"--{name}", *(value.split() if value else [""])]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        ends = monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert monotonic() < ends, "redis-server does not start"
            sleep(0.01)

    def _answers(self) -> bool:
        try:
            self.client().ping()
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.path), socket_timeout=5, **options)


@contextmanager
def redis_server(**options: str) -> Generator[RedisServer]:
    # Paths of Unix sockets are short.
    with TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder), **options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
