"""Several processes on one backend: servers and workers of one Dockfile, which tests end as they like."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx

from tests.e2e.server import DOCKRION_RUN, HOST, free_port
from tests.redis_server import RedisServer

from .waiting import until

DOCKRION = DOCKRION_RUN[0]
AGENT = Path(__file__).with_name("agent.py")
LEASE_SECONDS = 2.0
# A lost run is found within its lease and so much more.
REAPED_SECONDS = LEASE_SECONDS + 5.0
FINAL = ("COMPLETED", "FAILED", "CANCELLED")


class Note(NamedTuple):
    """What the agent has written down of one of its runs: `started`, `ended`, or `left` where it was stopped."""

    what: str
    run: str
    pid: int


class Node:
    """One process: a server, or with `only_works` a worker, which answers nobody."""

    def __init__(self, folder: Path, log: Path, dockfile: str, *, only_works: bool) -> None:
        self.folder = folder
        self._only_works = only_works
        self._log = log
        self._starts = 0
        self._dockfile = dockfile
        self.client = httpx.Client(trust_env=False, timeout=20)
        self._spawn()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _spawn(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self._starts += 1
        command = [DOCKRION, "run", self._dockfile, "--port", str(self.port), "--host", HOST]
        if self._only_works:
            command = [DOCKRION, "worker", self._dockfile]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def ready(self) -> Self:
        until(self._is_ready, "a server that is ready")
        return self

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            assert "already in use" in self.log, self.log
            self._spawn()
        if self._only_works:
            return self.log.count("Ctrl-C ends it") == self._starts
        try:
            return self.client.get(f"{self.url}/ready").status_code == 200
        except httpx.TransportError:
            return False

    def restart(self) -> Self:
        """Start again on the same port, to which clients come back."""
        assert self.process.poll() is not None
        self._spawn(self.port)
        return self.ready()

    @property
    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    # What is done to it

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()

    def freeze(self) -> None:
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stopped(self, *, seconds: float = 20.0) -> int:
        return self.process.wait(seconds)

    # What is asked of it

    def create(self, payload: dict[str, Any], **query: str) -> str:
        answer = self.client.post(f"{self.url}/runs", json=payload, params=query)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()["run_id"]

    def get(self, run_id: str) -> dict[str, Any]:
        answer = self.client.get(f"{self.url}/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, run_id: str) -> str:
        return self.get(run_id)["status"]

    def ended(self, run_id: str, *, seconds: float = 20.0) -> dict[str, Any]:
        until(lambda: self.status(run_id) in FINAL, f"the end of the run {run_id}", seconds=seconds)
        return self.get(run_id)

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, page for page."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 100}
        while True:
            answer = self.client.get(f"{self.url}/runs", params=query).json()
            found += answer["runs"]
            if answer["next_cursor"] is None:
                return found
            query["cursor"] = answer["next_cursor"]


class Cluster:
    """Nodes that share a folder, with the Dockfile and the agent in it, and a backend."""

    def __init__(
        self, folder: Path, redis: RedisServer | None = None, *, memory: bool = False
    ) -> None:
        """On that Redis, else on a SQLite file; in `memory` it has one node."""
        self.folder = folder
        self.backend = "memory" if memory else "sqlite" if redis is None else "redis"
        self._redis = redis
        section = {} if redis is None else {"url": redis.url()}
        self._streaming: dict[str, Any] = {"backend": self.backend, self.backend: section}
        self.nodes: list[Node] = []
        (folder / "service.py").write_text(AGENT.read_text())
        (folder / "gates").mkdir()
        (folder / "notes").touch()

    def start(
        self,
        *kinds: str,
        handler: str = "handle",
        max_attempts: int = 1,
        concurrency: int = 16,
        grace: int = 30,
        lease_seconds: float = LEASE_SECONDS,
        agent: dict[str, str] | None = None,
        sections: dict[str, Any] | None = None,
        **connection: Any,
    ) -> list[Node]:
        """Start nodes, all at once: a `replica` only serves, a `worker` only works, `both` is both. They are ready."""
        started: list[Node] = []
        for kind in kinds:
            place = len(self.nodes)
            name = f"Dockfile-{place}.yaml"
            streaming = {
                **self._streaming,
                "worker": kind != "replica",
                "connection": {**connection},
            }
            dockfile = {
                "version": "1.0",
                "agent": {"name": "chaos", **(agent or {"handler": f"service:{handler}"})},
                "io_schema": {},
                "expose": {"shutdown_grace": grace},
                "streaming": streaming,
                "runs": {
                    "max_attempts": max_attempts,
                    "lease_seconds": lease_seconds,
                    "concurrency": concurrency,
                },
                **(sections or {}),
            }
            (self.folder / name).write_text(json.dumps(dockfile))
            log = self.folder / f"log-{place}"
            started.append(Node(self.folder, log, name, only_works=kind == "worker"))
            self.nodes.append(started[-1])
        return [node.ready() for node in started]

    @property
    def redis(self) -> RedisServer:
        assert self._redis is not None
        return self._redis

    def forget_soon(self) -> None:
        """Let nodes that are started from now on keep ended runs no longer than their backend has to."""
        least = 0 if self.backend == "memory" else 60
        section = {**self._streaming[self.backend], "stream_ttl_seconds": least}
        self._streaming = {**self._streaming, self.backend: section}

    @property
    def file(self) -> Path:
        return self.folder / ".dockrion" / "runs.db"

    def keep_in(self, file: Path) -> None:
        """Let nodes that are started from now on use this file."""
        self._streaming = {**self._streaming, "sqlite": {"path": str(file)}}

    def reach_by(self, url: str) -> None:
        """Let nodes that are started from now on reach Redis in this way."""
        self._streaming = {**self._streaming, "redis": {"url": url}}

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
            node.client.close()

    def freeze(self, node: Node) -> None:
        """Freeze a node, but not while it holds the lock of the database file, which all others would wait for."""
        while True:
            node.freeze()
            if self._can_write():
                return
            node.thaw()

    def _can_write(self) -> bool:
        if self.backend != "sqlite":
            return True
        with closing(sqlite3.connect(self.file, timeout=0.5, isolation_level=None)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            return True

    # The agent's side

    def open_gate(self, name: str, pid: int | None = None) -> None:
        """Let runs that wait at a gate go on: of all processes, or of one."""
        text = "" if pid is None else str(pid)
        beside = self.folder / "gates" / f"{name}.new"
        beside.write_text(text)
        beside.rename(self.folder / "gates" / name)

    def notes(self, what: str | None = None, run_id: str | None = None) -> list[Note]:
        lines = (self.folder / "notes").read_text().splitlines()
        notes = [Note(**json.loads(line)) for line in lines]
        return [
            note
            for note in notes
            if (what is None or note.what == what) and (run_id is None or note.run == run_id)
        ]

    def started(self, run_id: str, *, times: int = 1) -> list[Note]:
        """Wait until the agent has started a run so many times."""
        return until(
            lambda: notes if len(notes := self.notes("started", run_id)) >= times else [],
            f"the run {run_id} being started {times} times",
        )

    def worker_of(self, note: Note) -> Node:
        [node] = [node for node in self.nodes if node.pid == note.pid]
        return node

    def starts(self) -> Counter[str]:
        return Counter(note.run for note in self.notes("started"))


def all_ended(node: Node, run_ids: Sequence[str], *, seconds: float = 30.0) -> dict[str, str]:
    """Wait until all runs have ended; return their states."""
    deadline = time.monotonic() + seconds
    while True:
        states = {run["run_id"]: run["status"] for run in node.runs()}
        missing = [run_id for run_id in run_ids if run_id not in states]
        assert not missing, f"lost: {missing}"
        open_ones = {id_: state for id_, state in states.items() if state not in FINAL}
        if not open_ones:
            return states
        assert time.monotonic() < deadline, f"not ended: {open_ones}"
        time.sleep(0.05)
