"""What a Dockfile needs, against what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockrion.doctor import packages
from dockrion.doctor.base import Status
from dockrion.doctor.packages import (
    extras_used_here,
    look_at_dockrion,
    look_at_packages,
    look_at_python,
)

from .conftest import MakeCase, only, problems

JWT = {"mode": "jwt", "jwt": {"jwks_url": "https://issuer.example/keys"}}
GRAPH = {"name": "speller", "entrypoint": "service:words", "framework": "langgraph"}


def test_the_extras_are_those_of_the_sections_that_are_used(make_case: MakeCase) -> None:
    assert extras_used_here(make_case().spec) == []
    assert extras_used_here(make_case(agent=GRAPH, auth=JWT).spec) == ["jwt", "langgraph"]
    assert extras_used_here(make_case(observability={"otlp": {}}).spec) == ["otel"]
    assert extras_used_here(make_case(observability={"otlp": {}, "tracing": False}).spec) == []
    assert (
        extras_used_here(
            make_case(agent={**GRAPH, "handler": "service:words", "entrypoint": None}).spec
        )
        == []
    )


def test_what_is_traced_here_depends_on_the_environment_too(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example")
    assert extras_used_here(make_case().spec) == ["otel"]

    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert extras_used_here(make_case(observability={"otlp": {}}).spec) == []


async def test_this_environment_has_all_that_dockrion_needs(make_case: MakeCase) -> None:
    case = make_case(agent=GRAPH, auth=JWT)
    findings = [*await look_at_python(case), *await look_at_dockrion(case)]

    assert not problems([*findings, *await look_at_packages(case)])


async def test_an_extra_that_is_missing_comes_with_its_pip_line(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, {"pyjwt": None})

    found = only(await look_at_packages(make_case(auth=JWT)))

    assert found.status is Status.ERROR
    assert "pyjwt>=2.13 (is not installed)" in found.message
    assert found.hint == "pip install -U 'dockrion[jwt]'"


async def test_a_package_that_is_too_old_is_told_with_its_version(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, {"pydantic": "1.10.2"})

    found = only(await look_at_dockrion(make_case()))

    assert "pydantic>=2.12 (is 1.10.2)" in found.message


async def test_a_python_that_is_too_old_is_an_error(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages.platform, "python_version", lambda: "3.9.1")

    assert "Python 3.9.1 is not >=3.11" in only(await look_at_python(make_case())).message


async def test_requirements_that_are_not_met_are_named(make_case: MakeCase, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# comment\n"
        "--index-url https://packages.example/simple\n"
        "nothing-of-that-name>=3  # needed\n"
        "another-of-no-name; python_version < '3'\n"
        "click>=8\n"
        "click>=900 \\\n"
        "    --hash=sha256:abc\n"
        "-e ./local\n"
    )

    found = only(await look_at_packages(make_case()))

    assert found.status is Status.WARNING
    assert found.message.startswith(
        "requirements.txt asks for nothing-of-that-name>=3 (is not installed), click>=900 (is "
    )
    assert "another-of-no-name" not in found.message


def _pretend(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str | None]) -> None:
    real = packages.version

    def version(name: str) -> str:
        if name.lower() not in versions:
            return real(name)
        found = versions[name.lower()]
        if found is None:
            raise packages.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(packages, "version", version)
