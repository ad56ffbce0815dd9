"""Requirements files of every kind: the author's lines stay, dockrion's own are added where they agree."""

from __future__ import annotations

import ensurepip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dockrion.build.requirements import WRITTEN, merged_requirements, requirement_files
from dockrion.errors import BuildConflictError, DeploymentError
from dockrion.spec import DockSpec
from dockrion.version import VERSION

from ..missing import not_tested
from .requirement_cases import CASES, CONFLICTS, Case, Conflict

ROOT = Path(__file__).parents[2]

# Reads each file as `pip install -r` does, and prints what came of it: texts, or the error.
ASK_PIP = """
import json, os, sys
from pip._internal.network.session import PipSession
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements
session = PipSession()
for folder in sys.argv[1:]:
    os.chdir(folder)
    try:
        found = [
            str(install_req_from_parsed_requirement(one).req or one.requirement)
            for one in parse_requirements("requirements.txt", session=session)
            if not one.constraint
        ]
    except Exception as exc:
        found = {"error": f"{type(exc).__name__}: {exc}"}
    print(json.dumps(found))
"""

# What the files of the table leave to the environment.
VARIABLES = {"TOKEN": "t", "USER": "u", "PASS": "p", "REQUESTS_VERSION": "2.0", "V": VERSION}


def spec_of(**sections: Any) -> DockSpec:
    """The agent of the table: it needs the extra `redis`."""
    return DockSpec.model_validate(
        {
            "version": "1.0",
            "agent": {"name": "local", "handler": "service:answer"},
            "io_schema": {},
            "expose": {},
            "streaming": {"backend": "redis", "redis": {"url": "redis://h"}},
            **sections,
        }
    )


def lay_out(folder: Path, text: str, others: Mapping[str, str] | None = None) -> Path:
    for name, content in {"requirements.txt": text, **(others or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return folder


def added_to(merged: str, text: str) -> list[str]:
    """Return the lines that stand in front of the author's text, which is there byte for byte."""
    assert merged.endswith(text)
    header, *lines = merged.removesuffix(text).splitlines()
    assert header == WRITTEN
    return lines


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_authors_lines_stay_and_dockrion_is_there_once(tmp_path: Path, case: Case) -> None:
    folder = lay_out(tmp_path, case.text, case.others)

    lines = added_to(merged_requirements(spec_of(), folder), case.text)

    assert [line for line in lines if not line.startswith("#")] == (
        [] if case.added is None else [case.added]
    )


@pytest.mark.parametrize("case", CONFLICTS, ids=lambda case: case.name)
def test_what_cannot_be_met_together_names_both_sides(tmp_path: Path, case: Conflict) -> None:
    folder = lay_out(tmp_path, case.text, case.others)

    with pytest.raises(BuildConflictError) as caught:
        merged_requirements(spec_of(), folder)

    assert caught.value.message == "\n".join(caught.value.conflicts)
    assert [told for told in case.told if told not in caught.value.message] == []
    assert "hush" not in caught.value.message


def test_pip_reads_what_was_made_of_each_file(tmp_path: Path) -> None:
    [pip] = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    folders = [written(tmp_path / str(number), case) for number, case in enumerate(CASES)]

    done = subprocess.run(
        [sys.executable, "-c", ASK_PIP, *map(str, folders)],
        env={**os.environ, "PYTHONPATH": str(pip), **VARIABLES},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    read = dict(
        zip((case.name for case in CASES), map(json.loads, done.stdout.splitlines()), strict=True)
    )
    refused = [name for name, found in read.items() if "error" in found]
    assert refused == [case.name for case in CASES if not case.pip_reads]
    without = [name for name, found in read.items() if "dockrion" not in str(found).lower()]
    assert [name for name in without if name not in refused] == []


def written(folder: Path, case: Case) -> Path:
    """Lay the case out with its merged file in place of the author's."""
    folder.mkdir()
    lay_out(folder, case.text, case.others)
    (folder / "wheels").mkdir(exist_ok=True)
    (folder / "wheels/tool-1.0-py3-none-any.whl").touch()
    (folder / f"wheels/dockrion-{VERSION}-py3-none-any.whl").touch()
    merged = merged_requirements(spec_of(), folder)
    (folder / "requirements.txt").write_bytes(merged.encode())
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_uv_reads_what_was_made_of_each_file(tmp_path: Path, case: Case) -> None:
    uv = shutil.which("uv", path=f"{ROOT / '.tools/bin'}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        not_tested("uv on a requirements file: .tools/bin/uv (`make` gets it)")
    folder = written(tmp_path / "agent", case)

    done = subprocess.run(
        [
            uv,
            "pip",
            "compile",
            "--offline",
            "--no-deps",
            "--no-config",
            "-p",
            sys.executable,
            "requirements.txt",
        ],
        cwd=folder,
        env={**os.environ, **VARIABLES},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    # Packages that it would have to fetch are not found; a line that it cannot read is another matter.
    misread = ("Couldn't parse", "Unexpected", "Expected", "failed to read")
    assert any(words in done.stderr for words in misread) == (not case.uv_reads), done.stderr


def test_no_requirements_file_gives_dockrion_alone(tmp_path: Path) -> None:
    assert merged_requirements(spec_of(), tmp_path) == f"{WRITTEN}\ndockrion[redis]=={VERSION}\n"


def test_a_byte_order_mark_does_not_end_up_between_lines(tmp_path: Path) -> None:
    lay_out(tmp_path, "\ufeffrequests\n")
    merged = merged_requirements(spec_of(), tmp_path)
    assert merged.endswith("\nrequests\n")
    assert "\ufeff" not in merged


def test_what_an_environment_holds_is_not_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hush")
    text = "-i https://${TOKEN}@example.com/simple\ntool @ https://${TOKEN}@example.com/tool.zip\n"

    merged = merged_requirements(spec_of(), lay_out(tmp_path, text))

    assert text in merged
    assert "hush" not in merged


def test_hashes_of_some_packages_are_said_to_be_no_matter_for_uv(tmp_path: Path) -> None:
    text = f"requests==2.32.0 --hash=sha256:{'a' * 64}\n"

    [comment, line] = added_to(merged_requirements(spec_of(), lay_out(tmp_path, text)), text)

    assert comment.startswith("# pip would refuse this line for want of a hash (requirements.txt:1")
    assert line == f"dockrion[redis]=={VERSION}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("--require-hashes\nrequests==2.32.0\n", f"dockrion[redis]=={VERSION}"),
        (f"--require-hashes\ndockrion=={VERSION} --hash=sha256:{'a' * 64}\n", "dockrion[redis]"),
    ],
)
def test_required_hashes_leave_no_room_for_a_line_without_one(
    tmp_path: Path, text: str, line: str
) -> None:
    with pytest.raises(BuildConflictError) as caught:
        merged_requirements(spec_of(), lay_out(tmp_path, text))

    assert caught.value.conflicts == [
        f"requirements.txt:1 has `--require-hashes`, but `{line}` is listed with no hash"
    ]
    assert caught.value.__notes__ == [
        f"add {line} to what your requirements are compiled from, and compile them with hashes again"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\nrequests=2\n", "requirements.txt:2: `requests=2` is no requirement: "),
        ("requests \\\n  httpx\n", "requirements.txt:1: `requests   httpx` is no requirement: "),
        ("tool ; python > 3\n", "requirements.txt:1: `tool ; python > 3` is no requirement: "),
        (
            "x @ https://[::1/x.zip\n",
            "requirements.txt:1: `x @ https://[::1/x.zip` is no requirement: ",
        ),
        ("./lib ; os\n", "requirements.txt:1: `./lib ; os` is no requirement: "),
        ("-r none.txt\n", "requirements.txt:1: `-r none.txt`: none.txt not found"),
        ("-c a/../none.txt\n", "requirements.txt:1: `-c a/../none.txt`: none.txt not found"),
    ],
)
def test_what_no_installer_could_read_is_said_with_its_line(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(DeploymentError) as caught:
        merged_requirements(spec_of(), lay_out(tmp_path, text))
    assert caught.value.message.startswith(told)


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    lay_out(tmp_path, "-r a.txt\n")
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(DeploymentError, match=r"a\.txt is not UTF-8: byte 3"):
        merged_requirements(spec_of(), tmp_path)


def test_files_that_lines_name_go_into_the_context(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "-r requirements/base.txt\n-c https://example.com/limits.txt\n-e ./lib[fast]\n"
        "wheels/tool-1.0-py3-none-any.whl\n-f links\nhttpx\nx @ git+https://example.com/x.git\n"
        "other @ file://${PROJECT_ROOT}/other\n",
        {
            # What it includes is beside it; the folder is where the installer is started.
            "requirements/base.txt": "-c limits.txt\n./second\n-r ../requirements.txt\n",
            "requirements/limits.txt": "httpx<1\n",
            "lib/setup.py": "",
            "second/pyproject.toml": "",
            "other/pyproject.toml": "[project]",
            "wheels/tool-1.0-py3-none-any.whl": "",
            "links/index.html": "",
        },
    )

    names = [str(path.relative_to(tmp_path)) for path in requirement_files(tmp_path)]

    assert names == [
        "lib",
        "links",
        "other",
        "requirements/base.txt",
        "requirements/limits.txt",
        "second",
        "wheels/tool-1.0-py3-none-any.whl",
    ]


def test_the_project_itself_is_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, "-e .\n", {"pyproject.toml": '[project]\nname = "agent"\n'})
    assert requirement_files(tmp_path) == [tmp_path]
    monkeypatch.chdir(tmp_path)
    assert requirement_files(Path()) == [Path()]


def test_without_a_requirements_file_there_is_nothing_to_take_along(tmp_path: Path) -> None:
    assert requirement_files(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("-e ../lib", "it is outside of the project"),
        ("-r ../base.txt", "it is outside of the project"),
        (
            "/opt/wheels/tool-1.0-py3-none-any.whl",
            "an absolute path, which the image does not have",
        ),
        ("tool @ file:///opt/tool", "an absolute path, which the image does not have"),
        ("-r ${FOLDER}/base.txt", "what a variable's value names is not known"),
        ("./tool.whl", "not found"),
    ],
)
def test_what_an_image_could_not_have_is_an_error(
    tmp_path: Path, line: str, complaint: str
) -> None:
    (tmp_path / "base.txt").touch()
    (tmp_path / "agent").mkdir()
    folder = lay_out(tmp_path / "agent", f"{line}\n")

    with pytest.raises(DeploymentError) as caught:
        requirement_files(folder)

    assert caught.value.message.startswith(f"requirements.txt:1: `{line}`: {complaint}")


def test_conflicts_do_not_depend_on_the_machine_that_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    text = 'pydantic==1.10 ; sys_platform == "win32"\nredis<5 ; platform_machine == "aarch64"\n'

    with pytest.raises(BuildConflictError) as caught:
        merged_requirements(spec_of(), lay_out(tmp_path, text))

    assert [line.split(":")[0] for line in caught.value.conflicts] == ["redis"]
