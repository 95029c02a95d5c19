"""What packaging/ has to run it with: options exist, ports and paths agree."""

import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml

from magicqueue.cli.look import ping
from magicqueue.cli.worker import worker
from magicqueue_server.cli import serve
from magicqueue_server.config import Config, load
from magicqueue_server.http.routes import FIXED

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNITS = ("magicqueue.service", "magicqueue.socket", "magicqueue-worker@.service")
PORTS = {6789, 8080}


def _parsed(command: click.Command, arguments: list[str]) -> dict[str, Any]:
    """Read arguments as the command does; it fails for what it does not know."""
    return dict(command.make_context(command.name, list(arguments)).params)


def _server(arguments: list[str]) -> Config:
    """The configuration of a command line that begins with serve."""
    assert arguments[0] == "serve"
    flags = _parsed(serve, arguments[1:])
    flags.pop("print_config")
    path = flags.pop("config_path")
    if path is not None:
        assert path == Path("/etc/magicqueue.toml")
        path = PACKAGING / "magicqueue.toml"
    texts = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in flags.items()
    }
    return load(texts, {}, path)


def _worker(arguments: list[str]) -> dict[str, Any]:
    assert arguments[0] == "worker"
    return _parsed(worker, arguments[1:])


def _unit(name: str) -> ConfigParser:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(PACKAGING / name)
    return unit


def _yaml(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((PACKAGING / name).read_text()))


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_the_servers_unit() -> None:
    service = _unit("magicqueue.service")["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert program == "/opt/magicqueue/magicqueue"
    config = _server(arguments)
    assert config["persist"]
    assert config["data_dir"] == f"/var/lib/{service['StateDirectory']}"
    assert service["Type"] == "notify"
    assert service["TimeoutStartSec"] == "infinity"
    assert _seconds(service["TimeoutStopSec"]) > config["shutdown_grace"] / 1000
    assert int(service["LimitNOFILE"]) > config["max_connections"]


def test_the_socket_is_where_the_server_would_listen() -> None:
    socket = _unit("magicqueue.socket")["Socket"]
    config = _server(["serve", "--config", "/etc/magicqueue.toml"])
    assert socket["ListenStream"] == f"{config['host']}:{config['port']}"
    assert "Accept" not in socket


def test_the_workers_unit() -> None:
    service = _unit("magicqueue-worker@.service")["Service"]
    program, *arguments = shlex.split(service["ExecStart"].replace("%i", "app"))
    assert program.endswith("/magicqueue")
    assert _seconds(service["TimeoutStopSec"]) > _worker(arguments)["grace"]
    assert service["Type"] == "notify"
    assert "WatchdogSec" in service


@pytest.fixture
def units(tmp_path: Path) -> dict[str, Path]:
    """The units, with a program that is here."""
    made = {}
    for name in UNITS:
        text = (PACKAGING / name).read_text()
        text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", text)
        made[name] = tmp_path / name.replace("@", "@app")
        made[name].write_text(text)
    return made


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd here")
    return subprocess.run(
        [analyze, *arguments], capture_output=True, text=True, check=False
    )


def test_systemd_takes_the_units(units: dict[str, Path]) -> None:
    done = _analyze("verify", *map(str, units.values()))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    bad = units["magicqueue.service"]
    bad.write_text(bad.read_text().replace("WatchdogSec=", "WatchDog="))
    assert "WatchDog" in _analyze("verify", str(bad)).stderr


def test_the_server_may_do_little(units: dict[str, Path]) -> None:
    done = _analyze(
        *("security", "--offline=true", "--threshold=20", "--no-pager"),
        str(units["magicqueue.service"]),
    )
    assert done.returncode == 0, done.stdout[-300:]


def _dockerfile(name: str) -> dict[str, str]:
    text = re.sub(r"\\\n\s*", "", (PACKAGING / name).read_text())
    rows = re.findall(r"(?m)^([A-Z]+) (.+)", text)
    assert rows[0][0] == "FROM"
    return dict(rows)


def _words(row: str) -> list[str]:
    """The words of an instruction in its JSON form: only so do signals reach it."""
    return list(yaml.safe_load(row))


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.python"])
def test_images(name: str) -> None:
    image = _dockerfile(name)
    assert _words(image["ENTRYPOINT"])[0].endswith("magicqueue")
    config = _server(_words(image["CMD"]))
    assert config["port"] == int(image["EXPOSE"].split()[0])
    assert set(map(int, image["EXPOSE"].split())) == PORTS
    assert config["data_dir"] == image["VOLUME"] == image["WORKDIR"]
    assert config["persist"]
    assert config["insecure"], "it is started without tokens"
    assert f"--uid {image['USER']} " in image["RUN"]
    asked = shlex.split(image["HEALTHCHECK"].partition("CMD ")[2].partition(" ||")[0])
    assert asked[1] == "ping"
    assert asked[0] == _words(image["ENTRYPOINT"])[0]
    _parsed(ping, asked[2:])


def test_compose() -> None:
    (document,) = _yaml("compose.yaml")
    queue, work = document["services"]["queue"], document["services"]["worker"]
    config = _server(queue["command"])
    image = _dockerfile("Dockerfile")
    assert queue["volumes"] == [f"jobs:{config['data_dir']}"]
    assert image["VOLUME"] == config["data_dir"]
    assert _ports(config) == PORTS
    assert "jobs" in document["volumes"]
    for port in queue["ports"]:
        assert port.startswith("127.0.0.1:"), "it is insecure, so for this machine only"
    assert {int(port.rpartition(":")[2]) for port in queue["ports"]} == _ports(config)
    assert _seconds(queue["stop_grace_period"]) > config["shutdown_grace"] / 1000
    assert work["environment"]["MAGICQUEUE_URL"] == f"queue:{config['port']}"
    options = _worker(work["command"])
    assert _seconds(work["stop_grace_period"]) > options["grace"]
    assert options["health_file"] in work["healthcheck"]["test"][1]
    assert "HEALTHCHECK" in image, "which the workers wait for"


def test_docker_takes_the_composition() -> None:
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("there is no docker here")
    command = [docker, "compose", "-f", str(PACKAGING / "compose.yaml"), "config", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "not a docker command" in done.stderr or "unknown shorthand" in done.stderr:
        pytest.skip("this docker has no compose")
    assert done.returncode == 0, done.stderr


def _ports(config: Config) -> set[int]:
    return {config["port"], int(config["http"].rpartition(":")[2])}


@pytest.fixture(scope="module")
def manifest() -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in _yaml("kubernetes.yaml")}


def _pod(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    pod = document["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return pod, container


def test_kubernetes_schemas_take_the_manifest(manifest: dict[str, dict[str, Any]]) -> None:
    newest = kubernetes_validate.latest_version()
    for document in manifest.values():
        kubernetes_validate.validate(document, newest, strict=True)
    _, container = _pod(manifest["StatefulSet"])
    container = container | {"livenesProbe": {}}
    wrong = yaml.safe_load(yaml.safe_dump(manifest["StatefulSet"]))
    wrong["spec"]["template"]["spec"]["containers"] = [container]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, newest, strict=True)


def test_the_manifests_server(manifest: dict[str, dict[str, Any]]) -> None:
    pod, container = _pod(manifest["StatefulSet"])
    config = _server(container["args"])
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert set(ports.values()) == _ports(config)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] in FIXED
        assert f":{ports[asked['port']]}" in config["http"]
    for port in manifest["Service"]["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]
    assert pod["terminationGracePeriodSeconds"] > config["shutdown_grace"] / 1000
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    (claim,) = manifest["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert Path(config["data_dir"]).is_relative_to(mounts[claim["metadata"]["name"]])
    assert Path(config["tokens"]).is_relative_to(mounts["tokens"])
    assert not config["insecure"]
    assert manifest["StatefulSet"]["spec"]["replicas"] == 1
    memory = container["resources"]["limits"]["memory"]
    assert (
        _server(["serve", "--max-memory", memory.replace("Gi", "GiB")])["max_memory"]
        >= 2 * config["max_memory"]
    )


def test_the_manifests_workers(manifest: dict[str, dict[str, Any]]) -> None:
    pod, container = _pod(manifest["Deployment"])
    options = _worker(container["args"])
    assert pod["terminationGracePeriodSeconds"] > options["grace"]
    assert options["health_file"] in container["livenessProbe"]["exec"]["command"][-1]
    service = manifest["Service"]
    names = {one["name"]: one.get("value") for one in container["env"]}
    port = service["spec"]["ports"][0]["port"]
    assert names["MAGICQUEUE_URL"] == f"{service['metadata']['name']}:{port}"


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment", "Service"])
def test_the_manifests_labels_agree(manifest: dict[str, dict[str, Any]], kind: str) -> None:
    selector = manifest[kind]["spec"]["selector"]
    if kind == "Service":
        pod = manifest["StatefulSet"]["spec"]["template"]
        assert selector == pod["metadata"]["labels"]
    else:
        assert (
            selector["matchLabels"]
            == manifest[kind]["spec"]["template"]["metadata"]["labels"]
        )
