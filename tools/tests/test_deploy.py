"""The examples in `deploy`: what they are for can read them, and the broker understands every variable in them."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from broker.config.loading import Flags, parse_config
from broker.config.settings import BrokerConfig
from storage.object.bucket_url import endpoint, parse_bucket_url
from tools.commands import serve

DEPLOY = Path(__file__).parents[2] / "deploy"


def config_of(environment: dict[str, str]) -> BrokerConfig:
    """The settings in these variables; an unknown one fails."""
    config = parse_config("", "", {}, flags=Flags(variables=True, strict=True), environment=environment)
    assert not [notice for notice in config.notices if notice.startswith("in the environment")]
    return config


def test_the_compose_file_is_understood() -> None:
    """Services and programs of the machine each come back by the address they came by; a stop has its time."""
    broker = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["broker"]
    environment = {name: str(value) for name, value in broker["environment"].items()}
    config = config_of(environment)
    assert config.ottla_cluster_id == environment["CLUSTER_ID"]
    assert config.advertised_listeners == {"HOST": ("localhost", 9092), "INSIDE": ("broker", 19092)}
    published = broker["ports"][0].partition(":")[2]
    assert published in [str(listener.port) for listener in config.listeners]
    assert any(volume.endswith(config.data_directory) for volume in broker["volumes"])
    assert int(broker["stop_grace_period"].removesuffix("s")) > serve.LAST_RESORT_SECONDS


def test_the_kubernetes_manifest_is_understood() -> None:
    """Variables, ports and the volume fit each other, and the image's user is the one that it asks for."""
    service, stateful = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    pod = stateful["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    config = config_of({variable["name"]: variable["value"] for variable in container["env"]})
    assert config.listeners[0].port == container["ports"][0]["containerPort"] == service["spec"]["ports"][0]["port"]
    assert config.advertised_listeners["PLAINTEXT"][0] == service["metadata"]["name"] == stateful["spec"]["serviceName"]
    assert config.data_directory.startswith(container["volumeMounts"][0]["mountPath"])
    assert stateful["spec"]["replicas"] == 1, "a data directory has one broker"
    assert f"--uid {pod['securityContext']['runAsUser']} " in (DEPLOY.parent / "Dockerfile").read_text()
    assert "--ready-file /tmp/ottla.ready" in (DEPLOY / "image/docker/launch").read_text()
    assert "/tmp/ottla.ready" in container["readinessProbe"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > serve.LAST_RESORT_SECONDS
    assert pod["enableServiceLinks"] is False


def test_the_compose_file_of_a_cluster_is_understood() -> None:
    """Three brokers of different numbers over one database and one bucket, which are services there; clients come back
    by the port that is published."""
    services = yaml.safe_load((DEPLOY / "cluster-compose.yaml").read_text())["services"]
    brokers = {name: service for name, service in services.items() if name.startswith("broker")}
    numbers = set()
    for name, broker in brokers.items():
        config = config_of({key: str(value) for key, value in broker["environment"].items()})
        numbers.add(config.node_id)
        host, inside = config.advertised_listeners["HOST"], config.advertised_listeners["INSIDE"]
        assert broker["ports"] == [f"{host[1]}:{host[1]}"] and inside == (name, 19092)
        assert config.shares and config.ottla_cluster is not None and config.ottla_objects is not None
        assert "@database/" in config.ottla_cluster
        url = parse_bucket_url(config.ottla_objects)
        assert f"-bucket={url.bucket}" in services["bucket"]["command"].split()
        port = endpoint(url, {}).rpartition(":")[2]  # type: ignore[union-attr]  # it is named
        assert f"-s3.port={port}" in services["bucket"]["command"].split()
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            assert broker["environment"][key] == services["bucket"]["environment"][key]
    assert len(numbers) == 3
    assert "cluster" in (DEPLOY.parent / "Dockerfile").read_text(), "the image has what a cluster needs"


def test_the_kubernetes_manifest_of_a_cluster_is_understood() -> None:
    """Variables are settings, secrets are where they are looked for, and no broker has a disk."""
    secret, service, budget, stateful = yaml.safe_load_all((DEPLOY / "cluster-kubernetes.yaml").read_text())
    pod = stateful["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = {"KAFKA_NODE_ID": "2", "POD_NAME": "ottla-cluster-2"}
    for variable in container["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference is not None:
            assert reference["name"] == secret["metadata"]["name"]
            given[variable["name"]] = secret["stringData"][reference["key"]]
        elif "value" in variable:
            given[variable["name"]] = variable["value"].replace("$(POD_NAME)", given["POD_NAME"])
    config = config_of({name: value for name, value in given.items() if name.startswith("KAFKA_")})
    assert config.shares and config.ottla_objects is not None
    assert parse_bucket_url(config.ottla_objects).scheme == "s3"
    name = service["metadata"]["name"]
    assert config.advertised_listeners["PLAINTEXT"] == (f"ottla-cluster-2.{name}", service["spec"]["ports"][0]["port"])
    assert stateful["spec"]["serviceName"] == name and budget["spec"]["maxUnavailable"] == 1
    assert (stateful["spec"]["replicas"], "volumeClaimTemplates" in stateful["spec"]) == (3, False)


def test_the_systemd_unit_is_understood(tmp_path: Path) -> None:
    """Its command has words that `ottla serve` knows; systemd itself reads it where there is one."""
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # systemd distinguishes capitals
    unit.read_string((DEPLOY / "ottla.service").read_text())
    program, verb, *words = shlex.split(unit["Service"]["ExecStart"])
    assert (program, verb) == ("/opt/ottla/bin/ottla", "serve")
    options = serve.parse(words)
    assert options.data == f"/var/lib/{unit['Service']['StateDirectory']}"
    assert options.ready_file.startswith(f"/run/{unit['Service']['RuntimeDirectory']}/")
    assert int(unit["Service"]["RestartPreventExitStatus"]) == serve.CANNOT_START
    assert int(unit["Service"]["TimeoutStopSec"]) > serve.LAST_RESORT_SECONDS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """Every directive is one of its own."""
    text = (DEPLOY / "ottla.service").read_text().replace("/opt/ottla/bin/ottla", "/bin/true")
    unit = tmp_path / "ottla.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "ottla.service" in line]
    assert complaints == []
