"""examples/langchain-chain: the tokens of its model, the text of its parser."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

DOCKRION = (sys.executable, "-m", "dockrion.cli")
DOCKFILE = Path(__file__).parents[2] / "examples" / "langchain-chain" / "Dockfile.yaml"


def test_the_chain_streams_the_words_of_its_model_and_their_text_is_the_output() -> None:
    done = subprocess.run(
        [*DOCKRION, "test", str(DOCKFILE), "-p", '{"text": "so 1"}', "--stream"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"spelled": "Sierra Oscar 1"}
    # On a machine that is busy there may be a line of the log, too.
    told = [line.partition(" ") for line in done.stderr.splitlines() if line[0].isalpha()]
    pieces = [json.loads(data)["content"] for kind, _, data in told if kind == "token"]
    assert pieces == ["Sierra", " Oscar", " 1"]
    assert [kind for kind, *_ in told] == ["started", "token", "token", "token", "complete"]
