"""The build context is exactly what was planned: nothing stale, nothing half, nothing secret, the same each time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dockrion.build.context import Written, alone
from dockrion.build.image import write_image
from dockrion.errors import DeploymentError

from .projects import HANDLER, plan, project
from .test_runtime_files import ASK

Snapshot = dict[str, tuple[bytes | None, int, int]]


def write(dockfile: Path) -> Written:
    runtime = dockfile.parent / ".dockrion_runtime"
    with alone(runtime, lambda: None):
        return write_image(plan(dockfile), runtime)


def snapshot(folder: Path) -> Snapshot:
    """Return content, mode and time of all that is in a folder."""
    found: Snapshot = {}
    for path in folder.rglob("*"):
        status = path.stat()
        content = None if path.is_dir() else path.read_bytes()
        found[path.relative_to(folder).as_posix()] = (
            content,
            status.st_mode & 0o777,
            int(status.st_mtime),
        )
    return found


def test_it_holds_the_dockerfile_the_requirements_and_the_project(tmp_path: Path) -> None:
    files = {
        "service.py": HANDLER,
        "requirements.txt": "-r more/base.txt\n",
        "more/base.txt": "tool\n",
    }

    written = write(project(tmp_path, files))

    there = snapshot(written.folder)
    assert {place for place, (content, *_) in there.items() if content is not None} == {
        "Dockerfile",
        "project/Dockfile.yaml",
        "project/service.py",
        "project/.dockrion_runtime/main.py",
        "project/.dockrion_runtime/requirements.txt",
        "requirements/requirements.txt",
        "requirements/more/base.txt",
    }
    assert written.files == 7
    assert written.bytes == sum(len(content) for content, *_ in there.values() if content)
    assert (written.folder / "project/Dockfile.yaml").read_bytes() == (
        tmp_path / "Dockfile.yaml"
    ).read_bytes()
    runtime = written.folder.parent
    for name in ("Dockerfile", "project/.dockrion_runtime/requirements.txt"):
        assert (runtime / Path(name).name).read_bytes() == (written.folder / name).read_bytes()


def test_its_main_has_the_app_of_its_own_dockfile(tmp_path: Path) -> None:
    dockfile = project(
        tmp_path, {"bot/__init__.py": HANDLER}, handler="bot:answer", name="it's.yaml"
    )
    written = write(dockfile)
    dockfile.unlink()
    shutil.rmtree(tmp_path / "bot")

    runtime = written.folder / "project/.dockrion_runtime"
    done = subprocess.run(
        [sys.executable, "-c", ASK, runtime],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert '"answer":"yes"' in done.stdout, done.stderr


def test_nothing_of_an_earlier_build_is_left(tmp_path: Path) -> None:
    files = {"service.py": HANDLER, "data/old.txt": "", "data/same.txt": "1"}
    dockfile = project(tmp_path, files, build={"include": {"directories": ["data"]}})
    context = write(dockfile).folder
    (context / "project/added.by.hand").write_text("")
    # What a build leaves that was killed.
    (context.parent / "context.new").mkdir()
    (context.parent / "context.old").write_text("")
    (tmp_path / "data/old.txt").unlink()
    (tmp_path / "data/same.txt").write_text("2")

    write(dockfile)

    assert sorted(path.name for path in (context / "project/data").iterdir()) == ["same.txt"]
    assert (context / "project/data/same.txt").read_text() == "2"
    assert not (context / "project/added.by.hand").exists()
    assert {path.name for path in context.parent.iterdir()} == {
        "context",
        "Dockerfile",
        "main.py",
        "requirements.txt",
    }


def test_a_build_that_fails_leaves_the_last_one_as_it_is(tmp_path: Path) -> None:
    dockfile = project(
        tmp_path, {"bot/__init__.py": "", "bot/service.py": HANDLER}, handler="bot.service:answer"
    )
    written = write(dockfile)
    before = snapshot(written.folder)
    planned = plan(dockfile)
    (tmp_path / "bot/service.py").unlink()

    with pytest.raises(DeploymentError, match=r"^bot/service\.py cannot be read: No such file"):
        write_image(planned, written.folder.parent)

    assert snapshot(written.folder) == before
    assert not (written.folder.parent / "context.new").exists()


def test_the_same_project_gives_the_same_context_wherever_and_whenever(tmp_path: Path) -> None:
    files = {"service.py": HANDLER, "run.sh": "#!/bin/sh", "data/b.txt": "", "data/a.txt": ""}
    section = {"include": {"directories": ["."]}}
    first, second = tmp_path / "one", tmp_path / "two"
    one = project(first, files, build=section)
    two = project(second, dict(reversed(files.items())), build=section)
    for folder, mode in ((first, 0o600), (second, 0o644)):
        for path in (folder / "service.py", folder / "Dockfile.yaml"):
            path.chmod(mode)
        (folder / "run.sh").chmod(mode | 0o111)
    (first / "data").chmod(0o700)
    os.utime(first / "service.py", (1, 1))

    before = os.umask(0o077)
    try:
        snapshots = [snapshot(write(one).folder)]
    finally:
        os.umask(before)
    snapshots.append(snapshot(write(two).folder))

    assert snapshots[0] == snapshots[1]
    assert {time for *_, time in snapshots[0].values()} == {315_532_800}
    assert snapshots[0]["project/run.sh"][1] == 0o755
    # Whoever the image's user is, he can read it.
    assert snapshots[0]["project/service.py"][1] == 0o644


def test_a_folder_that_is_included_is_there_when_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    section = {"include": {"directories": ["uploads"]}}

    written = write(project(tmp_path, {"service.py": HANDLER}, build=section))

    assert (written.folder / "project/uploads").is_dir()


@pytest.mark.parametrize("size", [0, 5_000_000])
def test_a_file_that_holds_a_secret_is_refused_by_name(tmp_path: Path, size: int) -> None:
    files = {"service.py": HANDLER, ".env": "API_KEY=sk-0123456789abcdef\n"}
    dockfile = project(
        tmp_path,
        files,
        secrets={"required": [{"name": "API_KEY"}]},
        build={"include": {"directories": ["data"]}},
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dump.bin").write_bytes(b"\0" * size + b"key: sk-0123456789abcdef\n")

    with pytest.raises(DeploymentError) as caught:
        write(dockfile)

    assert caught.value.message == "data/dump.bin holds the value of API_KEY, and an image must not"
    assert not (tmp_path / ".dockrion_runtime/context").exists()


def test_a_large_file_is_copied_as_it_is(tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 5
    dockfile = project(
        tmp_path,
        {"service.py": HANDLER, "model.bin": content},
        build={"include": {"files": ["model.bin"]}},
    )

    assert (write(dockfile).folder / "project/model.bin").read_bytes() == content


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        # Words and addresses that a file may hold by chance.
        ("postgres", {}),
        ("https://api.example.com/v1/", {}),
        # Whoever writes a default into the Dockfile keeps no secret.
        ("sk-0123456789abcdef", {"default": "sk-0123456789abcdef"}),
    ],
)
def test_what_is_no_secret_may_stand_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, secret: dict[str, Any]
) -> None:
    monkeypatch.setenv("VALUE", value)
    files = {"service.py": f"VALUE = {value!r}\n{HANDLER}"}
    dockfile = project(tmp_path, files, secrets={"optional": [{"name": "VALUE", **secret}]})

    assert value in (write(dockfile).folder / "project/service.py").read_text()


def test_a_secret_that_is_written_into_the_dockfile_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "sk-0123456789abcdef")
    dockfile = project(
        tmp_path,
        {"service.py": HANDLER},
        secrets={"required": [{"name": "API_KEY"}]},
        arguments={"key": "sk-0123456789abcdef"},
    )

    with pytest.raises(DeploymentError, match=r"Dockfile\.yaml holds the value of API_KEY"):
        write(dockfile)


def test_passwords_of_indexes_are_where_packages_are_installed_and_not_in_the_image(
    tmp_path: Path,
) -> None:
    lines = (
        "--extra-index-url https://me:hush-hush@example.com/simple\n"
        "a @ git+https://hush-token@example.com/a.git\n"
        "b @ git+ssh://git@example.com/b.git\n"
        "--index-url https://${TOKEN}@example.com/simple\n"
    )
    dockfile = project(tmp_path, {"service.py": HANDLER, "requirements.txt": lines})

    context = write(dockfile).folder

    assert lines in (context / "requirements/requirements.txt").read_text()
    kept = (context / "project/.dockrion_runtime/requirements.txt").read_text()
    assert kept.endswith(
        "--extra-index-url https://***@example.com/simple\n"
        "a @ git+https://***@example.com/a.git\n"
        "b @ git+ssh://git@example.com/b.git\n"
        "--index-url https://${TOKEN}@example.com/simple\n"
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    dockfile = project(tmp_path, {"service.py": HANDLER})
    (tmp_path / ".dockrion_runtime").write_text("in the way")

    with pytest.raises(DeploymentError, match=r"\.dockrion_runtime cannot be written: "):
        write(dockfile)


def test_builds_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    files = {"service.py": HANDLER} | {f"data/{n}.txt": str(n) for n in range(50)}
    dockfile = project(tmp_path, files, build={"include": {"directories": ["data"]}})
    complete = {path.name for path in (write(dockfile).folder / "project/data").iterdir()}
    seen: list[set[str]] = []

    def build(_: int) -> None:
        runtime = tmp_path / ".dockrion_runtime"
        with alone(runtime, lambda: None):
            context = write_image(plan(dockfile), runtime).folder
            # What docker would read now.
            seen.append({path.name for path in (context / "project/data").iterdir()})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(build, range(12)))

    assert seen == [complete] * 12


def test_a_build_waits_for_another_one_and_says_so(tmp_path: Path) -> None:
    waiting = threading.Event()
    order: list[str] = []

    def second() -> None:
        with alone(tmp_path, waiting.set):
            order.append("second")

    with alone(tmp_path, never_called):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(20)
        order.append("first")
    thread.join(20)

    assert order == ["first", "second"]


def never_called() -> None:
    raise AssertionError("nobody else builds here")
