"""What the Dockfile includes is in the image, what it excludes is not, and secrets never are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dockrion.build import selection
from dockrion.errors import (
    BuildConflictError,
    DeploymentError,
    ModuleMissingError,
    ValidationError,
)

from .projects import HANDLER, held, plan, project

DATA = {
    "service.py": HANDLER,
    "data/cities.csv": "",
    "data/deep/rivers.csv": "",
    "data/.hidden": "",
    "prompts/system.md": "",
    "prompts/old/system.md": "",
    "LICENSE": "",
    "notes.md": "",
}


def build(tmp_path: Path, files: dict[str, str], **build_section: Any) -> set[str]:
    return held(project(tmp_path, files, build=build_section))


def refused(tmp_path: Path, files: dict[str, str], **build_section: Any) -> str:
    with pytest.raises(DeploymentError) as caught:
        build(tmp_path, files, **build_section)
    return caught.value.message


def test_without_a_build_section_it_is_the_agents_module_alone(tmp_path: Path) -> None:
    assert build(tmp_path, DATA) == {"service.py"}


def test_an_agent_in_a_package_brings_the_whole_package(tmp_path: Path) -> None:
    files = {
        "bot/core/service.py": HANDLER,
        "bot/data.json": "",
        "bot/other/unused.py": "",
        "else.py": "",
    }
    dockfile = project(tmp_path, files, handler="bot.core.service:answer")

    assert held(dockfile) == {"bot/core/service.py", "bot/data.json", "bot/other/unused.py"}


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ({"directories": ["data"]}, {"data/cities.csv", "data/deep/rivers.csv", "data/.hidden"}),
        ({"directories": ["./data/deep/"]}, {"data/deep/rivers.csv"}),
        ({"directories": ["."]}, set(DATA)),
        ({"files": ["LICENSE", "prompts/system.md"]}, {"LICENSE", "prompts/system.md"}),
        ({"patterns": ["data/*.csv"]}, {"data/cities.csv"}),
        ({"patterns": ["data/*"]}, {"data/cities.csv"}),
        ({"patterns": ["**/*.csv"]}, {"data/cities.csv", "data/deep/rivers.csv"}),
        ({"patterns": ["*.md"]}, {"notes.md"}),
        ({"patterns": ["**/system.md"]}, {"prompts/system.md", "prompts/old/system.md"}),
        ({"patterns": ["data/**"]}, {"data/cities.csv", "data/deep/rivers.csv"}),
        ({"patterns": ["data/**/.hidden"]}, {"data/.hidden"}),
        ({"patterns": ["d?ta/[c-d]ities.csv"]}, {"data/cities.csv"}),
        (
            {"patterns": ["LICENSE", "prompts"]},
            {"LICENSE", "prompts/system.md", "prompts/old/system.md"},
        ),
    ],
)
def test_what_is_included_is_there(
    tmp_path: Path, include: dict[str, list[str]], expected: set[str]
) -> None:
    assert build(tmp_path, DATA, include=include) == expected | {"service.py"}


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        (["*.csv"], {"data/.hidden"}),
        (["/data/deep/"], {"data/cities.csv", "data/.hidden"}),
        (["deep"], {"data/cities.csv", "data/.hidden"}),
        (["data/*", "!data/cities.csv"], {"data/cities.csv"}),
        # As with git: nothing can be taken back out of a folder that is excluded.
        (["data/", "!data/cities.csv"], set[str]()),
        (["**/*.csv", "# a comment", ""][:2], {"data/.hidden"}),
        (["/cities.csv"], {"data/cities.csv", "data/deep/rivers.csv", "data/.hidden"}),
    ],
)
def test_exclusions_are_gitignore_patterns_and_applied_last(
    tmp_path: Path, exclude: list[str], expected: set[str]
) -> None:
    include = {"directories": ["data"]}
    assert build(tmp_path, DATA, include=include, exclude=exclude) == expected | {"service.py"}


def test_an_include_that_is_excluded_altogether_is_told(tmp_path: Path) -> None:
    section = {"include": {"files": ["LICENSE"]}, "exclude": ["LICENSE"]}

    planned = plan(project(tmp_path, DATA, build=section))

    assert "LICENSE" not in planned.contents.files
    assert planned.warnings == ["build.include.files[0]: LICENSE is kept out by build.exclude"]


def test_all_missing_includes_are_named_at_once(tmp_path: Path) -> None:
    include = {
        "directories": ["data", "models", "LICENSE"],
        "files": ["nothing.txt", "data"],
        "patterns": ["*.onnx"],
    }

    assert refused(tmp_path, DATA, include=include).split("\n") == [
        "build.include.directories[1]: models not found",
        "build.include.directories[2]: LICENSE is a file: list it under files",
        "build.include.files[0]: nothing.txt not found",
        "build.include.files[1]: data is a folder: list it under directories",
        "build.include.patterns[0]: *.onnx matches no file",
    ]


def test_the_dockfile_is_there_whatever_is_excluded(tmp_path: Path) -> None:
    planned = plan(project(tmp_path, DATA, build={"exclude": ["*.yaml"]}))
    assert set(planned.contents.files) == {"Dockfile.yaml", "service.py"}


@pytest.mark.parametrize("exclude", ["service.py", "*.py", "/service.*"])
def test_an_exclusion_of_the_agents_own_module_is_a_conflict(tmp_path: Path, exclude: str) -> None:
    with pytest.raises(BuildConflictError) as caught:
        build(tmp_path, DATA, exclude=[exclude])

    told = "agent.handler: service.py is the agent's own module, and build.exclude keeps it out"
    assert caught.value.conflicts == [told]


def test_an_exclusion_of_the_agents_package_is_a_conflict_too(tmp_path: Path) -> None:
    files = {"bot/__init__.py": "", "bot/service.py": HANDLER}
    section = {"exclude": ["bot/"]}
    dockfile = project(tmp_path, files, handler="bot.service:answer", build=section)

    with pytest.raises(BuildConflictError) as caught:
        plan(dockfile)

    assert len(caught.value.conflicts) == 2


def test_an_agent_that_is_a_link_out_of_the_project_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(HANDLER)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "service.py").symlink_to("../elsewhere.py")

    with pytest.raises(BuildConflictError, match=r"service\.py is a link out of the project"):
        plan(project(folder, {}))


def test_a_pattern_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"build.exclude\[1\]: ! is no gitignore pattern"):
        build(tmp_path, DATA, exclude=["*.csv", "!"])


def test_an_agent_that_is_nowhere_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(
        ModuleMissingError, match=r"agent\.handler: no module 'servise' in .*'service'"
    ):
        plan(project(tmp_path, DATA, handler="servise:answer"))


def test_a_folder_without_code_is_no_agent(tmp_path: Path) -> None:
    with pytest.raises(ModuleMissingError, match=r"data is a folder without an __init__\.py"):
        plan(project(tmp_path, DATA, handler="data:answer"))


def test_an_agent_of_an_installed_package_needs_no_files(tmp_path: Path) -> None:
    assert held(project(tmp_path, DATA, handler="dockrion.testing.agents:anything")) == set()


SECRETS = [
    ".env",
    ".env.production",
    ".env.example",
    ".ENV",
    "deep/.env.local",
    "prod.env",
    "env.yaml",
    "deep/env.yml",
    "server.pem",
    "SERVER.KEY",
    "store.p12",
    "id_rsa",
    "deep/id_ed25519",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".aws/credentials",
    ".ssh/known_hosts",
    "secrets.yaml",
    "credentials.json",
    "service-account-1.json",
    "terraform.tfstate",
]
CLUTTER = [
    ".git/config",
    ".hg/x",
    "__pycache__/x.txt",
    "old.pyc",
    ".venv/bin/python",
    "odd-name/pyvenv.cfg",
    "odd-name/lib/x.py",
    "node_modules/x.js",
    ".pytest_cache/x",
    ".ruff_cache/x",
    ".dockrion/runs.db",
    ".dockrion_runtime/logs/packed.log",
    ".DS_Store",
]


def test_secrets_and_clutter_never_go_in_whatever_is_included(tmp_path: Path) -> None:
    kept = ["id_rsa.pub", "secrets.py", "tokens.txt", "environment.yaml", "keys/__init__.py"]
    files = dict.fromkeys([*SECRETS, *CLUTTER, *kept], "") | {"service.py": HANDLER}
    # Nothing takes back what never goes.
    section = {"include": {"directories": ["."]}, "exclude": ["!.env", "!*.pem"]}

    planned = plan(project(tmp_path, files, build=section))

    assert set(planned.contents.files) == {"service.py", "Dockfile.yaml", *kept}
    told = {warning.partition(" is not in the image")[0] for warning in planned.contents.warnings}
    folders = {".aws", ".ssh"}
    assert told == {s for s in SECRETS if s.split("/")[0] not in folders} | folders


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("files", ".env"),
        ("files", "server.pem"),
        ("directories", ".aws"),
        ("files", ".git/config"),
        ("directories", "python"),
    ],
)
def test_what_never_goes_in_cannot_be_included_by_name(
    tmp_path: Path, kind: str, entry: str
) -> None:
    names = [".env", "server.pem", ".aws/x", ".git/config", "python/pyvenv.cfg"]
    files = {"service.py": HANDLER, **dict.fromkeys(names, "")}
    message = refused(tmp_path, files, include={kind: [entry]})
    assert message.startswith(f"build.include.{kind}[0]: {entry} never goes into an image")


def test_secrets_are_not_even_there_when_packages_are_installed(tmp_path: Path) -> None:
    files = dict.fromkeys(["tool/pyproject.toml", "tool/src/x.py", "tool/.env", "tool/a.tmp"], "")
    requirements = {"requirements.txt": "-e ./tool\n"}
    section = {"exclude": ["*.tmp"]}

    planned = plan(project(tmp_path, DATA | files | requirements, build=section))

    assert set(planned.requirement_files) == {"tool/pyproject.toml", "tool/src/x.py"}
    assert planned.warnings == [
        "tool/.env is not there when packages are installed: it may hold secrets"
    ]


def test_the_env_file_of_the_command_line_stays_out_whatever_it_is_called(tmp_path: Path) -> None:
    files = {"service.py": HANDLER, "conf/prod.txt": "KEY=x", "conf/other.txt": ""}
    dockfile = project(tmp_path, files, build={"include": {"directories": ["conf"]}})

    assert held(dockfile, env_file=tmp_path / "conf/prod.txt") == {"service.py", "conf/other.txt"}


def test_the_database_of_runs_stays_out(tmp_path: Path) -> None:
    files = dict.fromkeys(["data/runs.db", "data/runs.db-wal", "data/cities.csv"], "")
    dockfile = project(
        tmp_path,
        files | {"service.py": HANDLER},
        streaming={"backend": "sqlite", "sqlite": {"path": "data/runs.db"}},
        build={"include": {"directories": ["data"]}},
    )

    assert held(dockfile) == {"service.py", "data/cities.csv"}


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwords.txt").write_text("x")
    folder = tmp_path / "project"
    files = {
        "service.py": HANDLER,
        "data/a.txt": "a",
        "more/b.txt": "",
        ".env": "",
        "off/c.txt": "",
    }
    section = {"include": {"directories": ["data"]}, "exclude": ["off"]}
    dockfile = project(folder, files, build=section)
    links = {
        "file": "../more/b.txt",
        "folder": "../more",
        "loop": "..",
        "self": "self",
        "dangling": "nothing",
        "env.txt": "../.env",
        "away": str(outside),
        "away.txt": str(outside / "passwords.txt"),
        "excluded.txt": "../off/c.txt",
    }
    for name, target in links.items():
        (folder / "data" / name).symlink_to(target)

    planned = plan(dockfile)

    assert set(planned.contents.files) - {"Dockfile.yaml", "service.py"} == {
        "data/a.txt",
        "data/file",
        "data/folder/b.txt",
        # The project once more, but for the way that leads here again, and its .env.
        "data/loop/service.py",
        "data/loop/Dockfile.yaml",
        "data/loop/more/b.txt",
    }
    assert planned.contents.warnings == [
        "data/away is not in the image: it is a link out of the project",
        "data/away.txt is not in the image: it is a link out of the project",
        "data/env.txt is not in the image: it may hold secrets",
        "data/loop/.env is not in the image: it may hold secrets",
    ]


def test_an_include_that_is_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "data").symlink_to("../outside")

    message = refused(folder, {"service.py": HANDLER}, include={"directories": ["data"]})

    assert message == "build.include.directories[0]: data is a link out of the project"


def test_pipes_and_sockets_are_passed_by(tmp_path: Path) -> None:
    files = {"service.py": HANDLER, "data/a.txt": ""}
    dockfile = project(tmp_path, files, build={"include": {"directories": ["data"]}})
    os.mkfifo(tmp_path / "data/pipe")

    assert held(dockfile) == {"service.py", "data/a.txt"}


def test_a_folder_that_is_too_large_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MAX_FILES", 5)
    files = {"service.py": HANDLER} | {f"data/{n}.txt": "" for n in range(6)}

    message = refused(tmp_path, files, include={"directories": ["data"]})

    assert message == "the image would hold more than 5 files"


def test_a_dockfile_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    dockfile = project(tmp_path, DATA)
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/dock\xff.yaml")
    dockfile.rename(odd)

    with pytest.raises(ValidationError, match="is no name for a Dockfile"):
        plan(Path(odd))


def test_any_name_is_a_name(tmp_path: Path) -> None:
    names = ["-rf", "--help", "a b.txt", "new\nline", "quote'\".txt", "ünïcode.md", "$HOME", "*"]
    files = {"service.py": HANDLER} | {f"data/{name}": "" for name in names}
    (tmp_path / "data").mkdir()
    os.close(os.open(os.fsencode(tmp_path / "data") + b"/not-\xff-utf8", os.O_CREAT))

    found = build(tmp_path, files, include={"directories": ["data"]})

    assert found == {*files, "data/not-\udcff-utf8"}
