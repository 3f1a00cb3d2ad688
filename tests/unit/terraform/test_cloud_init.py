"""The cloud-init user data of the broker's virtual machine."""

import configparser
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bridge.settings import read
from local.children import find_program
from tests.support.deployment import RECIPE, installed_files, user_data
from tests.support.programs import needs

FILES = installed_files()
SYSTEMD = "/etc/systemd/system/"
RENAMED = {
    "/etc/systemd/system/mosquitto.service.d/override.conf": "mosquitto.override.conf",
    "/etc/rsyslog.d/20-broker.conf": "rsyslog.conf",
    "/etc/logrotate.d/broker": "logrotate.conf",
}
METADATA_VALUE_BYTES = 256 * 1024


def test_every_placeholder_is_filled_in() -> None:
    assert "${" not in user_data()
    assert len(FILES) == user_data().count("path: ")


def test_the_files_are_those_of_the_repository() -> None:
    for path, file in FILES.items():
        source = path.rsplit("/", 1)[1]
        source = RENAMED.get(path, source)
        assert file.text == (RECIPE / source).read_text()


def test_the_user_data_fits_into_metadata() -> None:
    assert len(user_data()) < METADATA_VALUE_BYTES


def test_the_user_data_contains_no_secret() -> None:
    recipe = user_data() + "".join(file.text for file in FILES.values())
    assert not re.search(r"PRIVATE KEY|BEGIN CERT|\$7\$\d+\$[A-Za-z0-9+/]|t1\.[A-Z]", recipe)


@needs("cloud-init")
def test_cloud_init_accepts_the_user_data(tmp_path: Path) -> None:
    file = tmp_path / "user-data.yaml"
    file.write_text(user_data())
    done = subprocess.run(
        ["cloud-init", "schema", "--config-file", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


@needs("systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for path, file in FILES.items():
        if path.startswith(SYSTEMD):
            unit = tmp_path / path.removeprefix(SYSTEMD)
            unit.parent.mkdir(exist_ok=True)
            # The programs are not installed here.
            text = re.sub(r"^(ExecStart=)/.*$", r"\1/bin/true", file.text, flags=re.MULTILINE)
            unit.write_text(text)
    (tmp_path / "mosquitto.service").write_text("[Service]\nType=notify\nExecStart=/bin/true\n")
    units = ["bridge.service", "mosquitto.service", "refresh.service", "refresh.timer"]
    units += ["unified_agent.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        cwd=tmp_path,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stderr
    assert not any(unit in done.stderr for unit in units)


def unit(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's names are case-sensitive
    parser.read_string(FILES[SYSTEMD + name].text)
    return parser["Service"]


def test_systemd_watches_and_restricts_the_bridge() -> None:
    bridge = unit("bridge.service")
    expected = {
        "Type": "notify",
        "Restart": "always",
        "RestartPreventExitStatus": "2",
        "DynamicUser": "yes",
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
    }
    assert {name: bridge[name] for name in expected} == expected
    assert int(bridge["WatchdogSec"]) > 2
    assert bridge["MemoryMax"].endswith("M")


def test_systemd_waits_as_long_as_the_bridge_needs_to_stop() -> None:
    assert int(unit("bridge.service")["TimeoutStopSec"]) >= 5  # see Bridge.stop


def test_the_broker_runs_the_file_that_is_installed() -> None:
    broker = unit("mosquitto.service.d/override.conf")
    assert broker["WorkingDirectory"] + "/mosquitto.conf" in FILES
    assert broker["ExecStart"] == "/usr/sbin/mosquitto -c mosquitto.conf"
    assert broker["User"] == "mosquitto"


@pytest.mark.parametrize(
    ("version", "starts"), [("2.0.18", False), ("2.0.22", False), ("2.0.23", True), ("2.1.2", True)]
)
def test_a_mosquitto_that_loses_messages_is_not_started(
    tmp_path: Path, version: str, *, starts: bool
) -> None:
    program = tmp_path / "mosquitto"
    program.write_text(f"#!/bin/sh\necho 'mosquitto version {version}'\n")
    program.chmod(0o755)
    check = unit("mosquitto.service.d/override.conf")["ExecStartPre"]
    check = check.replace("$$", "$").replace("%%", "%").replace("/usr/sbin/mosquitto", str(program))
    done = subprocess.run(shlex.split(check), capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is starts
    assert starts or f"Mosquitto {version} loses messages" in done.stderr


def test_the_brokers_data_is_on_a_separate_disk() -> None:
    configuration = FILES["/srv/broker/mosquitto.conf"].text
    assert "\npersistence_location data/\n" in configuration
    assert "virtio-broker-data, /srv/broker/data, ext4" in user_data()
    terraform = (RECIPE.parent / "broker.tf").read_text()
    assert 'device_name = "broker-data"' in terraform


def test_the_buffer_of_the_bridge_holds_all_messages_that_may_be_in_flight() -> None:
    configuration = FILES["/srv/broker/mosquitto.conf"].text
    inflight = re.search(r"^max_inflight_messages (\d+)$", configuration, re.MULTILINE)
    assert inflight is not None
    assert 0 < int(inflight[1]) <= read({}).bridge_buffer_messages / 2


def test_the_agent_reads_the_files_that_rsyslog_writes_through_a_buffer_on_disk() -> None:
    agent = yaml.safe_load(FILES["/srv/broker/unified_agent.yml"].text)
    [route] = agent["routes"]
    source, channel = route["input"]["config"], route["channel"]
    rsyslog = FILES["/etc/rsyslog.d/20-broker.conf"].text
    assert source["path"] == "/var/log/broker/*.log"
    assert 'string="/var/log/broker/%programname%.log"' in rsyslog
    assert 'adm, -m, "0750", /var/log/broker' in user_data()
    [storage] = agent["storages"]
    assert channel["pipe"] == [{"storage_ref": {"name": storage["name"]}}]
    assert (storage["plugin"], channel["output"]["plugin"]) == ("fs", "yc_logs")
    assert channel["output"]["config"]["log_group_id"] == "LOG_GROUP_ID"
    state = unit("unified_agent.service")["StateDirectory"]
    for directory in (storage["config"]["directory"], source["state_directory"]):
        assert directory.startswith(f"/var/lib/{state}/")


def test_the_names_of_the_programs_are_those_that_rsyslog_selects() -> None:
    rsyslog = FILES["/etc/rsyslog.d/20-broker.conf"].text
    names = re.search(r"programname == \[(.*)\]", rsyslog)
    assert names is not None
    assert json.loads(f"[{names[1]}]") == ["mosquitto", "bridge", "refresh"]
    for name in ("bridge", "refresh"):
        assert unit(f"{name}.service")["SyslogIdentifier"] == name


@needs("rsyslogd")
def test_rsyslog_accepts_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "rsyslog.conf"
    file.write_text(FILES["/etc/rsyslog.d/20-broker.conf"].text)
    done = subprocess.run(
        [find_program("rsyslogd") or "", "-N1", "-f", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr


@needs("nft")
def test_nftables_accepts_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "nftables.conf"
    file.write_text(FILES["/etc/nftables.conf"].text)
    load = [find_program("nft") or "", "-c", "-f", str(file)]
    done = subprocess.run(load, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_limits_are_those_of_mosquittos_listeners() -> None:
    limits, broker = (FILES[f].text for f in ("/etc/nftables.conf", "/srv/broker/mosquitto.conf"))
    listeners = [int(port) for port in re.findall(r"^listener (\d+)$", broker, re.MULTILINE)]
    assert listeners == [8883, 8884, 8885]
    assert "tcp dport 8883-8885 tcp flags" in limits
    assert "tcp dport 8883-8884 update @connections" in limits


def test_refresh_needs_only_the_standard_library() -> None:
    source = (RECIPE / "refresh").read_text()
    modules = re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE)
    assert set(modules) <= sys.stdlib_module_names
