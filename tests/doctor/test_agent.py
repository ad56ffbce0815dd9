"""The agent is loaded in a process of its own, whatever it does there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dockrion.doctor.agent import _foreign_place, look_at_agent
from dockrion.doctor.base import Status

from .conftest import MakeCase, only, problems


async def test_an_agent_that_loads_is_told_with_its_time(make_case: MakeCase) -> None:
    findings = await look_at_agent(make_case())

    assert [one.status for one in findings] == [Status.OK, Status.OK]
    assert findings[0].message.startswith("service:words is loaded in 0.")
    assert findings[1].message == "it can stream"


async def test_a_handler_that_can_only_answer_is_told(make_case: MakeCase) -> None:
    findings = await look_at_agent(make_case(service="def words(payload): return {}"))

    assert not problems(findings)
    assert "neither yields nor takes `context`" in findings[-1].message


async def test_an_object_without_stream_cannot_stream(make_case: MakeCase) -> None:
    service = "class Agent:\n    def invoke(self, payload): return {}\nmade = Agent()"
    agent = {"name": "speller", "entrypoint": "service:made", "framework": "custom"}

    found = only(list(await look_at_agent(make_case(service=service, agent=agent))))

    assert "cannot stream" in found.message


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("import os; os._exit(3)", "ended the process with code 3"),
        ("import sys; sys.exit('no key')", "called sys.exit('no key')"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "by SIGKILL; was memory short?",
        ),
        ("import nothing_of_that_name", "needs 'nothing_of_that_name', which is not installed"),
        ("input('key? ')", "EOFError"),
        ("def word(payload): return {}", "did you mean 'word'?"),
        ("def words(payload) return", "service.py, line 1"),
    ],
)
async def test_what_stops_it_from_loading_is_named(
    make_case: MakeCase, service: str, said: str
) -> None:
    found = only(await look_at_agent(make_case(service=service)))

    assert found.status is Status.ERROR
    assert said in found.message


async def test_one_that_hangs_is_given_up_with_the_line_where_it_is(
    make_case: MakeCase, tmp_path: Path
) -> None:
    service = (
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "open('{}', 'w').write(str(child.pid))\n"
        "def connect():\n"
        "    time.sleep(600)\n"
        "connect()\n"
    ).format(tmp_path / "pid")

    found = only(await look_at_agent(make_case(service=service, seconds=1.0)))

    assert "it is not loaded after 1 s: it is at service.py, line 5" in found.message
    # What it has started goes with it.
    assert _ends(int((tmp_path / "pid").read_text()))


def test_where_no_code_of_the_agent_runs_the_package_is_named() -> None:
    said = (
        "Timeout (0:00:30)!\n"
        "Thread 0x00007f01 (most recent call first):\n"
        '  File "/usr/lib/python3.12/threading.py", line 359 in wait\n'
        "\n"
        "Thread 0x00007f02 (most recent call first):\n"
        '  File "/venv/lib/python3.12/site-packages/pydantic/main.py", line 12 in <module>\n'
        '  File "/venv/lib/python3.12/site-packages/langgraph/graph/state.py", line 7 in <module>\n'
        '  File "<frozen importlib._bootstrap>", line 1360 in _find_and_load\n'
        '  File "/venv/lib/python3.12/site-packages/dockrion/_registry.py", line 40 in get\n'
    )

    assert _foreign_place(said) == "in the package langgraph"
    assert _foreign_place("no stack at all") is None


def _ends(number: int) -> bool:
    """Wait for the end of a process that has been killed, and is perhaps not waited for by whoever takes orphans."""
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            os.kill(number, 0)
            if ") Z " in Path(f"/proc/{number}/stat").read_text():
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


async def test_threads_that_it_leaves_keep_nobody_waiting(make_case: MakeCase) -> None:
    service = (
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "def words(payload): return {}\n"
    )

    assert not problems(list(await look_at_agent(make_case(service=service, seconds=30.0))))


async def test_what_it_prints_is_not_mixed_with_what_is_found(
    make_case: MakeCase, capfd: pytest.CaptureFixture[str]
) -> None:
    await look_at_agent(make_case(service="print('noise')\ndef words(payload): yield ''"))

    assert capfd.readouterr() == ("", "")


async def test_an_agent_sees_its_env_file_and_is_loaded_without_what_is_missing(
    make_case: MakeCase, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GREETING=hello\n")
    service = "import os\nassert os.environ['GREETING'] == 'hello'\ndef words(payload): yield ''"
    secrets = {"required": [{"name": "NOT_SET"}]}

    findings = list(await look_at_agent(make_case(service=service, secrets=secrets)))

    assert not problems(findings)
    assert findings[-1].message == "loaded without NOT_SET"
