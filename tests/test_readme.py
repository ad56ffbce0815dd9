"""What README.md and the example say works as it is written there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dockrion.spec import validate_dockspec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_first_agent_of_the_readme_answers_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(blocks("python")[0])
    (tmp_path / "Dockfile.yaml").write_text(blocks("yaml")[0])

    done = subprocess.run(
        [Path(sys.executable).with_name("dockrion"), "test", "-p", '{"query": "why?"}', "--stream"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert '{"content":"You asked: why?"}' in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[1] == 'token {"content":"You","finish_reason":null}'
    assert '"content":"You","finish_reason":null}' in README


@pytest.mark.parametrize("source", blocks("python"))
def test_every_python_block_of_the_readme_is_python(source: str) -> None:
    compile(source, "README.md", "exec")


@pytest.mark.parametrize("path", re.findall(r"\]\(((?!http)[^)]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "dockfile", sorted(ROOT.glob("examples/*/Dockfile.yaml")), ids=lambda path: path.parent.name
)
def test_every_example_is_valid_and_can_be_served(dockfile: Path) -> None:
    report = validate_dockspec(dockfile)

    assert report["errors"] == []
    assert report["warnings"] == []
