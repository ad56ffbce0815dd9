"""All checks together, and those of the Dockfile, the machine, the port and Docker."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from dockrion.doctor import checks, docker, machine
from dockrion.doctor.base import Case, Check, Finding, Status, ok, open_case
from dockrion.doctor.checks import CHECKS, examine
from dockrion.doctor.docker import look_at_docker
from dockrion.doctor.dockfile import look_at_dockfile, look_at_secrets
from dockrion.doctor.machine import look_at_log, look_at_open_files
from dockrion.doctor.port import look_at_port
from tests.auth.provider import running_provider

from .conftest import MakeCase, only, problems


def _with_checks(monkeypatch: pytest.MonkeyPatch, *made: Check) -> None:
    monkeypatch.setattr(checks, "CHECKS", made)


async def test_without_a_dockfile_what_needs_none_is_looked_at(tmp_path: Path) -> None:
    case = open_case(tmp_path / "Dockfile.yaml", agent_seconds=1.0)

    results = await examine(case)

    assert [check.name for check in CHECKS] == [result.check for result in results]
    by_name = {result.check: result.finding for result in results}
    assert by_name["Dockfile"].message.endswith("Dockfile.yaml not found")
    assert by_name["python"].status is Status.OK
    assert by_name["agent"].status is Status.SKIPPED


async def test_checks_look_at_the_same_time(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = asyncio.Barrier(2)

    async def look(_: Case) -> list[Finding]:
        await both.wait()
        return [ok("fine")]

    _with_checks(monkeypatch, Check("one", look), Check("other", look))
    pending: list[list[str]] = []

    results = await examine(make_case(), on_pending=lambda names: pending.append(list(names)))

    assert [result.check for result in results] == ["one", "other"]
    assert [len(names) for names in pending] == [1, 0]


async def test_a_check_that_hangs_and_one_that_breaks_do_not_stop_the_others(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: Case) -> list[Finding]:
        await asyncio.Event().wait()
        raise AssertionError

    async def crash(_: Case) -> list[Finding]:
        raise LookupError("no such thing")

    async def work(_: Case) -> list[Finding]:
        return [ok("fine")]

    _with_checks(
        monkeypatch,
        Check("hangs", hang, seconds=0.01),
        Check("breaks", crash),
        Check("works", work),
    )

    hung, broke, worked = await examine(make_case())

    assert hung.finding.message == "took longer than 0.01 s"
    assert broke.finding.message == "cannot be checked: LookupError: no such thing"
    assert worked.finding == ok("fine")


async def test_no_finding_has_the_value_of_a_secret(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leak(_: Case) -> list[Finding]:
        return [Finding(Status.ERROR, "refused: s3cr3t-value", "not s3cr3t-value")]

    monkeypatch.setenv("API_TOKEN", "s3cr3t-value")
    _with_checks(monkeypatch, Check("leaks", leak))

    (result,) = await examine(make_case(secrets={"required": [{"name": "API_TOKEN"}]}))

    assert result.finding == Finding(Status.ERROR, "refused: ***", "not ***")


async def test_each_problem_of_a_dockfile_is_a_finding(make_case: MakeCase) -> None:
    case = make_case(expose={"port": 0}, version="2.0")

    findings = list(await look_at_dockfile(case))

    assert [one.status for one in findings] == [Status.ERROR, Status.ERROR]
    assert "expose.port" in findings[1].message + findings[0].message


async def test_what_is_doubtful_in_a_dockfile_is_a_warning(make_case: MakeCase) -> None:
    findings = list(await look_at_dockfile(make_case(expose={"streming": "sse"})))

    assert findings[0].status is Status.OK
    assert "did you mean streaming?" in only(findings).message


async def test_secrets_are_told_by_name_and_source(
    make_case: MakeCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("FROM_FILE=aaaa\nOTHER=bbbb\n")
    monkeypatch.setenv("FROM_SHELL", "cccc")
    required = [
        {"name": "FROM_FILE"},
        {"name": "FROM_SHELL"},
        {"name": "GONE", "description": "the model"},
    ]

    findings = list(
        await look_at_secrets(
            make_case(secrets={"required": required, "optional": [{"name": "EXTRA"}]})
        )
    )

    assert only(findings).message == "GONE is not set (the model)"
    said = [one.message for one in findings]
    assert "set: FROM_FILE (from .env), FROM_SHELL (from the shell)" in said
    assert "optional ones that are not set: EXTRA" in said
    assert ".env gives 2 variables" in said


async def test_a_free_port_is_free(make_case: MakeCase) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    findings = await look_at_port(make_case(expose={"host": "127.0.0.1", "port": port}))

    assert findings == [ok(f"port {port} on 127.0.0.1 is free")]


async def test_a_taken_port_is_told_with_its_process(make_case: MakeCase) -> None:
    with running_provider() as provider:
        port = int(provider.url.rpartition(":")[2].partition("/")[0])

        found = only(await look_at_port(make_case(expose={"host": "127.0.0.1", "port": port})))

    assert found.message.startswith(f"port {port} on 127.0.0.1 is in use")
    if Path("/proc/net/tcp").exists():
        assert f"(process {os.getpid()}: " in found.message


async def test_a_port_where_another_agent_is_served_names_it(make_case: MakeCase) -> None:
    with running_provider() as provider:
        port = int(provider.url.rpartition(":")[2].partition("/")[0])
        case = make_case(expose={"host": "127.0.0.1", "port": port})
        provider.answer({"agent": "writer", "service": "runtime:writer"})
        other = only(await look_at_port(case))
        provider.answer({"agent": "speller", "service": "runtime:speller"})
        same = await look_at_port(case)

    assert "is in use by the agent 'writer'" in other.message
    assert not problems(list(same))
    assert "this agent is served there now" in same[0].message


async def test_a_host_of_another_machine_is_an_error(make_case: MakeCase) -> None:
    found = only(await look_at_port(make_case(expose={"host": "192.0.2.1"})))

    assert "'192.0.2.1' is no address of this machine" in found.message


async def test_a_log_that_cannot_be_written_is_a_warning(
    make_case: MakeCase, tmp_path: Path
) -> None:
    (tmp_path / ".dockrion_runtime").write_text("a file in the way")

    found = only(await look_at_log(make_case()))

    assert "cannot be written" in found.message
    assert ".dockrion_runtime is no folder" in found.message


async def test_looking_at_the_log_makes_nothing(make_case: MakeCase, tmp_path: Path) -> None:
    assert not problems(list(await look_at_log(make_case())))
    assert not (tmp_path / ".dockrion_runtime").exists()


async def test_few_open_files_are_few_callers(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))

    found = only(await look_at_open_files(make_case()))

    assert found.message == "1024 at most, so 922 callers at once"
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1 << 20))
    assert not problems(list(await machine.look_at_open_files(make_case())))


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("echo 27.1.1", Status.OK, "Docker 27.1.1"),
        (
            "echo 'Cannot connect to the Docker daemon' >&2; exit 1",
            Status.WARNING,
            "Cannot connect",
        ),
        ("echo 'Got permission denied' >&2; exit 1", Status.WARNING, "this user may not"),
        ("sleep 60", Status.WARNING, "does not answer within"),
    ],
)
async def test_docker_is_there_or_not(
    make_case: MakeCase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    status: Status,
    said: str,
) -> None:
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n{script.replace('sleep', 'exec sleep')}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    if "sleep" in script:
        monkeypatch.setattr(docker, "_SECONDS", 0.2)

    (found,) = await look_at_docker(make_case())

    assert found.status is status
    assert said in found.message


async def test_no_docker_command_is_a_warning(
    make_case: MakeCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "not installed" in only(await look_at_docker(make_case())).message


async def test_other_front_ends_are_named_with_their_paths(make_case: MakeCase) -> None:
    case = make_case(expose={"protocols": ["ag-ui", "a2a"]})

    named = [finding.message for finding in await look_at_dockfile(case)][1:]

    assert named == ["it is also served at /ag-ui (AG-UI), /.well-known/agent-card.json (A2A)"]
