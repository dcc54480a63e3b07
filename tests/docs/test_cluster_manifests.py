"""The files for Compose and KubeRay, as far as they can be judged without either."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from reidstream.cli.app import app
from reidstream.cluster.sources import listed
from reidstream.config import SourceConfig

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker" / "cluster.yml").read_text(encoding="utf-8"))
MANIFESTS = list(yaml.safe_load_all((ROOT / "docker" / "kuberay.yml").read_text(encoding="utf-8")))

# Every field that these files use, with what may stand below it; None: a value, or names of the writer's own.
Fields = dict[str, Any]
HEALTH: Fields = {"test": None, "interval": None, "timeout": None, "retries": None, "disable": None}
SERVICE: Fields = {
    **dict.fromkeys(("image", "command", "environment", "restart", "stop_signal", "stop_grace_period", "volumes")),
    "build": {"context": None, "dockerfile": None, "args": None},
    "depends_on": None,
    "healthcheck": HEALTH,
    "shm_size": None,
    "deploy": {"replicas": None},
}
CONTAINER: Fields = {
    **dict.fromkeys(("name", "image", "args", "command")),
    "env": {"name": None, "value": None, "valueFrom": {"secretKeyRef": {"name": None, "key": None}}},
    "resources": {"limits": None, "requests": None},
    "volumeMounts": {"name": None, "mountPath": None, "readOnly": None},
}
POD: Fields = {
    "metadata": {"labels": None},
    "spec": {
        "terminationGracePeriodSeconds": None,
        "containers": CONTAINER,
        "volumes": {"name": None, "configMap": {"name": None}},
    },
}
META: Fields = {"apiVersion": None, "kind": None, "metadata": {"name": None}}
KINDS: dict[tuple[str, str], Fields] = {
    ("v1", "ConfigMap"): {**META, "data": None},
    ("apps/v1", "Deployment"): {
        **META,
        "spec": {
            "replicas": None,
            "strategy": {"type": None},
            "selector": {"matchLabels": None},
            "template": POD,
        },
    },
    # https://ray-project.github.io/kuberay/reference/api/
    ("ray.io/v1", "RayCluster"): {
        **META,
        "spec": {
            "rayVersion": None,
            "headGroupSpec": {"rayStartParams": None, "template": POD},
            "workerGroupSpecs": {
                **dict.fromkeys(("groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams")),
                "template": POD,
            },
        },
    },
}


def unknown(found: Any, known: Fields | None, path: str = "") -> list[str]:
    """Fields of a document that no schema has, by their paths."""
    if known is None:
        return []
    if isinstance(found, list):
        return [wrong for one in found for wrong in unknown(one, known, path)]
    if not isinstance(found, dict):
        return [f"{path} is {found!r}"]
    wrong = [f"{path}.{key}" for key in found if key not in known]
    return wrong + [
        w for key, value in found.items() if key in known for w in unknown(value, known[key], f"{path}.{key}")
    ]


def containers() -> list[dict[str, Any]]:
    cluster, place = MANIFESTS[1]["spec"], MANIFESTS[2]["spec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"], place]
    return [container for pod in pods for container in pod["template"]["spec"]["containers"]]


def commands() -> list[list[str]]:
    composed = [service["command"] for service in COMPOSE["services"].values() if "command" in service]
    return [*composed, *(container["args"] for container in containers() if "args" in container)]


def test_every_field_is_known() -> None:
    services = COMPOSE["services"]
    assert {"name", "services", "volumes", "x-reidstream"} == COMPOSE.keys()
    assert [wrong for name, service in services.items() for wrong in unknown(service, SERVICE, name)] == []
    for manifest in MANIFESTS:
        kind = (manifest["apiVersion"], manifest["kind"])
        assert unknown(manifest, KINDS[kind], manifest["kind"]) == []
    assert unknown({"spec": [{"replica": 1}]}, {"spec": {"replicas": None}}) == [".spec.replica"]


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[0])
def test_every_command_and_option_exists(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    assert command.name == words[len(words) - len(rest) - 1]
    known = {word for option in command.params for word in option.opts}
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known


def test_no_password_stands_in_a_command_or_beside_a_service() -> None:
    text = (ROOT / "docker" / "cluster.yml").read_text() + (ROOT / "docker" / "kuberay.yml").read_text()
    assert re.findall(r"://[^/\s{]*:[^@/\s{]+@", text) == []
    for name in ("database", "worker", "decide"):
        given = [value for key, value in COMPOSE["services"][name]["environment"].items() if key.endswith("PASSWORD")]
        assert given and all(value.startswith("${") for value in given)


def test_images_are_built_from_what_is_here_and_versions_are_one() -> None:
    build = COMPOSE["services"]["worker"]["build"]
    assert (ROOT / "docker" / build["context"] / build["dockerfile"]).is_file()
    pinned = (ROOT / "requirements" / build["args"]["REQUIREMENTS"]).read_text()
    version = MANIFESTS[1]["spec"]["rayVersion"]
    assert f"\nray=={version} " in pinned
    assert "\npsycopg==" in pinned
    assert f'cluster = ["ray=={version}"]' in (ROOT / "pyproject.toml").read_text()
    assert f"ray=={version} " in (ROOT / ".ci" / "ray").read_text()
    assert {container["image"] for container in containers()} == {COMPOSE["services"]["worker"]["image"]}


def test_names_within_the_manifests_are_those_that_are_there() -> None:
    cameras, cluster, place = MANIFESTS
    (volume,) = place["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == cameras["metadata"]["name"]
    assert place["spec"]["selector"]["matchLabels"] == place["spec"]["template"]["metadata"]["labels"]
    (placing,) = place["spec"]["template"]["spec"]["containers"]
    # KubeRay calls a cluster's service so.
    assert f"--address=ray://{cluster['metadata']['name']}-head-svc:10001" in placing["args"]
    (mount,) = placing["volumeMounts"]
    (name,) = cameras["data"]
    assert f"{mount['mountPath']}/{name}" in placing["args"]
    sources = tomllib.loads(cameras["data"][name])["sources"]
    assert len(listed([SourceConfig(**source) for source in sources])) == len(sources)
    for service in COMPOSE["services"].values():
        for other in service.get("depends_on", {}):
            assert "test" in COMPOSE["services"][other]["healthcheck"]
        for volume in service.get("volumes", []):
            assert volume.startswith("$") or volume.partition(":")[0] in COMPOSE["volumes"]
