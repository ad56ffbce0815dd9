"""`make demo`: serve examples/docs-assistant, stream one answer with curl; in a terminal go on serving, else stop.

Standard library only. Its Python is the one of the environment that holds dockrion.
"""
# ruff: noqa: S603, T201

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKFILE = ROOT / "examples" / "docs-assistant" / "Dockfile.yaml"
PAYLOAD = json.dumps({"question": "What happens to open streams when the server gets SIGTERM?"})
CONTENT_TYPE = "application/json"
HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
MODEL_VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL")
TAKEN = "is already in use"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--port", type=int, default=8080, help="another one is taken if it is not free"
    )
    port = parser.parse_args().port
    interrupted = False
    started: list[subprocess.Popen[str]] = []
    try:
        for option in dict.fromkeys((port, 0)):
            started.append(start(option))
            said: list[str] = []
            url = wait_until_ready(started[-1], said)
            if url is not None:
                return show(started[-1], url)
            if not any(TAKEN in line for line in said):
                break
        sys.stderr.writelines(said)
        print("The server did not start.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        interrupted = True
        return 0
    finally:
        for server in started:
            stop(server, has_been_told=interrupted)


def start(port: int) -> subprocess.Popen[str]:
    options = ["--host", HOST, "--port", str(port)]
    print(f"$ {shlex.join(['dockrion', 'run', str(DOCKFILE.relative_to(ROOT)), *options])}\n")
    # Not the installed script, which names the folder that it was installed in.
    command = [sys.executable, "-m", "dockrion.cli", "run", str(DOCKFILE), *options]
    # The answer is one of quotes, whatever keys the shell has: a model's would cost money, and need more packages.
    offline = {name: value for name, value in os.environ.items() if name not in MODEL_VARIABLES}
    return subprocess.Popen(command, env=offline, stderr=subprocess.PIPE, text=True)


def show(server: subprocess.Popen[str], url: str) -> int:
    """Stream one answer; return the exit code, in a terminal when the server has ended."""
    threading.Thread(target=pass_on_log, args=(server,), daemon=True).start()
    if not stream(f"{url}/invoke/stream"):
        return 1
    print(f"\nThe agent's page: {url}/", flush=True)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("Without a terminal the demo ends here.", flush=True)
        return 0
    print("Serving until Ctrl-C.", flush=True)
    return server.wait()


def wait_until_ready(server: subprocess.Popen[str], said: list[str]) -> str | None:
    """Return the address in the server's banner, which this script repeats in its own words; fill `said`."""
    assert server.stderr is not None
    watchdog = threading.Timer(START_SECONDS, server.kill)
    watchdog.daemon = True
    try:
        watchdog.start()
        for line in server.stderr:
            said.append(line)
            if line.split()[:1] == ["stop"]:
                found = re.search(r"page\s+(http://\S+)/\s", "".join(said))
                return found and found[1]
    finally:
        watchdog.cancel()
    return None


def pass_on_log(server: subprocess.Popen[str]) -> None:
    assert server.stderr is not None
    for line in server.stderr:
        sys.stderr.write(line)


def stream(url: str) -> bool:
    """Print the curl line and what it prints, as it comes."""
    arguments = [
        "curl",
        "-N",
        "-X",
        "POST",
        url,
        "-H",
        f"Content-Type: {CONTENT_TYPE}",
        "-d",
        PAYLOAD,
    ]
    print(f"$ {shlex.join(arguments)}\n", flush=True)
    if shutil.which("curl") is None:
        return stream_without_curl(url)
    direct = {**os.environ, "NO_PROXY": HOST, "no_proxy": HOST}
    # curl shows a progress meter on standard error when its output is no terminal.
    done = subprocess.run(arguments, env=direct, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    return done.returncode == 0


def stream_without_curl(url: str) -> bool:
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address)
    try:
        connection.request("POST", f"/{path}", PAYLOAD, {"Content-Type": CONTENT_TYPE})
        response = connection.getresponse()
        while piece := response.read1():
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    finally:
        connection.close()
    return response.status == http.client.OK


def stop(server: subprocess.Popen[str], *, has_been_told: bool) -> None:
    """End the server; Ctrl-C in a terminal has told it already, and a second signal would hurry it."""
    if has_been_told and has_ended(server):
        return
    server.terminate()
    if not has_ended(server):
        server.kill()
        server.wait()


def has_ended(server: subprocess.Popen[str]) -> bool:
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def terminate(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    sys.exit(main())
