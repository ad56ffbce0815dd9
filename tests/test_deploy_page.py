"""docs/deploy.md: its snippets fit what is deployed, and its figures are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from compose_spec import PyCompose

from dockrion.build.manifests.applying import FILES
from dockrion.cli.deploy import command
from tests.build.manifest_cases import REDIS, Case, manifest, planned, read_all

PAGE = (Path(__file__).parents[1] / "docs/deploy.md").read_text()
SNIPPETS: list[dict[str, Any]] = [
    yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
]


@pytest.fixture
def deployed(tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    case = Case("", {**REDIS, "agent.name": "my-agent"})
    return {
        "compose": read_all(manifest(planned(tmp_path, case, "compose"), "compose")),
        "kubernetes": read_all(manifest(planned(tmp_path, case, "kubernetes"), "kubernetes")),
    }


def test_every_option_is_in_the_table() -> None:
    flags = {
        max(option.opts, key=len) for option in command.params if isinstance(option, click.Option)
    }
    told = set(re.findall(r"`(-[\w-]+)", PAGE))
    short = {"--output": "-o", "--env-file": "-e"}
    expected = {short.get(flag, flag) for flag in flags} - {"--debug", "--target"}
    assert expected <= told


def test_the_override_is_for_a_service_that_is_there(deployed: dict[str, Any]) -> None:
    [override] = [snippet for snippet in SNIPPETS if "services" in snippet]
    [compose] = deployed["compose"]
    assert override["services"].keys() <= compose["services"].keys()
    assert PyCompose.from_yaml(yaml.safe_dump(override)) is not None


def test_the_kustomization_changes_what_is_there(deployed: dict[str, Any]) -> None:
    [kustomization] = [one for one in SNIPPETS if one.get("kind") == "Kustomization"]
    objects = deployed["kubernetes"]
    [resource] = kustomization["resources"]
    assert resource == f".dockrion_runtime/deploy/kubernetes/{FILES['kubernetes']}"
    images = {
        container["image"].partition(":")[0]
        for one in objects
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    assert {one["name"] for one in kustomization["images"]} == images
    [patch] = kustomization["patches"]
    assert patch["target"]["kind"] in {one["kind"] for one in objects}
    [operation] = yaml.safe_load(patch["patch"])
    assert operation["path"] == "/spec/tls"


def test_the_route_leads_to_the_service(deployed: dict[str, Any]) -> None:
    [route] = [one for one in SNIPPETS if one.get("kind") == "HTTPRoute"]
    [service] = [one for one in deployed["kubernetes"] if one["kind"] == "Service"]
    [backend] = route["spec"]["rules"][0]["backendRefs"]
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"] == service["spec"]["ports"][0]["port"]


def test_the_table_of_objects_has_all_kinds(deployed: dict[str, Any]) -> None:
    table = set(re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE))
    kinds = {one["kind"] for one in deployed["kubernetes"]}
    assert kinds | {"PersistentVolumeClaim"} <= table
