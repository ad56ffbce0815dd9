"""A real nginx in front of a server: a configuration as a beginner writes it, in a folder of the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from .server import HOST, free_port

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 10.0
# Where Debian puts it, which is on the path of root alone.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin")

_CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass {upstream};
            {location}
        }}
    }}
}}
"""


def nginx() -> str | None:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    return shutil.which("nginx", path=path)


class Nginx:
    """Proxies to `upstream`; `http` and `location` are further lines of its configuration."""

    def __init__(self, folder: Path, upstream: str, *, http: str = "", location: str = "") -> None:
        self.port = free_port()
        self._folder = folder
        config = folder / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                # Root's workers would become somebody who may not enter the test's folder.
                user="user root;" if os.geteuid() == 0 else "",
                folder=folder,
                host=HOST,
                port=self.port,
                upstream=upstream,
                http=http,
                location=location,
            )
        )
        self._start()

    def _start(self, *options: str) -> None:
        folder = self._folder
        files = ["-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
        command = [nginx() or "nginx", *options, *files]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((HOST, self.port)).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError(f"nginx did not start\n{(self._folder / 'error.log').read_text()}")
