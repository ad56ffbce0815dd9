"""A SQLite file that is locked, on a full disk, damaged, or cannot be one: it is said so, and goes on when it can."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from .cluster import Cluster, Node
from .following import Follower, check_run, check_whole
from .waiting import until


def refused(node: Node) -> str:
    answer = node.client.post(f"{node.url}/runs", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE"), answer.text
    return answer.json()["error"]


def ready(node: Node) -> int:
    return node.client.get(f"{node.url}/ready").status_code


@pytest.mark.nightly
def test_a_locked_file_is_waited_for_and_then_named(on_sqlite: Cluster) -> None:
    [node] = on_sqlite.start("both", lease_seconds=15)
    run_id = node.create({"tokens": 500, "pause": 0.01})
    follower = Follower([node], run_id)
    until(lambda: len(follower.seen) > 3, "the first events")
    with closing(sqlite3.connect(on_sqlite.file, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        # Of two ways to find out it may be either: a job's own transaction, or one that it waits for.
        assert re.search("is locked", refused(node))
        db.execute("ROLLBACK")
    check_whole(follower.wait())
    assert follower.seen[-1].event == "complete"
    assert node.ended(node.create({}))["status"] == "COMPLETED"
    assert on_sqlite.starts()[run_id] == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_named_and_all_goes_on_when_there_is_room(
    on_sqlite: Cluster, small_disk: Path
) -> None:
    on_sqlite.keep_in(small_disk / "runs.db")
    [node] = on_sqlite.start("both")
    before = node.create({})
    node.ended(before)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    says = until(lambda: _error(node), "a word of it")
    assert says in (
        "The database file cannot grow: the disk is full.",
        "The database file cannot be read or written: the disk has failed, or is full.",
    )
    until(lambda: ready(node) == 503, "not ready")
    # What is there can be read, and nothing runs hot meanwhile.
    assert node.status(before) == "COMPLETED"
    lines = node.log.count("\n")
    time.sleep(1)
    assert node.log.count("\n") - lines < 50
    ballast.unlink()
    until(lambda: ready(node) == 200, "ready again")
    after = node.create({"tokens": 3})
    assert node.ended(after)["status"] == "COMPLETED"
    check_run(node, after)


def _error(node: Node) -> str | None:
    # The first pages still fit.
    answer = node.client.post(f"{node.url}/runs", json={"name": "x" * 20_000})
    return answer.json()["error"] if answer.status_code == 503 else None


def test_a_file_that_was_damaged_stops_the_start_with_what_to_do(on_sqlite: Cluster) -> None:
    [node] = on_sqlite.start("both")
    node.ended(node.create({"tokens": 100}))
    node.stop()
    assert node.stopped() == 0
    with on_sqlite.file.open("r+b") as file:
        # All but the page that says what it is.
        file.seek(4096)
        file.write(b"\xa5" * (on_sqlite.file.stat().st_size - 4096))
    with pytest.raises(AssertionError, match="is damaged; restore it from a backup"):
        node.restart()
    assert node.process.returncode == 1
    assert "Traceback" not in node.log


@pytest.mark.parametrize(
    ("spoil", "says"),
    [("damaged", "is no SQLite database, or is damaged"), ("folder", "is a directory")],
)
def test_a_file_that_cannot_be_used_stops_the_start(
    on_sqlite: Cluster, spoil: str, says: str
) -> None:
    if spoil == "damaged":
        on_sqlite.file.parent.mkdir()
        on_sqlite.file.write_bytes(b"\xa5" * 8192)
    else:
        on_sqlite.file.mkdir(parents=True)
    with pytest.raises(AssertionError, match=f"streaming.sqlite.path: .*{says}"):
        on_sqlite.start("both")
    [node] = on_sqlite.nodes
    assert node.process.returncode == 1
    assert "Traceback" not in node.log
